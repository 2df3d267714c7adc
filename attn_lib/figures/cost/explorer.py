"""CostExplorer: what mechanisms cost, side by side, and how that grows."""

import dataclasses
import math
from collections.abc import Mapping
from itertools import product

import traitlets
from sympy import Symbol, floor

from ...instruments.costs import Cost, Quantity, cost
from ...instruments.formulas import (
    b,
    c,
    d,
    d_a,
    h,
    heads,
    n,
    w,
)
from ...module import AttentionModule
from ...vit import Attention
from ..base import LivingFigure
from .chart import (
    LOOKS,
    Line,
    Scene,
    to_html,
)
from .expressions import (
    definition,
    evaluate,
    to_list,
    to_mathml,
    to_tree,
)
from .words import as_text, body

# Of each count: its name, its unit, and what a number of its formula stands for.
COUNTS = {
    "parameters": {"title": "parameters", "unit": "", "factor": 1},
    "multiply_adds": {"title": "multiply-adds", "unit": "", "factor": 1},
    "activations": {"title": "activation bytes, float32", "unit": "B", "factor": 4},
}
LETTERS = {
    "side": {"label": "side h = w", "doubles": "h = w doubles"},
    "c": {"label": "channels c", "doubles": "c doubles"},
    "r": {"label": "reduction r", "doubles": "r doubles"},
    "heads": {"label": "heads", "doubles": "heads double"},
}
SIDES = (7, 10, 14, 20, 28, 40, 56, 80, 112)
CHANNELS = (32, 64, 128, 256, 512, 1024, 2048)
PARTS = (1, 2, 4, 8, 16)  # into which r or heads divide the channels
# Channels and side after each stage of ResNet-18: He et al., "Deep Residual Learning", CVPR 2016, table 1.
STAGES = ((64, 56), (128, 28), (256, 14), (512, 7))


class CostExplorer(LivingFigure):
    """Parameters, multiply-adds or memory of mechanisms on one axis, as sizes change.

    All numbers come from the formulas of `cost`; the page computes them anew for each setting.

        CostExplorer({"SE": SqueezeExcitation(64), "CBAM": CBAM(64)}, (1, 64, 56, 56), alt="…")

    `sizes` is the setting: a number for each letter, or None where each mechanism keeps its own. `chosen` names
    the mechanism whose formula stands below. Python sets and observes them as it does `count` and `along`.

    Args:
        mechanisms: a name, and the mechanism under it; eight at most. `Attention` takes a map's positions as
            tokens of c features; where its heads share them, heads · d_a = c, they do so at every setting.
        input_shape: (b, c, h, w) of x at first; the map is square.
        alt: what one sees in the first picture.
        count: what is measured: "parameters", "multiply_adds" or "activations".
        along: what runs from left to right: "side" (h = w), "c", "r" or "heads".

    Raises:
        ValueError: there is no mechanism or more than eight, one has no formula or was made for other
            channels, the map is not square, or the figure has no such setting.
    """

    name = "cost_explorer"

    mechanisms = traitlets.List(traitlets.Dict()).tag(
        sync=True
    )  # names, own sizes, formulas as trees and MathML
    counts = traitlets.Dict().tag(sync=True)
    letters = traitlets.Dict().tag(sync=True)  # of each: what it is called, and its stops
    stages = traitlets.List(traitlets.List()).tag(sync=True)
    batch = traitlets.Int().tag(sync=True)
    count = traitlets.Unicode().tag(sync=True)
    along = traitlets.Unicode().tag(sync=True)
    chosen = traitlets.Unicode().tag(sync=True)
    sizes = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        mechanisms: Mapping[str, AttentionModule],
        input_shape: tuple[int, ...],
        *,
        alt: str,
        count: str = "multiply_adds",
        along: str = "side",
    ):
        _require_fit(mechanisms, input_shape)
        batch, channels, side, _ = input_shape
        costs = {name: _over_a_map(part, input_shape) for name, part in mechanisms.items()}
        stops = _stops(list(costs.values()), channels, side)
        starts: dict[str, int | None] = {"side": side, "c": channels}
        for letter in stops.keys() - starts:
            own = _own(list(costs.values()), letter)
            starts[letter] = None if len(own) > 1 else own.pop()
        super().__init__(
            alt=alt,
            mechanisms=[
                _published(name, found, look)
                for look, (name, found) in zip(LOOKS, costs.items(), strict=False)
            ],
            counts=COUNTS,
            letters={letter: LETTERS[letter] | {"stops": stops[letter]} for letter in stops},
            stages=[
                list(stage)
                for stage in STAGES
                if stage[0] in stops["c"] and stage[1] in stops["side"]
            ],
            batch=batch,
            count=count,
            along=along,
            chosen=next(iter(costs)),
            sizes={letter: starts[letter] for letter in stops},
        )

    @traitlets.validate("count", "along", "chosen")
    def _check_choice(self, proposal):
        name, value = proposal["trait"].name, proposal["value"]
        names = [mechanism["name"] for mechanism in self.mechanisms]
        known = {"count": list(self.counts), "along": list(self.letters), "chosen": names}
        if value not in known[name]:
            raise ValueError(f"{name} must be one of {known[name]}; got {value!r}")
        return value

    @traitlets.validate("sizes")
    def _check_sizes(self, proposal):
        sizes = proposal["value"]
        if sizes.keys() != self.letters.keys():
            raise ValueError(f"sizes wants the letters {[*self.letters]}; got {[*sizes]}")
        for letter, size in sizes.items():
            if size not in (stops := self.letters[letter]["stops"]):
                raise ValueError(f"{letter} must be one of {stops}; got {size}")
        return {letter: sizes[letter] for letter in self.letters}

    def value(
        self, name: str, sizes: Mapping[str, int | None] | None = None, count: str | None = None
    ) -> int:
        """What the figure says of a mechanism at its setting, or with other sizes: bytes, of activations."""
        count, mechanism = count or self.count, self._mechanism(name)
        at = self._at(mechanism, {**self.sizes, **(sizes or {})})
        return int(self.counts[count]["factor"] * evaluate(mechanism["trees"][count], at))

    def own(self, name: str) -> dict[str, int]:
        """The sizes of a mechanism that not all have, such as r and k, at the figure's setting."""
        mechanism = self._mechanism(name)
        at = self._at(mechanism, self.sizes)
        return {letter: at[letter] for letter in mechanism["own"]} | mechanism["fixed"]

    def scene(self) -> Scene:
        """What the chart shows now."""
        stops = [stop for stop in self.letters[self.along]["stops"] if stop is not None]
        lines = [
            Line(
                name=mechanism["name"],
                values=[self.value(mechanism["name"], {self.along: stop}) for stop in stops],
                at=self._at(mechanism, self.sizes).get(self.along),
                value=self.value(mechanism["name"]),
                chosen=mechanism["name"] == self.chosen,
            )
            for mechanism in self.mechanisms
        ]
        count, axis = self.counts[self.count], self.letters[self.along]["label"]
        now = self.sizes[self.along]
        return Scene(count["title"], axis, count["unit"], stops, now, self._decades(), lines)

    def growth(self, name: str) -> str:
        """By what the count is multiplied when the size along the axis doubles: "× 3.87", halves rounded up."""
        size = self._at(self._mechanism(name), self.sizes).get(self.along, 1)
        now, then = self.value(name), self.value(name, {self.along: 2 * size})
        return f"× {(200 * then + now) // (2 * now) / 100:.2f}" if now else "–"

    def still(self) -> str:
        return to_html(body(self))

    def _repr_mimebundle_(self, **kwargs):
        bundle, metadata = super()._repr_mimebundle_(**kwargs)
        return bundle | {"text/plain": as_text(self)}, metadata

    def _mechanism(self, name: str) -> dict:
        return next(found for found in self.mechanisms if found["name"] == name)

    def _at(self, mechanism: dict, sizes: Mapping[str, int | None]) -> dict[str, int]:
        set_here = {letter: size for letter, size in sizes.items() if size is not None}
        return mechanism["own"] | set_here

    def _decades(self) -> tuple[int, int]:
        """Powers of ten around all that the sliders reach: the axis stands still while they move."""
        # A count grows with each letter, or falls, so that its extremes lie at corners of the settings.
        ends = {
            letter: [stops[0] or stops[1], stops[-1]]
            for letter, known in self.letters.items()
            for stops in [known["stops"]]
        }
        reached = [
            self.value(mechanism["name"], dict(zip(ends, corner, strict=True)))
            for mechanism in self.mechanisms
            for corner in product(*ends.values())
        ]
        positive = [value for value in reached if value]
        low, high = min(positive, default=1), max(positive, default=1)
        return len(str(low)) - 1, len(str(high))


