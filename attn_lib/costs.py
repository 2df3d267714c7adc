"""What a mechanism costs, from one symbolic formula: as numbers, as LaTeX, and to be drawn."""

from collections.abc import Callable
from dataclasses import dataclass

import sympy
from sympy import Expr, Symbol, ceiling, floor
from torch import nn

from .module import AttentionModule

# Of a feature map, its tokens, a mechanism. n, m, e and what a formula says come from the others.
b, c, h, w, t, n, m, d, e = sympy.symbols("b c h w t n m d e", positive=True, integer=True)
r, k, heads = sympy.symbols("r k heads", positive=True, integer=True)
r_v, d_a = sympy.symbols("r_v d_a", positive=True, integer=True)  # of values; of one head


@dataclass(frozen=True)
class Quantity:
    """A count, as a formula and as a number.

    Attributes:
        formula: in the letters of the chapter.
        where: what the letters stand for that other letters define, such as n = h·w.
        sizes: the number that each remaining letter stands for.
    """

    formula: Expr
    where: dict[Symbol, Expr]
    sizes: dict[Symbol, int]

    def at(self, **sizes: int) -> int:
        """The count with other sizes: cost(...).multiply_adds.at(h=28, w=28).

        Raises:
            ValueError: a letter that the formula does not have.
        """
        known = {symbol.name: symbol for symbol in self.sizes}
        if unknown := sizes.keys() - known.keys():
            raise ValueError(f"no size {sorted(unknown)} here; there are {sorted(known)}")
        values = self.sizes | {known[name]: size for name, size in sizes.items()}
        return int(self.formula.subs(self.where).subs(values))

    @property
    def value(self) -> int:
        return self.at()

    def latex(self) -> str:
        """The formula, without dollar signs."""
        return sympy.latex(self.formula, symbol_names=_LATEX)

    def where_latex(self) -> str:
        r"""What its letters stand for: "n = h w,\; d = \lfloor c / r \rfloor"; empty where there are none."""
        used = [letter for letter in self.where if letter in self.formula.free_symbols]
        return r",\; ".join(f"{letter} = {sympy.latex(self.where[letter])}" for letter in used)


@dataclass(frozen=True)
class Cost:
    """What it takes to compute `attention` and `reweight`.

    Attributes:
        parameters: numbers that it learns.
        multiply_adds: of its matrix products and convolutions; twice that are the FLOPs of
            `torch.utils.flop_counter`. Elementwise work and softmax are not counted, nor are they there.
        activations: numbers in all tensors that its kernels compute on the way, the output included,
            copies not; each takes 4 bytes in float32. `forward` may hold less.

    What both methods compute alike counts once.
    """

    parameters: Quantity
    multiply_adds: Quantity
    activations: Quantity


@dataclass(frozen=True)
class _Formula:
    parameters: Expr
    multiply_adds: Expr
    activations: Expr
    where: dict[Symbol, Expr]
    sizes: dict[Symbol, int]


_LATEX = {heads: r"\mathrm{heads}"}
_FORMULAS: dict[str, Callable] = {}


def cost(module: AttentionModule, input_shape: tuple[int, ...]) -> Cost:
    """Count what a mechanism takes for an input of that shape.

        cost(SelfAttention2d(64), (1, 64, 28, 28)).multiply_adds.value
        cost(SelfAttention2d(64), (1, 64, 28, 28)).multiply_adds.latex()

    The shape is counted, not checked: nothing runs. Spectral norm is not counted.

    Raises:
        ValueError: no formula is known for this class, or the shape has another number of axes.
    """
    classes = [base.__name__ for base in type(module).__mro__ if base.__name__ in _FORMULAS]
    if not classes:
        raise ValueError(
            f"no formula for {type(module).__name__}; there are {', '.join(sorted(_FORMULAS))}"
        )
    formula = _FORMULAS[classes[0]](module, tuple(input_shape))
    return Cost(
        *(
            Quantity(expression, formula.where, formula.sizes)
            for expression in (formula.parameters, formula.multiply_adds, formula.activations)
        )
    )


def _formula(function: Callable) -> Callable:
    """Register the formula of the class that the function is named after."""
    _FORMULAS[function.__name__] = function
    return function


def _sizes(letters: tuple[Symbol, ...], shape: tuple[int, ...]) -> dict[Symbol, int]:
    if len(shape) != len(letters):
        names = ", ".join(letter.name for letter in letters)
        raise ValueError(f"the formula wants a shape ({names}); got {shape}")
    return dict(zip(letters, shape, strict=True))


def _halved(module: nn.Module) -> bool:
    return not isinstance(module.pool, nn.Identity)


@_formula
def SelfAttention2d(module, shape: tuple[int, ...]) -> _Formula:
    bias, full = int(module.query.bias is not None), isinstance(module.out, nn.Identity)
    keys, values = m if _halved(module) else n, c if full else e
    sizes = _sizes((b, c, h, w), shape) | {r: module.channels // module.query.out_channels}
    where = {n: h * w, m: ceiling(h / 2) * ceiling(w / 2), d: floor(c / r)}
    if not full:
        where, sizes = (
            where | {e: floor(c / r_v)},
            sizes | {r_v: module.channels // module.value.out_channels},
        )
    projections = (c + bias) * (2 * d + values)
    out = 0 if full else (values + bias) * c
    pooled = m * (d + values) if _halved(module) else 0
    return _Formula(
        parameters=projections + out + 1,
        multiply_adds=b * n * c * (2 * d + values)
        + b * n * keys * (d + values)
        + (0 if full else b * n * values * c),
        activations=b * (2 * n * d + pooled + 2 * n * keys + 2 * n * values)
        + b * n * c * (2 if full else 3),
        where=where,
        sizes=sizes,
    )


@_formula
def NonLocalMeans(module, shape: tuple[int, ...]) -> _Formula:
    patch, margin = k**2 * c, 2 * floor(k / 2)
    return _Formula(
        parameters=sympy.Integer(0),
        multiply_adds=b * n**2 * (patch + c),
        activations=b * (c * (h + margin) * (w + margin) + 3 * n * patch + 4 * n**2 + n * c),
        where={n: h * w},
        sizes=_sizes((b, c, h, w), shape) | {k: module.patch},
    )


@_formula
def Attention(module, shape: tuple[int, ...]) -> _Formula:
    inner = heads * d_a
    width = module.to_out.in_features // module.heads
    return _Formula(
        parameters=2 * d + 4 * d * inner,
        multiply_adds=4 * b * n * d * inner + 2 * b * n**2 * inner,
        activations=b * (3 * n * d + 5 * n * inner + 2 * heads * n**2),
        where={},
        sizes=_sizes((b, n, d), shape) | {heads: module.heads, d_a: width},
    )
