"""What a Playground shows of one network, and how it says it: network_playground.js says it alike."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..numbers import fixed, percent

PHRASES = {
    "hint": "Drag the digit or a scrap; or Tab to it and press arrow keys.",
    "digit_label": "Digit",
    "hand_label": "written by",
    "hand": "hand {number} of {each}",
    "side_label": "Size",
    "side": "{side} pixels",
    "scraps_label": "Scraps",
    "noise_label": "Noise",
    "noise": "σ = {share} %",
    "tool_label": "Pointer",
    "move": "moves things",
    "draw": "paints",
    "rub": "rubs paint out",
    "clear": "Clear paint",
    "again": "Start over",
    "network_label": "Network",
    "query_label": "one position's query: point at the map",
    "link": "The address of this page carries the canvas: copy it to send what you found.",
    "canvas": "canvas: a {name}, {side} pixels wide, at row {row}, column {column}; scraps: {scraps}; noise {noise} %",
    "brush": "Canvas. Arrow keys move the brush, space uses it.",
    "thing": "{name}, at row {row}, column {column}. Arrow keys move it.",
    "the_digit": "the {name}",
    "scrap": "scrap {number}",
    "right": "says {name}, {share}: right",
    "wrong": "says {name}, {share}: wrong",
    "nothing": "gives no number",
    "chart": "probabilities: {all}",
    "bar": "{name} {share}",
    "map": "{name}: {note}",
    "keys": "{name}: map. Arrow keys choose whose query it is.",
    "place": "row {row}, column {column}",
    "none": "no map: nothing here weighs positions or channels",
    "mean_query": "mean of all queries: ",
    "query": "query of {place}: ",
    "most": "most on {place}, {share}",
    "inside": "; on the digit's square {share}, evenly spread {even}",
    "positions": "gates of positions, {low} to {high}",
    "channels": "gates of {count} channels, {low} to {high}",
    "shares": "the first kernel's shares in {count} channels, {low} to {high}",
    "low": "low",
    "high": "high",
}
KINDS = {
    "self_attention": "relation",
    "non_local": "relation",
    "attention_pooling": "readout",
    "spatial_gate": "positions",
    "channel_gate": "channels",
    "efficient_channel": "channels",
    "selective_kernel": "shares",
}


@dataclass(frozen=True)
class View:
    """What one network makes of the canvas.

    Attributes:
        name: of the network.
        classes: the names of its answers.
        answer: the right one.
        shares: the probability of each.
        kind: of the map: a value of `KINDS`, or "none".
        weights: the map as drawn, (h, w), or (c,) for channels; empty where there is none.
        query: whose row of a relation it is, (row, column); None for the mean of all.
        box: top, left and side of the digit, and height and width of the canvas.
    """

    name: str
    classes: Sequence[str]
    answer: int
    shares: np.ndarray
    kind: str
    weights: np.ndarray
    query: tuple[int, int] | None
    box: tuple[int, int, int, int, int]

    @property
    def ends(self) -> tuple[float, float]:
        """The lowest and the highest value of the colours: weights begin at 0, gates at the lowest."""
        low = self.weights.min() if self.kind == "positions" else min(0.0, self.weights.min())
        return float(low), float(self.weights.max())


def shown_layer(layers: list[dict[str, Any]]) -> tuple[str, str]:
    """Name and kind of the map that is shown: the last, but of CBAM its positions."""
    named = [layer for layer in layers if "name" in layer]
    if not named:
        return "", "none"
    last = named[-1].get("spatial", named[-1])
    return last["name"], KINDS[last["kind"]]


def grid_of(n: int, size: Sequence[int]) -> tuple[int, int]:
    """Rows and columns of n positions: an image halved as often as it takes, or else a row."""
    for halved in (2**times for times in range(8)):
        rows, columns = (math.ceil(length / halved) for length in size)
        if rows * columns == n:
            return rows, columns
    return 1, n


def drawn(
    kind: str, weights: np.ndarray, size: Sequence[int], query: int | None
) -> tuple[np.ndarray, tuple[int, int] | None]:
    """What is drawn of an image's map, and row and column of the query that it is of, if of one."""
    if kind == "relation":
        queries, keys = (grid_of(count, size) for count in weights.shape)
        if query is None:
            return weights.mean(0).reshape(keys), None
        at = min(query, len(weights) - 1)
        return weights[at].reshape(keys), divmod(at, queries[1])
    if kind in ("shares", "positions"):
        return weights[0], None
    return weights.ravel() if kind == "channels" else weights, None


def say(phrase: str, **values: object) -> str:
    return PHRASES[phrase].format(**values)


def verdict(view: View) -> str:
    best = int(view.shares.argmax())
    right = "right" if best == view.answer else "wrong"
    return say(right, name=view.classes[best], share=whole(view.shares[best]))


def chart_words(view: View) -> str:
    bars = (
        say("bar", name=name, share=whole(share))
        for name, share in zip(view.classes, view.shares, strict=True)
    )
    return say("chart", all=", ".join(bars))


def note(view: View) -> str:
    """What the map says."""
    if view.kind == "none":
        return say("none")
    low, high = percent_of(view.weights.min()), percent_of(view.weights.max())
    if view.kind in ("positions", "channels", "shares"):
        return say(view.kind, count=view.weights.size, low=low, high=high)
    place = place_words(*divmod(int(view.weights.argmax()), view.weights.shape[1]))
    said = say("most", place=place, share=high)
    if view.kind == "relation":
        whose = (
            say("query", place=place_words(*view.query)) if view.query else say("mean_query")
        )
        said = whose + said
    if view.weights.min() >= 0 and view.weights.sum() > 0:
        inside = coverage(view.box, view.weights.shape)
        share = (inside * view.weights).sum() / view.weights.sum()
        said += say("inside", share=percent(share), even=percent(inside.mean()))
    return said


def coverage(box: tuple[int, int, int, int, int], grid: tuple[int, ...]) -> np.ndarray:
    """How much of each cell lies inside the digit's square."""
    top, left, side, h, w = box

    def along(start: int, length: int, count: int) -> np.ndarray:
        cell = length / count
        edges = np.arange(count + 1) * cell
        return (np.minimum(edges[1:], start + side) - np.maximum(edges[:-1], start)).clip(
            0
        ) / cell

    return np.outer(along(top, h, grid[0]), along(left, w, grid[1]))


def place_words(row: int, column: int) -> str:
    return say("place", row=row + 1, column=column + 1)


def whole(share: float) -> str:
    return f"{fixed(100 * share, 0)} %"


def percent_of(weight: float) -> str:
    return f"-{percent(-weight)}" if weight < 0 else percent(weight)