def _require_fit(mechanisms: Mapping[str, AttentionModule], shape: tuple[int, ...]) -> None:
    if not 1 <= len(mechanisms) <= len(LOOKS):
        raise ValueError(
            f"a CostExplorer wants 1 to {len(LOOKS)} mechanisms; got {len(mechanisms)}"
        )
    if len(shape) != 4 or min(shape) < 1 or shape[2] != shape[3]:
        raise ValueError(f"an input shape (b, c, h, w) with h = w is wanted; got {shape}")
    for name, module in mechanisms.items():
        channels = getattr(module, "channels", getattr(module, "dim", shape[1]))
        if channels != shape[1]:
            raise ValueError(
                f"{name!r} takes c = {channels}; the input shape {shape} has c = {shape[1]}"
            )


def _over_a_map(module: AttentionModule, shape: tuple[int, ...]) -> Cost:
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
    counts = (getattr(found, field.name) for field in dataclasses.fields(found))
    return Cost(*(Quantity(count.formula, where, sizes) for count in counts))


def _own(costs: list[Cost], letter: str) -> set[int]:
    """The sizes that mechanisms have of a letter."""
    known = (found.parameters.sizes for found in costs)
    return {size for sizes in known for symbol, size in sizes.items() if symbol.name == letter}


def _stops(costs: list[Cost], channels: int, side: int) -> dict[str, list]:
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


def _published(name: str, found: Cost, look: tuple[str, str, str]) -> dict:
    """A mechanism as the page gets it: its formulas in the letters of the sliders, all others as numbers."""
    sizes, side = found.parameters.sizes, Symbol("side", positive=True, integer=True)
    fixed = {
        s: size for s, size in sizes.items() if s.name not in ("b", "c", "h", "w", "r", "heads")
    }
    trees, maths = {}, {}
    for count in COUNTS:
        quantity: Quantity = getattr(found, count)
        plain = quantity.formula.subs(quantity.where).subs(
            fixed | {b: sizes[b], h: side, w: side}
        )
        trees[count] = to_tree(plain)
        used = [s for s in quantity.where if s in quantity.formula.free_symbols]
        maths[count] = {
            "terms": [to_list(term) for term in to_mathml(quantity.formula)],
            "where": [to_list(definition(s, quantity.where[s])) for s in used],
        }
    return {
        "name": name,
        "look": list(look),
        "own": {s.name: size for s, size in sizes.items() if s.name in ("r", "heads")},
        "fixed": {s.name: size for s, size in fixed.items()},
        "trees": trees,
        "maths": maths,
    }
