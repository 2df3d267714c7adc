"""What a mechanism costs, from one symbolic formula: as numbers, as LaTeX, and to be drawn."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from ..extras import require
from ..module import AttentionModule
from .watching import Hook, refuse_compiled, undisturbed

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

        from .letters import heads

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
        parts: of a network, the cost of each mechanism by its dotted name; the counts are then their sums,
            numbers without letters.

    What both methods compute alike counts once.
    """

    parameters: Quantity
    multiply_adds: Quantity
    activations: Quantity
    parts: "Mapping[str, Cost]" = field(default_factory=dict)


def cost(module: nn.Module, input_shape: tuple[int, ...]) -> Cost:
    """Count what a mechanism, or all mechanisms of a network, take for an input of that shape.

        cost(SelfAttention2d(64), (1, 64, 28, 28)).multiply_adds.value
        cost(SelfAttention2d(64), (1, 64, 28, 28)).multiply_adds.latex()

        total = cost(network, (1, 3, 224, 224))
        total.parameters.value, total.parts["layer4.cbam"].parameters.value

    Of a network only the mechanisms that run in evaluation are counted, each at the shape that reaches it: its
    convolutions and all else are not. A mechanism that runs twice has its parameters once. Nothing is
    computed. Spectral norm is not counted.

    Args:
        module: one of the library's mechanisms, or of a class derived from one; or a network that holds some and
            takes one floating-point tensor.
        input_shape: of x.

    Raises:
        ModuleNotFoundError: sympy is not installed.
        ValueError: no formula is known for this class, the shape has another number of axes or of channels
            than the module takes, or the network runs no mechanism, or not on that shape, or compiled.
    """
    require("cost", "figures", "sympy")
    from .formulas import formula

    if not isinstance(module, AttentionModule):
        return _total(module, tuple(input_shape))
    found = formula(module, tuple(input_shape))
    return Cost(
        Quantity(found.parameters, found.where, found.sizes),
        Quantity(found.multiply_adds, found.where, found.sizes),
        Quantity(found.activations, found.where, found.sizes),
    )


def _total(network: nn.Module, input_shape: tuple[int, ...]) -> Cost:
    parts = {}
    for name, (part, shapes) in _inputs(network, input_shape).items():
        first, *others = (cost(part, shape) for shape in shapes)
        parts[name] = first if not others else Cost(
            first.parameters,
            _sum(each.multiply_adds for each in (first, *others)),
            _sum(each.activations for each in (first, *others)),
        )  # fmt: skip
    return Cost(
        _sum(part.parameters for part in parts.values()),
        _sum(part.multiply_adds for part in parts.values()),
        _sum(part.activations for part in parts.values()),
        parts,
    )


def _sum(counts: Iterable[Quantity]) -> Quantity:
    from sympy import Integer

    return Quantity(Integer(sum(count.value for count in counts)), {}, {})


def _inputs(
    network: nn.Module, input_shape: tuple[int, ...]
) -> dict[str, tuple[AttentionModule, list[tuple[int, ...]]]]:
    """The outermost mechanisms that run, each with the shapes of its inputs, run by run."""
    refuse_compiled(network)
    what, seen = type(network).__name__, dict[str, tuple[AttentionModule, list]]()
    handles = []
    for name, part in _outermost(network):

        def note(
            module: Any, args: tuple, name: str = name, part: AttentionModule = part
        ) -> None:
            seen.setdefault(name, (part, []))[1].append(tuple(args[0].shape))

        handles.append(part.register_forward_pre_hook(Hook(part, note)))
    tensor = next(network.parameters(), torch.empty(0))
    try:
        # Tensors with shapes and no numbers: no time, no memory.
        with (
            _evaluating(network),
            undisturbed(network),
            FakeTensorMode(allow_non_fake_inputs=True),
        ):
            network(torch.empty(input_shape, dtype=tensor.dtype, device=tensor.device))
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        raise ValueError(
            f"cost runs {what} to see what reaches its mechanisms, and it does not run on one tensor of "
            f"shape {input_shape}: {error}"
        ) from error
    finally:
        for handle in handles:
            handle.remove()
    if not seen:
        raise ValueError(
            f"no mechanism of the library runs in {what}; cost counts these alone: insert one, or count the "
            "whole with torch.utils.flop_counter"
        )
    return seen


def _outermost(network: nn.Module) -> Iterator[tuple[str, AttentionModule]]:
    """The mechanisms by their dotted names; those that others are made of are counted with them."""
    inner: set[nn.Module] = set()
    for name, part in network.named_modules():
        if isinstance(part, AttentionModule) and part not in inner:
            inner |= {*part.modules()}
            yield name, part


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    """Each module in evaluation mode, and then in its own again."""
    training = {part: part.training for part in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for part, mode in training.items():
            part.training = mode
