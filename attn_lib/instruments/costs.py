"""What a mechanism costs, from one symbolic formula: as numbers, as LaTeX, and to be drawn."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..extras import require
from ..module import AttentionModule

if TYPE_CHECKING:  # imported where it is used: it takes longer to import than all else here
    import sympy


@dataclass(frozen=True)
class Quantity:
    """A count, as a formula and as a number.

    Attributes:
        formula: in the letters of the chapter.
        where: what the letters stand for that other letters define, such as n = h·w.
        sizes: the number that each remaining letter stands for.
    """

    formula: "sympy.Expr"
    where: "dict[sympy.Symbol, sympy.Expr]"
    sizes: "dict[sympy.Symbol, int]"

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
        from sympy import latex

        from .formulas import heads

        return latex(self.formula, symbol_names={heads: r"\mathrm{heads}"})

    def where_latex(self) -> str:
        r"""What its letters stand for, as $n = h w,\; d = \lfloor c / r \rfloor$; empty where there are none."""
        from sympy import latex

        used = [letter for letter in self.where if letter in self.formula.free_symbols]
        return r",\; ".join(f"{letter} = {latex(self.where[letter])}" for letter in used)


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


def cost(module: AttentionModule, input_shape: tuple[int, ...]) -> Cost:
    """Count what a mechanism takes for an input of that shape.

        cost(SelfAttention2d(64), (1, 64, 28, 28)).multiply_adds.value
        cost(SelfAttention2d(64), (1, 64, 28, 28)).multiply_adds.latex()

    Nothing runs. Spectral norm is not counted.

    Args:
        module: one of the library's mechanisms, or of a class derived from one.
        input_shape: of x.

    Raises:
        ModuleNotFoundError: sympy is not installed.
        ValueError: no formula is known for this class, or the shape has another number of axes or of channels
            than the module takes.
    """
    require("cost", "figures", "sympy")
    from .formulas import formula

    found = formula(module, tuple(input_shape))
    counts = (found.parameters, found.multiply_adds, found.activations)
    return Cost(*(Quantity(count, found.where, found.sizes) for count in counts))
