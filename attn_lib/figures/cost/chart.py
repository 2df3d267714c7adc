"""The chart of a CostExplorer: one line a mechanism, on logarithmic axes. cost_explorer.js draws alike."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..skeleton import Tree
from .words import PHRASES

HEIGHT = 340
LEFT, TOP, RIGHT, BOTTOM = 52, 26, 26, 40  # margins; right of the axes is the longest name, too
LETTER, LABEL = 6.8, 15  # pixels that a letter and a line of a label take, about
TITLE = (4, 14)  # where the title begins
AXIS, STOP = 6, 16  # the axis's name above the lower edge, and its stops below the axis
BETWEEN = 2  # at least, between two stops
POWER = 6  # powers of ten left of the axis
LEADER = (2, 14, 18)  # right of the axes: where a leader begins and ends, and the name after it
PREFIXES = " kMGTP"  # of each third power of ten

# Of each mechanism: a colour with a contrast of at least 3 on white and on black, dashes, and a mark.
LOOKS = (
    ("#2f7ed8", "none", "M-4.5,0a4.5,4.5 0 1,0 9,0a4.5,4.5 0 1,0 -9,0z"),
    ("#c8650a", "9 3", "M-4,-4h8v8h-8z"),
    ("#2a8f4a", "2 3", "M0,-5.5l5,9h-10z"),
    ("#d6437b", "9 3 2 3", "M0,-6l6,6l-6,6l-6,-6z"),
    ("#8a63d2", "5 3", "M0,5.5l-5,-9h10z"),
    ("#9a7412", "14 4", "M-4,-4l8,8M4,-4l-8,8"),
    ("#128c94", "2 3 2 3 9 3", "M0,-6v12M-6,0h12"),
    ("#7d7d7d", "14 3 2 3", "M-6,-2.5h12v5h-12z"),
)

#: What the script needs to draw the same.
LAYOUT = {
    "HEIGHT": HEIGHT,
    "LEFT": LEFT,
    "TOP": TOP,
    "RIGHT": RIGHT,
    "BOTTOM": BOTTOM,
    "LETTER": LETTER,
    "LABEL": LABEL,
    "TITLE": TITLE,
    "AXIS": AXIS,
    "STOP": STOP,
    "BETWEEN": BETWEEN,
    "POWER": POWER,
    "LEADER": LEADER,
    "PREFIXES": PREFIXES,
    "LOOKS": LOOKS,
}


@dataclass(frozen=True)
class Line:
    """A mechanism: its curve, and where it stands now.

    Attributes:
        values: at the stops.
        at: the stop; None where its formula has no such letter.
        growth: in words, by what its value is multiplied when that doubles.
        own: the sizes that not all mechanisms have.
        widest: as `own`, the largest that one can choose.
        chosen: whether its formula is shown.
    """

    name: str
    values: Sequence[int]
    at: int | None
    value: int
    growth: str
    own: Mapping[str, int]
    widest: Mapping[str, int]
    chosen: bool


@dataclass(frozen=True)
class Scene:
    """What a chart shows.

    Attributes:
        title, axis: what is measured, and what runs from left to right.
        unit: after a number's prefix: "B", or nothing.
        stops: the values on the axis.
        now: where all mechanisms stand on it; None where each has a value of its own.
        decades: the vertical axis goes from 10 to the first up to 10 to the second.
    """

    title: str
    axis: str
    unit: str
    stops: Sequence[int]
    now: int | None
    decades: Sequence[int]
    lines: Sequence[Line]


@dataclass(frozen=True)
class Places:
    """Where a chart of some width has its parts: the axes end at `right` and `bottom`."""

    right: float
    bottom: int
    x: Callable[[int], float]
    y: Callable[[int], float]


def power_of_ten(exponent: int, unit: str) -> str:
    """As the axis writes it: "10 M", "100 kB"."""
    return f"{10 ** (exponent % 3)} {PREFIXES[exponent // 3].strip()}{unit}".strip()


def draw(scene: Scene, width: int) -> Tree:
    """The chart as SVG, laid out for a width in pixels."""
    places = _places(scene, width)
    drawn = [(i, line) for i, line in enumerate(scene.lines) if min(line.values) > 0]
    drawn.sort(key=lambda item: not item[1].chosen)  # the broad one beneath the others
    heights = spread([places.y(line.values[-1]) for _, line in drawn], TOP, places.bottom)
    now = [] if scene.now is None else [places.x(scene.now)]
    guides = (f"M{_at(x)},{TOP}V{places.bottom}" for x in now)
    said = PHRASES["chart"].format(title=scene.title, axis=scene.axis)
    return [
        "svg",
        {"viewBox": f"0 0 {width} {HEIGHT}", "role": "img", "aria-label": said},
        *_axes(scene, places),
        *(["path", {"class": "attn-guide", "d": guide}] for guide in guides),
        *(_curve(scene.stops, line, i, places) for i, line in drawn),
        *(
            part
            for (i, line), height in zip(drawn, heights, strict=True)
            for part in _end(line, i, places, height)
        ),
    ]


def swatch(look: int) -> Tree:
    """A mechanism's line and mark, as the table shows them."""
    box = {"viewBox": "0 0 40 14", "width": 40, "height": 14, "aria-hidden": "true"}
    return ["svg", box, _stroke("M0,7H40", look), _mark(20.0, 7.0, look)]


