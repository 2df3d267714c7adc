"""What one panel of an AttentionExplorer shows, and how it says it: attention_explorer.js says it alike."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ...instruments.localisation import coverage
from ..numbers import fixed, percent, percents
from .relations import Grid

MOST_LINKS = 8
DIRECTIONS = ("looks at", "is looked at by")
PHRASES = {
    "hint": "Point, tap, or press arrow keys.",
    "keys": "{name}. Arrow keys choose a position.",
    "layer_label": "Layer",
    "layer_of": "{layer} of {layers}",
    "head_label": "Head",
    "mean_of_heads": "mean of heads",
    "direction_label": "Show",
    "looks at": "where it looks",
    "is looked at by": "who looks at it",
    "links_label": "Links",
    "opacity_label": "Opacity",
    "opacity": "{share} %",
    "hold": "Hold, and read other cells",
    "query": "Query: {place}.",
    "key": "Key: {place}.",
    "position": "Position: {place}.",
    "place": "row {row}, column {column}",
    "layer": "layer {number}",
    "head": "head {number}",
    "highest": "highest on {place}: {share}",
    "most": "most on {place}: {share}",
    "most_from": "most from {place}: {share}",
    "nobody": "no weight from any position",
    "mean": "mean {share}",
    "inside": "{share} inside the box",
    "from_inside": "{share} from inside the box",
    "read": "{share} on {place}",
    "read_from": "{share} from {place}",
    "itself": "itself",
    "in_all": "in all {times} × an even share",
    "links": " Links: {links}.",
    "link": "{place} ({share})",
    "low": "{name} {low}",
    "high": "{high}; half way along {quarter}",
    "box": "White box: the object.",
    "missing": "The image did not load: only the weights are shown.",
    "weight": "weight",
    "gate": "gate",
}


@dataclass(frozen=True)
class View:
    """One panel's weights and marks.

    Attributes:
        panel: as the figure's trait has it.
        weights: (rows, columns), those now drawn.
        size: height and width of the image, in pixels.
        reverse: whether the weights are those that the position gets, in place of those that it gives.
        choice: the layer and the head, counted from 0; None is the mean of all heads.
        asked: the grid on which the position is marked, and its cell there.
        read: the cell whose weight is told.
        own: whether that is the position's own.
        marked: whether that cell is outlined.
        links: the cells to which lines lead, and their weights.
    """

    panel: Mapping[str, Any]
    weights: np.ndarray
    size: Grid
    reverse: bool
    choice: tuple[int, int | None]
    asked: tuple[Grid, int]
    read: int
    own: bool
    marked: bool
    links: list[tuple[int, float]]

    @property
    def kind(self) -> str:
        return self.panel["kind"]

    @property
    def scale(self) -> str:
        """Gates do not share a sum, and have a scale of their own."""
        return "gate" if self.kind == "gate" else "weight"


def scales(views: list[View]) -> dict[str, tuple[float, float]]:
    """The ends of each scale: weights go from 0 to the highest drawn, gates from the lowest to the highest.

    A gate near one half shows what there is of it; the ends say how little that may be.
    """
    found: dict[str, tuple[float, float]] = {}
    for view in views:
        low, high = found.get(view.scale, (1.0 if view.scale == "gate" else 0.0, 0.0))
        lowest, highest = float(view.weights.min()), float(view.weights.max())
        found[view.scale] = min(low, lowest), max(high, highest)
    return found


def ticks(name: str, ends: tuple[float, float]) -> list[tuple[float, str]]:
    """What stands at a scale's lower end, at its middle, a quarter of the way, and at its upper end."""
    low, high = ends
    places = low, low + (high - low) / 4, high
    if name == "gate":
        return list(zip(places, percents(low, high, places), strict=True))
    return [(low, "0 %"), *((each, percent(each)) for each in places[1:])]


def place(cell: int, columns: int) -> str:
    return PHRASES["place"].format(row=cell // columns + 1, column=cell % columns + 1)


def describe(view: View) -> str:
    """What a panel shows, in words."""
    weights, columns = view.weights, view.weights.shape[1]
    if view.reverse and not weights.any():
        return _chosen(view) + PHRASES["nobody"]
    best = "most_from" if view.reverse else "highest" if view.kind == "gate" else "most"
    said = [_say(best, weights.max(), place=place(int(weights.argmax()), columns))]
    if view.kind == "gate":
        said.append(_say("mean", weights.mean()))
    if view.panel["box"] and weights.any():
        said.append(_say("from_inside" if view.reverse else "inside", _share_inside(view)))
    where = PHRASES["itself"] if view.own else place(view.read, columns)
    reading = "read_from" if view.reverse else "read"
    said.append(_say(reading, weights.ravel()[view.read], place=where))
    if view.reverse:
        rows, across = view.panel["cells"]
        even = weights.sum() * rows * across / weights.size
        said.append(PHRASES["in_all"].format(times=fixed(even, 1)))
    return _chosen(view) + "; ".join(said)


def describe_position(views: list[View], position: int, columns: int) -> str:
    """Where the reader points, and what that is to the maps."""
    relations = any(view.kind == "relation" for view in views)
    asked = "key" if any(view.reverse for view in views) else "query"
    spot = place(position, columns)
    return PHRASES[asked if relations else "position"].format(place=spot)


def describe_links(view: View) -> str:
    columns = view.weights.shape[1]
    told = [_say("link", weight, place=place(at, columns)) for at, weight in view.links]
    return PHRASES["links"].format(links=", ".join(told)) if told else ""


def _say(phrase: str, share: float, **values: str) -> str:
    return PHRASES[phrase].format(share=percent(share), **values)


def _share_inside(view: View) -> float:
    box = torch.tensor([view.panel["box"]])
    inside = coverage(box, view.weights.shape, view.size)[0].double().numpy()
    return (view.weights * inside).sum() / (
        inside if view.kind == "gate" else view.weights
    ).sum()


def _chosen(view: View) -> str:
    layer, head = view.choice
    chosen = [PHRASES["layer"].format(number=layer + 1)] if view.panel["layers"] > 1 else []
    if view.panel["heads"] > 1:
        named = (
            PHRASES["mean_of_heads"]
            if head is None
            else PHRASES["head"].format(number=head + 1)
        )
        chosen.append(named)
    return f"{', '.join(chosen)}: " if chosen else ""
