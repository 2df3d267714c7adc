"""The elements of a CostExplorer: its controls, its charts, its table."""

from collections.abc import Iterable, Mapping, Sequence

from ..skeleton import Tree, button, select, slider
from .chart import HEIGHT, Line, Scene, draw, swatch
from .settings import COUNTS
from .words import PHRASES, told

WIDE, NARROW = 720, 350  # pixels of the charts that stand before the script draws
FASTEST = 16  # no count grows more when a size doubles: n² does so, with the side


def formulas(paragraphs: Sequence[Tree], chosen: int) -> Tree:
    """The paragraph of the chosen formula, with room for any."""
    place = {"class": "attn-formula attn-stack", "data-hole": "formula"}
    return ["div", place, *_one_of(paragraphs, chosen)]


def choices(
    count: str,
    along: str,
    stops: Mapping[str, list],
    sizes: Mapping[str, int | None],
    stages: Sequence[Sequence[int]],
) -> list[Tree]:
    """The controls above the chart.

    Args:
        count, along: what is chosen.
        stops: what the slider of each letter offers.
        sizes: where it stands.
        stages: the channels and the side of each stage that one may jump to.
    """
    made = [
        select("count", PHRASES["count_label"], _said(COUNTS), list(COUNTS).index(count)),
        select("along", PHRASES["along_label"], _said(stops), list(stops).index(along)),
    ]
    for letter, offered in stops.items():
        size = sizes[letter]
        said = PHRASES["own"] if size is None else str(size)
        ends = 0, len(offered) - 1
        made.append(slider("size", PHRASES[letter], ends, offered.index(size), said))
    if stages:
        group = {"class": "attn-stages", "role": "group", "aria-label": PHRASES["stages_label"]}
        named = (PHRASES["stage"].format(c=c, side=side) for c, side in stages)
        buttons = (button("stage", name) for name in named)
        made.append(["span", group, ["span", {}, PHRASES["stages"]], *buttons])
    return made


def charts(scene: Scene) -> Tree:
    """The chart twice: the style shows one that suits the page, until the script draws one that fits it."""
    place = {"class": "attn-chart", "style": f"height: {HEIGHT}px", "data-hole": "chart"}
    return ["div", place, draw(scene, WIDE), draw(scene, NARROW)]


def table(
    setting: str,
    lines: Sequence[Line],
    count: str,
    along: str,
    letters: Sequence[str],
    highest: int,
) -> Tree:
    """The numbers under the chart.

    Args:
        setting: its caption.
        lines: its rows.
        count, along: what is chosen, of all counts and of the letters.
        highest: the power of ten that no number reaches, so that there is room for all digits.
    """
    doubled = _said(f"{letter} doubled" for letter in letters)
    growth = PHRASES["growth"].format(times=f"{FASTEST}.00")
    heads = (
        PHRASES["mechanism"],
        _head("measured", _said(COUNTS), list(COUNTS).index(count), f"{10**highest - 1:,}"),
        _head("doubled", doubled, letters.index(along), growth),
    )
    rows = (_row(line, look) for look, line in enumerate(lines))
    chosen = next(i for i, line in enumerate(lines) if line.chosen)
    return [
        "table",
        {"class": "attn-numbers"},
        ["caption", {"data-hole": "setting"}, setting],
        ["thead", {}, ["tr", {}, *(["th", {"scope": "col"}, head] for head in heads)]],
        ["tbody", {"data-hole": "rows"}, *_one_of(rows, chosen)],
    ]


def _row(line: Line, look: int) -> Tree:
    name = ["span", {"class": "attn-name"}, line.name]
    own = ["span", {"data-hole": "own"}, told(line.own)]
    sizes = _one_of([own, ["span", {}, told(line.widest)]], 0)
    return [
        "tr",
        {},
        [
            "th",
            {"scope": "row"},
            swatch(look),
            " ",
            name,
            " ",
            ["small", {"class": "attn-stack"}, *sizes],
        ],
        ["td", {"data-hole": "number"}, f"{line.value:,}"],
        ["td", {"data-hole": "growth"}, line.growth],
    ]


def _said(names: Iterable[str]) -> list[str]:
    return [PHRASES[name] for name in names]


def _head(hole: str, names: Sequence[str], chosen: int, widest: str) -> Tree:
    """The name of what a column now has; there is room for each, and for the widest entry."""
    made = _one_of((["span", {}, name] for name in names), chosen)
    room = ["span", {"class": "attn-room"}, widest]
    return ["span", {"class": "attn-stack", "data-hole": hole}, *made, room]


def _one_of(trees: Iterable[Tree], chosen: int) -> list[Tree]:
    return [
        [tag, attributes | ({"data-chosen": ""} if i == chosen else {}), *children]
        for i, (tag, attributes, *children) in enumerate(trees)
    ]