def spread(heights: list[float], top: int, bottom: int) -> list[float]:
    """The heights moved apart, in their order, so that labels there do not meet."""
    order = sorted(range(len(heights)), key=lambda i: heights[i])
    moved = list(heights)
    edge = float(top)
    for i in order:
        moved[i] = max(moved[i], edge)
        edge = moved[i] + LABEL
    edge = float(bottom)
    for i in reversed(order):
        moved[i] = min(moved[i], edge)
        edge = moved[i] - LABEL
    return moved


def _places(scene: Scene, width: int) -> Places:
    right = width - RIGHT - LETTER * max(len(line.name) for line in scene.lines)
    bottom = HEIGHT - BOTTOM
    first, last = math.log(scene.stops[0]), math.log(scene.stops[-1])
    low, high = scene.decades
    return Places(
        right,
        bottom,
        lambda size: LEFT + (right - LEFT) * (math.log(size) - first) / ((last - first) or 1),
        lambda value: bottom - (bottom - TOP) * (math.log10(value) - low) / (high - low),
    )


def _axes(scene: Scene, places: Places) -> list[Tree]:
    middle = _at((LEFT + places.right) / 2)
    made = [
        ["text", {"x": TITLE[0], "y": TITLE[1], "class": "attn-title"}, scene.title],
        ["text", {"x": middle, "y": HEIGHT - AXIS, "class": "attn-x"}, scene.axis],
    ]
    for decade in range(scene.decades[0], scene.decades[1] + 1):
        height = _at(places.y(10**decade))
        rule = f"M{LEFT},{height}H{_at(places.right)}"
        place = {"x": LEFT - POWER, "y": height, "class": "attn-y"}
        made.append(["path", {"class": "attn-rule", "d": rule}])
        made.append(["text", place, power_of_ten(decade, scene.unit)])
    free = 0.0  # where the label before ends
    for stop in scene.stops:
        if (x := places.x(stop)) >= free:
            place = {"x": _at(x), "y": places.bottom + STOP, "class": "attn-x"}
            made.append(["text", place, str(stop)])
            free = x + LETTER * len(str(stop)) + BETWEEN
    return made


def _curve(stops: Sequence[int], line: Line, look: int, places: Places) -> Tree:
    points = "L".join(
        f"{_at(places.x(stop))},{_at(places.y(value))}"
        for stop, value in zip(stops, line.values, strict=True)
    )
    tag, attributes = _stroke(f"M{points}", look)
    return [tag, attributes | {"class": _named("attn-curve", line)}]


def _end(line: Line, look: int, places: Places, height: float) -> list[Tree]:
    """What stands at a curve's right: its name and the leader to it; and the mark on it."""
    begin, end, name = (places.right + offset for offset in LEADER)
    leader = f"M{_at(begin)},{_at(places.y(line.values[-1]))}L{_at(end)},{_at(height)}"
    place = {"x": _at(name), "y": _at(height), "class": _named("attn-name", line)}
    made = [
        ["path", {"class": "attn-leader", "d": leader, "stroke": LOOKS[look][0]}],
        ["text", place, line.name],
    ]
    if line.at is not None:
        made.append(_mark(places.x(line.at), places.y(line.value), look))
    return made


def _named(kind: str, line: Line) -> str:
    return f"{kind} attn-chosen" if line.chosen else kind


def _stroke(path: str, look: int) -> Tree:
    colour, dashes, _ = LOOKS[look]
    return ["path", {"d": path, "stroke": colour, "stroke-dasharray": dashes}]


def _mark(x: float, y: float, look: int) -> Tree:
    colour, _, shape = LOOKS[look]
    place = {"d": shape, "transform": f"translate({_at(x)},{_at(y)})"}
    return ["path", {"class": "attn-mark", **place, "stroke": colour, "fill": colour}]


def _at(pixels: float) -> str:
    return f"{math.floor(10 * pixels + 0.5) / 10:g}"
