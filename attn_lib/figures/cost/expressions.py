"""A formula as a tree that a page computes without eval, and as MathML that it shows without markup."""

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import sympy
from sympy import Expr, Symbol
from sympy.codegen.cfunctions import log2
from sympy.printing.mathml import mathml

from ...instruments.letters import gcd
from ..skeleton import Tree

# A number, a letter's name, or an operation and its trees: ["+", 1, ["floor", ["/", "c", "r"]]].
OperationTree = int | str | list

OPERATIONS: dict[type[Expr], str] = {
    sympy.Add: "+",
    sympy.Mul: "*",
    sympy.Pow: "^",
    sympy.floor: "floor",
    sympy.ceiling: "ceil",
    sympy.Max: "max",
    gcd: "gcd",
    log2: "log2",
}
COMPUTE: dict[str, Callable] = {
    "+": lambda *terms: sum(terms),
    "*": lambda *factors: math.prod(factors),
    "/": lambda top, bottom: Fraction(top) / bottom,
    "^": lambda base, exponent: base**exponent,
    "floor": math.floor,
    "ceil": math.ceil,
    "max": max,
    "gcd": math.gcd,
    "log2": math.log2,
}


def to_tree(expression: Expr) -> OperationTree:
    """The formula as nested lists, for JSON.

    A quotient stays one division: c / r of floats is a whole number where it should be, c · (1 / r) is not.

    Raises:
        ValueError: an operation that the page does not know.
    """
    if expression.is_Integer:
        return int(expression)
    if isinstance(expression, Symbol):
        return expression.name
    top, bottom = sympy.fraction(expression)
    if bottom != 1:
        return ["/", to_tree(top), to_tree(bottom)]
    if expression.func not in OPERATIONS:
        raise ValueError(
            f"{expression} is of {expression.func.__name__}; a page knows "
            f"{', '.join(kind.__name__ for kind in OPERATIONS)}, letters and integers"
        )
    return [OPERATIONS[expression.func], *map(to_tree, expression.args)]


def evaluate(tree: OperationTree, sizes: Mapping[str, int]) -> Any:
    """The tree's exact value where its letters have these sizes; cost_explorer.js computes alike."""
    if isinstance(tree, list):
        return COMPUTE[tree[0]](*(evaluate(part, sizes) for part in tree[1:]))
    return sizes[tree] if isinstance(tree, str) else tree


def to_mathml(expression: Expr) -> list[Tree]:
    """The formula as MathML, a piece for each of its terms, so that a narrow page breaks it between them."""
    whole = _printed(expression)
    if not expression.is_Add:
        return [_maths(whole)]
    pieces: list[list[Element]] = [[]]
    for part in whole:
        if part.tag == "mo":
            part.set("form", "infix")  # though it comes first in its piece
            pieces.append([])
        pieces[-1].append(part)
    return [_maths(*piece) for piece in pieces]


def definition(letter: Symbol, meaning: Expr) -> Tree:
    """What a letter stands for: n = h w."""
    equals = Element("mo")
    equals.text = "="
    return _maths(_printed(letter), equals, _printed(meaning))


def _printed(expression: Expr) -> Element:
    # sympy writes HTML's name for the invisible product sign, which XML does not know.
    text = mathml(expression, printer="presentation").replace("&InvisibleTimes;", "\u2062")
    element = ElementTree.fromstring(text)
    for operator in element.iter("mo"):
        if operator.text == "\u2062":  # or "heads n" would read as one word
            operator.attrib |= {"lspace": "0.08em", "rspace": "0.08em"}
    return element


def _maths(*parts: Element) -> Tree:
    return ["math", {}, *map(_listed, parts)]


def _listed(element: Element) -> Tree:
    text = [element.text] if element.text else []
    return [element.tag, element.attrib, *text, *map(_listed, element)]
