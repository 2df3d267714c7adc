"""What a CostExplorer offers: sizes to choose from, and its mechanisms' formulas in their letters."""

import math
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from sympy import Symbol, floor

from ...instruments.costs import Cost, Quantity, cost
from ...instruments.letters import b, c, d, d_a, h, heads, n, w
from ...module import AttentionModule
from ...vit import Attention
from ..skeleton import Tree
from .expressions import definition, evaluate, to_mathml, to_tree
from .words import PHRASES

# Of each count: its unit, and what a number of its formula stands for.
COUNTS: dict[str, dict[str, Any]] = {
    "parameters": {"unit": "", "factor": 1},
    "multiply_adds": {"unit": "", "factor": 1},
    "activations": {"unit": "B", "factor": 4},
}
SIDES = (7, 10, 14, 20, 28, 40, 56, 80, 112)
CHANNELS = (32, 64, 128, 256, 512, 1024, 2048)
PARTS = (1, 2, 4, 8, 16)  # into which r or heads divide the channels
# Channels and side after each stage of ResNet-18: He et al., "Deep Residual Learning", CVPR 2016, table 1.
STAGES = ((64, 56), (128, 28), (256, 14), (512, 7))


def require_fit(
    mechanisms: Mapping[str, AttentionModule], shape: tuple[int, ...], most: int
) -> None:
    if not 1 <= len(mechanisms) <= most:
        raise ValueError(f"a CostExplorer wants 1 to {most} mechanisms; got {len(mechanisms)}")
    if len(shape) != 4 or min(shape) < 1 or shape[2] != shape[3]:
        raise ValueError(f"an input shape (b, c, h, w) with h = w is wanted; got {shape}")
    for name, module in mechanisms.items():
        channels = getattr(module, "channels", getattr(module, "dim", shape[1]))
        if channels != shape[1]:
            raise ValueError(
                f"{name!r} takes c = {channels}; the input shape {shape} has c = {shape[1]}"
            )


def over_a_map(module: AttentionModule, shape: tuple[int, ...]) -> Cost:
    """What a mechanism costs in the letters of a feature map, tokens too: they are its positions."""
    if not isinstance(module, Attention):
        return cost(module, shape)
    found = cost(module, (shape[0], shape[2] * shape[3], shape[1]))
    known = found.parameters.sizes
    sizes = dict(zip((b, c, h, w), shape, strict=True)) | {heads: known[heads]}
    where = {n: h * w, d: c}
    if known[heads] * known[d_a] == shape[1]:
        where[d_a] = floor(c / heads)
    else:
        sizes[d_a] = known[d_a]
    parameters, multiply_adds, activations = (
        Quantity(getattr(found, name).formula, where, sizes) for name in COUNTS
    )
    return Cost(parameters, multiply_adds, activations)


def start_of(costs: Sequence[Cost], letter: str) -> int | None:
    """The size that all mechanisms have of a letter; None where they differ."""
    own = _own(costs, letter)
    return None if len(own) > 1 else own.pop()


def stops_of(costs: Sequence[Cost], channels: int, side: int) -> dict[str, list]:
    """The values of each letter that some formula has. None comes first where mechanisms differ."""
    groups = math.lcm(*_own(costs, "G"))  # a convolution has as many channels in each
    c_stops: list = sorted({channels} | {stop for stop in CHANNELS if stop % groups == 0})
    stops: dict[str, list] = {"side": sorted({*SIDES, side}), "c": c_stops}
    for letter in ("r", "heads"):
        if own := _own(costs, letter):
            # No part is left without a channel, not even after r or heads double.
            parts = sorted(own | {part for part in PARTS if 2 * part <= c_stops[0]})
            stops[letter] = [*([None] if len(own) > 1 else []), *parts]
    return stops


def published(name: str, found: Cost) -> dict[str, Any]:
    """A mechanism as the script gets it: its formulas in the letters of the sliders, all others as numbers."""
    sizes, side = found.parameters.sizes, Symbol("side", positive=True, integer=True)
    fixed = {
        s: size for s, size in sizes.items() if s.name not in ("b", "c", "h", "w", "r", "heads")
    }
    trees = {}
    for count in COUNTS:
        quantity: Quantity = getattr(found, count)
        plain = quantity.formula.subs(quantity.where).subs(
            fixed | {b: sizes[b], h: side, w: side}
        )
        trees[count] = to_tree(plain)
    return {
        "name": name,
        "own": {s.name: size for s, size in sizes.items() if s.name in ("r", "heads")},
        "fixed": {s.name: size for s, size in fixed.items()},
        "trees": trees,
    }


def sizes_at(mechanism: Mapping[str, Any], sizes: Mapping[str, int | None]) -> dict[str, int]:
    """The sizes that a mechanism has at a setting: its own where that has None."""
    set_here = {letter: size for letter, size in sizes.items() if size is not None}
    return mechanism["own"] | set_here


def number(mechanism: Mapping[str, Any], count: str, sizes: Mapping[str, int | None]) -> int:
    """What a mechanism has of a count at a setting."""
    at = sizes_at(mechanism, sizes)
    return int(COUNTS[count]["factor"] * evaluate(mechanism["trees"][count], at))


def decades(
    mechanisms: Sequence[Mapping[str, Any]], count: str, stops: Mapping[str, list]
) -> list[int]:
    """Powers of ten around all that the sliders reach: the axis stands still while they move."""
    # A count grows with each letter, or falls, so that its extremes lie at corners of the settings.
    ends = [[values[0] or values[1], values[-1]] for values in stops.values()]
    reached = [
        number(mechanism, count, dict(zip(stops, corner, strict=True)))
        for mechanism in mechanisms
        for corner in product(*ends)
    ]
    positive = [value for value in reached if value]
    low, high = min(positive, default=1), max(positive, default=1)
    return [len(str(low)) - 1, len(str(high))]


def formula(name: str, found: Cost, count: str) -> Tree:
    """A mechanism's formula as a paragraph, with what its letters stand for."""
    quantity: Quantity = getattr(found, count)
    factor = COUNTS[count]["factor"]
    begin = PHRASES["formula"].format(title=PHRASES[count], name=name)
    if factor > 1:
        begin += PHRASES["scaled"].format(factor=factor)
    terms = [part for term in to_mathml(quantity.formula) for part in (" ", term)][1:]
    used = [s for s in quantity.where if s in quantity.formula.free_symbols]
    where = [
        part
        for i, letter in enumerate(used)
        for part in (
            ", " if i else PHRASES["where"],
            definition(letter, quantity.where[letter]),
        )
    ]
    return ["p", {}, begin, *terms, ")" if factor > 1 else "", *where]


def _own(costs: Sequence[Cost], letter: str) -> set[int]:
    """The sizes that mechanisms have of a letter."""
    known = (found.parameters.sizes for found in costs)
    return {size for sizes in known for symbol, size in sizes.items() if symbol.name == letter}
