"""The weights of all channels as bars, stacked from their parts: channel_explorer.js draws them anew, alike."""

import math
from itertools import pairwise

import numpy as np

from ..skeleton import Tree
from .view import View, say

MOST_BARS = 64  # bars side by side: on a phone each is then 5 pixels wide
HEIGHTS = {1: 9.0, 2: 6.0}  # in rem, of one or two chunks of bars; of more: 3.5
# In a drawing's own units: a bar's width, what is free on both its sides, and the height of a weight of 1.
BAR, GAP, FULL = 10, 1, 1000


def bars(view: View) -> Tree:
    """A slider over the channels. It is invisible where no script runs, and what is in it is not."""
    _, parts, c = view.weights.shape
    order, count = view.order, math.ceil(c / MOST_BARS)
    size = math.ceil(c / count)
    levels = [k / max(2, parts) for k in range(max(2, parts) + 1)]
    chunks = (_chunk(view, order, start, size, levels) for start in range(0, c, size))
    state = {
        "aria-valuenow": order.tolist().index(view.channel) + 1,
        "aria-valuetext": say("channel", channel=view.channel),
    }
    slider = {"role": "slider", "tabindex": "0", "aria-label": say("slider")}
    ends = {"aria-valuemin": 1, "aria-valuemax": c}
    height = {"style": f"--attn-height: {HEIGHTS.get(count, 3.5):g}rem"}
    live = {"data-hole": "bars", "data-live": ""}
    return [
        "div",
        {"class": "attn-bars", **slider, **ends, **state, **live},
        *(
            ["div", {"class": "attn-chunk", **height, "data-hole": "chunk"}, *each]
            for each in chunks
        ),
    ]


def _chunk(
    view: View, order: np.ndarray, start: int, size: int, levels: list[float]
) -> list[Tree]:
    """An axis, the bars from `start` on, and which they are."""
    here = order[start : start + size]
    axis = (
        ["span", {"style": f"bottom: {100 * level:g}%"}, f"{level:.2g}"] for level in levels
    )
    lines = "".join(f"M0 {_y(level)}H{BAR * size}" for level in levels[1:-1])
    parts = (
        part_path(part, len(view.parts), filled, **{"data-hole": "part"})
        for part, filled in enumerate(_filled(view.weights[view.image][:, here]))
    )
    frame = "".join(
        f"M{BAR * i} 0h{BAR}v{FULL}h-{BAR}z" for i, k in enumerate(here) if k == view.channel
    )
    box = {"viewBox": f"0 0 {BAR * size} {FULL}", "preserveAspectRatio": "none"}
    svg = [
        "svg",
        {**box, "aria-hidden": "true"},
        *parts,
        path("level", lines),
        path("mean", _marks(view.weights.mean(axis=0)[:, here]), **{"data-hole": "mean"}),
        path("chosen", frame, **{"data-hole": "chosen"}),
    ]
    if view.ranked:
        named = say("ranks", first=start + 1, last=start + len(here))
    else:
        named = say("channels", first=start, last=start + len(here) - 1)
    return [
        ["div", {"class": "attn-axis", "aria-hidden": "true"}, *axis],
        svg,
        ["span", {"class": "attn-range", "data-hole": "range"}, named],
    ]


def _filled(weights: np.ndarray) -> list[str]:
    """The bars of each part, on top of those before it, for weights (parts, bars)."""
    edges = _edges(weights)
    return [
        "".join(
            f"M{BAR * i + GAP} {_y(low)}H{BAR * (i + 1) - GAP}V{_y(high)}H{BAR * i + GAP}z"
            for i, (low, high) in enumerate(zip(below, above, strict=True))
        )
        for below, above in pairwise(edges)
    ]


def _marks(means: np.ndarray) -> str:
    """A line at the upper edge of each mean (parts, bars): above the last part of several there is nothing."""
    edges = _edges(means)[1 : max(2, len(means))]
    return "".join(
        f"M{BAR * i} {_y(edge)}h{BAR}" for i, bar in enumerate(edges.T) for edge in bar
    )


def _edges(weights: np.ndarray) -> np.ndarray:
    return np.vstack([np.zeros(weights.shape[1]), weights.cumsum(axis=0)])


def _y(weight: float) -> int:
    return FULL - math.floor(FULL * weight + 0.5)


def part_path(part: int, parts: int, drawn: str, **more: str) -> Tree:
    """A path in the colour of one of the parts: the later, the lighter."""
    return path("part", drawn, **{"fill-opacity": f"{1 - part / parts:.2g}"}, **more)


def path(kind: str, drawn: str, **more: str) -> Tree:
    return ["path", {"class": f"attn-{kind}", "d": drawn, **more}]
