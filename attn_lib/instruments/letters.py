"""The letters that formulas are written in, and how a formula is found."""

import math
from dataclasses import dataclass
from functools import singledispatch

import sympy
from sympy import Expr, Symbol

from ..module import AttentionModule

# Of a feature map, its tokens, a mechanism. n, m, e and what a formula says come from the others.
b, c, h, w, t, n, m, d, e = sympy.symbols("b c h w t n m d e", positive=True, integer=True)
r, k, heads = sympy.symbols("r k heads", positive=True, integer=True)
r_v, d_a = sympy.symbols("r_v d_a", positive=True, integer=True)  # of values; of one head
M, G = sympy.symbols("M G", positive=True, integer=True)  # branches; groups of a convolution


class gcd(sympy.Function):
    """The greatest common divisor of two numbers, of which one may still be a letter."""

    nargs = 2

    @classmethod
    def eval(cls, first: Expr, second: Expr) -> Expr | None:
        if first.is_Integer and second.is_Integer:
            return sympy.Integer(math.gcd(int(first), int(second)))
        return None


@dataclass(frozen=True)
class Formula:
    """The counts of one mechanism: in the chapter's letters, what these stand for, and their sizes here."""

    parameters: Expr
    multiply_adds: Expr
    activations: Expr
    where: dict[Symbol, Expr]
    sizes: dict[Symbol, int]


@singledispatch
def formula(module: object, shape: tuple[int, ...]) -> Formula:
    """What `module` takes for an input of `shape`. Sizes are those that its constructor was given.

    Raises:
        ValueError: no formula is known for this class, or it was made for another shape.
    """
    known = sorted(cls.__name__ for cls in formula.registry if cls is not object)
    raise ValueError(f"no formula for {type(module).__name__}; there are {', '.join(known)}")


def sizes_of(
    module: AttentionModule,
    letters: tuple[Symbol, ...],
    shape: tuple[int, ...],
    own: dict[Symbol, int],
) -> dict[Symbol, int]:
    """The sizes of an input, and the module's own; both may have the channels, and then agree."""
    name = type(module).__name__
    if len(shape) != len(letters):
        names = ", ".join(letter.name for letter in letters)
        raise ValueError(f"the formula of {name} wants a shape ({names}); got {shape}")
    sizes = dict(zip(letters, shape, strict=True))
    for letter in sizes.keys() & own.keys():
        if sizes[letter] != own[letter]:
            raise ValueError(
                f"this {name} takes {letter}={own[letter]}; the shape {shape} has {letter}={sizes[letter]}"
            )
    return sizes | own
