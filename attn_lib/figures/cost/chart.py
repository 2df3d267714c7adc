"""The chart of a CostExplorer: one line a mechanism, on logarithmic axes. cost_explorer.js draws alike."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, tostring

HEIGHT = 340
LEFT, TOP, BOTTOM = 52, 26, 40  # margins; the right one is as wide as the longest name
LETTER, LABEL = 6.8, 15  # pixels that a letter and a line of a label take, about

# Of each mechanism: a colour with a contrast of at least 3 on white and on black, dashes, and a mark.
LOOKS = (
    ("#2f7ed8", "", "M-4.5,0a4.5,4.5 0 1,0 9,0a4.5,4.5 0 1,0 -9,0z"),
    ("#c8650a", "9 3", "M-4,-4h8v8h-8z"),
    ("#2a8f4a", "2 3", "M0,-5.5l5,9h-10z"),
    ("#d6437b", "9 3 2 3", "M0,-6l6,6l-6,6l-6,-6z"),
    ("#8a63d2", "5 3", "M0,5.5l-5,-9h10z"),
    ("#9a7412", "14 4", "M-4,-4l8,8M4,-4l-8,8"),
    ("#128c94", "2 3 2 3 9 3", "M0,-6v12M-6,0h12"),
    ("#7d7d7d", "14 3 2 3", "M-6,-2.5h12v5h-12z"),
)


@dataclass(frozen=True)
class Line:
    """A mechanism's curve: its values at the stops, and where it stands now."""

    name: str
    values: Sequence[int]
    at: int | None  # None where its formula has no such letter
    value: int
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
    decades: tuple[int, int]
    lines: Sequence[Line]


def make(tag: str, attributes: Mapping[str, object], *children: "str | Element") -> Element:
    """An element as common.js makes it: strings become text, never markup."""
    element = Element(tag, {name: str(value) for name, value in attributes.items()})
    for child in children:
        if isinstance(child, Element):
            element.append(child)
        elif len(element):
            element[-1].tail = (element[-1].tail or "") + child
        else:
            element.text = (element.text or "") + child
    return element


def to_html(element: Element) -> str:
    # As XML, which escapes "<" in attributes too; HTML alone has elements that never close.
    text = tostring(element, encoding="unicode", short_empty_elements=False)
    return text.replace("></input>", ">")


def power_of_ten(exponent: int, unit: str) -> str:
    """As the axis writes it: "10 M", "100 kB"."""
    return f"{10 ** (exponent % 3)} {' kMGTP'[exponent // 3].strip()}{unit}".strip()


def draw(scene: Scene, width: int) -> Element:
    """The chart as SVG, laid out for a width in pixels."""
    right = width - 26 - LETTER * max(len(line.name) for line in scene.lines)
    bottom = HEIGHT - BOTTOM
    first, last = math.log(scene.stops[0]), math.log(scene.stops[-1])
    low, high = scene.decades

    def x(size: int) -> float:
        return LEFT + (right - LEFT) * (math.log(size) - first) / ((last - first) or 1)

    def y(value: int) -> float:
        return bottom - (bottom - TOP) * (math.log10(value) - low) / (high - low)

    said = f"{scene.title} against {scene.axis}: one line a mechanism, with the numbers in the table below"
    svg = make("svg", {"viewBox": f"0 0 {width} {HEIGHT}", "role": "img", "aria-label": said})
    _axes(svg, scene, x, y, (right, bottom))
    if scene.now is not None:
        guide = f"M{_at(x(scene.now))},{TOP}V{bottom}"
        svg.append(make("path", {"class": "attn-guide", "d": guide}))
    drawn = [(i, line) for i, line in enumerate(scene.lines) if min(line.values) > 0]
    drawn.sort(key=lambda item: not item[1].chosen)  # the broad one beneath the others
    heights = spread([y(line.values[-1]) for _, line in drawn], TOP, bottom)
    svg.extend(_curve(scene, line, i, x, y) for i, line in drawn)
    for (i, line), height in zip(drawn, heights, strict=True):
        svg.extend(_label(line, i, right, y(line.values[-1]), height))
        if line.at is not None:
            svg.append(_mark(x(line.at), y(line.value), i))
    return svg


def swatch(look: int) -> Element:
    """A mechanism's line and mark, as the table shows them."""
    box = {"viewBox": "0 0 40 14", "width": 40, "height": 14, "aria-hidden": "true"}
    return make("svg", box, _stroke("M0,7H40", look), _mark(20.0, 7.0, look))


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


def _axes(svg: Element, scene: Scene, x, y, corner: tuple[float, int]) -> None:
    right, bottom = corner
    svg.append(make("text", {"x": 4, "y": 14, "class": "attn-title"}, scene.title))
    middle = _at((LEFT + right) / 2)
    svg.append(make("text", {"x": middle, "y": HEIGHT - 6, "class": "attn-x"}, scene.axis))
    for decade in range(scene.decades[0], scene.decades[1] + 1):
        height = _at(y(10**decade))
        rule = {"class": "attn-rule", "d": f"M{LEFT},{height}H{_at(right)}"}
        svg.append(make("path", rule))
        place = {"x": LEFT - 6, "y": height, "class": "attn-y"}
        svg.append(make("text", place, power_of_ten(decade, scene.unit)))
    free = 0.0  # where the label before ends
    for stop in scene.stops:
        if x(stop) >= free:
            place = {"x": _at(x(stop)), "y": bottom + 16, "class": "attn-x"}
            svg.append(make("text", place, str(stop)))
            free = x(stop) + LETTER * len(str(stop)) + 2


def _curve(scene: Scene, line: Line, look: int, x, y) -> Element:
    places = zip(scene.stops, line.values, strict=True)
    points = "L".join(f"{_at(x(stop))},{_at(y(value))}" for stop, value in places)
    curve = _stroke(f"M{points}", look)
    curve.set("class", "attn-curve attn-chosen" if line.chosen else "attn-curve")
    return curve


def _label(line: Line, look: int, right: float, end: float, height: float) -> list[Element]:
    leader = f"M{_at(right + 2)},{_at(end)}L{_at(right + 14)},{_at(height)}"
    place = {"x": _at(right + 18), "y": _at(height), "class": "attn-name"}
    if line.chosen:
        place["class"] += " attn-chosen"
    stroke = {"class": "attn-leader", "d": leader, "stroke": LOOKS[look][0]}
    return [make("path", stroke), make("text", place, line.name)]


def _stroke(path: str, look: int) -> Element:
    colour, dashes, _ = LOOKS[look]
    return make("path", {"d": path, "stroke": colour, "stroke-dasharray": dashes or "none"})


def _mark(x: float, y: float, look: int) -> Element:
    colour, _, shape = LOOKS[look]
    place = f"translate({_at(x)},{_at(y)})"
    marked = {"class": "attn-mark", "d": shape, "transform": place}
    return make("path", marked | {"stroke": colour, "fill": colour})


def _at(pixels: float) -> str:
    return f"{math.floor(10 * pixels + 0.5) / 10:g}"
