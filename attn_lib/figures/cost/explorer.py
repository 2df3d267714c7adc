"""CostExplorer: what mechanisms cost, side by side, and how that grows."""

from collections.abc import Mapping

import traitlets
from matplotlib.figure import Figure

from ...module import AttentionModule
from ..base import LivingFigure
from ..skeleton import Tree, controls, hint, root, select
from ..traits import Whole, validates
from .chart import LAYOUT, LOOKS, Line, Scene
from .elements import charts, choices, formulas, table
from .plot import plot
from .settings import (
    COUNTS,
    STAGES,
    decades,
    formula,
    number,
    over_a_map,
    published,
    require_fit,
    sizes_at,
    start_of,
    stops_of,
)
from .words import PHRASES, as_text, told


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
    phrases = PHRASES
    constants = LAYOUT

    mechanisms = traitlets.List(traitlets.Dict()).tag(
        sync=True
    )  # names, own sizes, formulas as trees
    counts = traitlets.Dict().tag(sync=True)  # of each: its unit, its factor, its axis's ends
    letters = traitlets.Dict().tag(sync=True)  # of each: its stops
    stages = traitlets.List(traitlets.List()).tag(sync=True)
    batch = Whole().tag(sync=True)
    count = traitlets.Unicode().tag(sync=True, changes=True)
    along = traitlets.Unicode().tag(sync=True, changes=True)
    chosen = traitlets.Unicode().tag(sync=True, changes=True)
    sizes = traitlets.Dict().tag(sync=True, changes=True)

    def __init__(
        self,
        mechanisms: Mapping[str, AttentionModule],
        input_shape: tuple[int, ...],
        *,
        alt: str,
        count: str = "multiply_adds",
        along: str = "side",
    ):
        require_fit(mechanisms, input_shape, len(LOOKS))
        batch, channels, side, _ = input_shape
        found = {name: over_a_map(part, input_shape) for name, part in mechanisms.items()}
        costs = list(found.values())
        stops = stops_of(costs, channels, side)
        starts = {"side": side, "c": channels}
        self._formulas = [
            formula(name, cost, each) for each in COUNTS for name, cost in found.items()
        ]
        made = [published(name, cost) for name, cost in found.items()]
        super().__init__(
            alt=alt,
            mechanisms=made,
            counts={
                each: known | {"decades": decades(made, each, stops)}
                for each, known in COUNTS.items()
            },
            letters={letter: {"stops": offered} for letter, offered in stops.items()},
            stages=[
                list(stage)
                for stage in STAGES
                if stage[0] in stops["c"] and stage[1] in stops["side"]
            ],
            batch=batch,
            count=count,
            along=along,
            chosen=next(iter(found)),
            sizes={
                letter: starts[letter] if letter in starts else start_of(costs, letter)
                for letter in stops
            },
        )

    @validates("count", "along", "chosen")
    def _check_choice(self, proposal):
        name, value = proposal["trait"].name, proposal["value"]
        known = {"count": list(self.counts), "along": list(self.letters), "chosen": self._names}
        if value not in known[name]:
            raise ValueError(f"{name} must be one of {known[name]}; got {value!r}")
        return value

    @validates("sizes")
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
        at = {**self.sizes, **(sizes or {})}
        return number(self._mechanism(name), count or self.count, at)

    def own(self, name: str) -> dict[str, int]:
        """The sizes of a mechanism that not all have, such as r and k, at the figure's setting."""
        mechanism = self._mechanism(name)
        at = sizes_at(mechanism, self.sizes)
        return {letter: at[letter] for letter in mechanism["own"]} | mechanism["fixed"]

    def growth(self, name: str) -> str:
        """By what the count is multiplied when the size along the axis doubles: "× 3.87", halves rounded up."""
        size = sizes_at(self._mechanism(name), self.sizes).get(self.along, 1)
        now, then = self.value(name), self.value(name, {self.along: 2 * size})
        if not now:
            return PHRASES["no_growth"]
        return self.say("growth", times=f"{(200 * then + now) // (2 * now) / 100:.2f}")

    def scene(self) -> Scene:
        """What chart and table show now."""
        count = self.counts[self.count]
        return Scene(
            title=PHRASES[self.count],
            axis=PHRASES[self.along],
            unit=count["unit"],
            stops=[stop for stop in self._stops[self.along] if stop is not None],
            now=self.sizes[self.along],
            decades=count["decades"],
            lines=[self._line(mechanism) for mechanism in self.mechanisms],
        )

    def plot(self) -> Figure:
        return plot(self.scene(), self._setting)

    def skeleton(self, live: bool = False) -> Tree:
        scene, names, stops = self.scene(), self._names, self._stops
        chosen = names.index(self.chosen)
        highest = max(known["decades"][1] for known in self.counts.values())
        shown = list(self.counts).index(self.count) * len(names) + chosen
        return root(
            "attn-cost",
            self.alt,
            controls(*choices(self.count, self.along, stops, self.sizes, self.stages)),
            charts(scene),
            ["div", {"class": "attn-foot"}, hint(PHRASES["hint"])],
            table(self._setting, scene.lines, self.count, self.along, list(stops), highest),
            controls(select("chosen", PHRASES["chosen_label"], names, chosen)),
            formulas(self._formulas, shown),
        )

    def _repr_mimebundle_(self, **kwargs):
        bundle, metadata = super()._repr_mimebundle_(**kwargs)
        rows = [["", *(PHRASES[count] for count in self.counts)]]
        for name in self._names:
            own = told(self.own(name))
            numbers = (f"{self.value(name, count=count):,}" for count in self.counts)
            rows.append([f"{name} ({own})" if own else name, *numbers])
        text = f"{self.alt}\n{self._setting}\n{as_text(rows)}"
        return bundle | {"text/plain": text}, metadata

    @property
    def _names(self) -> list[str]:
        return [mechanism["name"] for mechanism in self.mechanisms]

    @property
    def _stops(self) -> dict[str, list]:
        return {letter: known["stops"] for letter, known in self.letters.items()}

    @property
    def _setting(self) -> str:
        return self.say("setting", batch=self.batch, c=self.sizes["c"], side=self.sizes["side"])

    def _mechanism(self, name: str) -> dict:
        return next(found for found in self.mechanisms if found["name"] == name)

    def _line(self, mechanism: dict) -> Line:
        name, stops = mechanism["name"], self._stops
        largest = {letter: stops[letter][-1] for letter in mechanism["own"]}
        return Line(
            name=name,
            values=[
                self.value(name, {self.along: stop})
                for stop in stops[self.along]
                if stop is not None
            ],
            at=sizes_at(mechanism, self.sizes).get(self.along),
            value=self.value(name),
            growth=self.growth(name),
            own=self.own(name),
            widest=largest | mechanism["fixed"],
            chosen=name == self.chosen,
        )
