"""The still CostExplorer: its controls, table, formula and text, as cost_explorer.js makes them."""

from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

from .chart import draw, make, swatch

if TYPE_CHECKING:
    from .explorer import CostExplorer

HINT = "☞ Point at the chart, or tap it."
OWN = "each its own"
WIDE, NARROW = 720, 350  # pixels of the still charts


def body(figure: "CostExplorer") -> Element:
    """The whole figure."""
    scene = figure.scene()
    outer = {
        "class": "attn-living attn-cost attn-still",
        "role": "group",
        "aria-label": figure.alt,
    }
    charts = {"attn-wide": WIDE, "attn-narrow": NARROW}
    return make(
        "div",
        outer,
        _controls(figure),
        *(
            make("div", {"class": f"attn-chart {kind}"}, draw(scene, width))
            for kind, width in charts.items()
        ),
        make("div", {"class": "attn-foot"}, make("span", {"class": "attn-hint"}, HINT)),
        _table(figure),
        _formula(figure),
    )


def as_text(figure: "CostExplorer") -> str:
    """The figure for a terminal: what one sees, and every count at the setting."""
    counts = figure.counts
    rows = [["", *(counts[count]["title"] for count in counts)]]
    for mechanism in figure.mechanisms:
        name = mechanism["name"]
        said = f"{name} ({_with(figure, mechanism)})".replace(" ()", "")
        rows.append([said, *(f"{figure.value(name, count=count):,}" for count in counts)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
    return "\n".join([figure.alt, _setting(figure), *lines])


def _controls(figure: "CostExplorer") -> Element:
    titles = [known["title"] for known in figure.counts.values()]
    labels = [known["label"] for known in figure.letters.values()]
    sliders = (
        _slider(known["label"], known["stops"], figure.sizes[letter])
        for letter, known in figure.letters.items()
    )
    stages = [
        make("button", {"type": "button", "class": "attn-button"}, _stage(c, side))
        for c, side in figure.stages
    ]
    return make(
        "div",
        {"class": "attn-controls"},
        _select("Measure", titles, list(figure.counts).index(figure.count)),
        _select("along", labels, list(figure.letters).index(figure.along)),
        *sliders,
        *([_buttons(stages)] if stages else []),
    )


def _select(label: str, options: list[str], chosen: int) -> Element:
    made = [make("option", {"value": i}, option) for i, option in enumerate(options)]
    made[chosen].set("selected", "")
    return make("label", {"class": "attn-control"}, f"{label} ", make("select", {}, *made))


def _slider(label: str, stops: list[int | None], size: int | None) -> Element:
    index = stops.index(size)
    place = {"type": "range", "min": 0, "max": len(stops) - 1, "step": 1, "value": index}
    control = make("input", place)
    said = make("output", {}, OWN if size is None else str(size))
    return make("label", {"class": "attn-control"}, f"{label} ", control, " ", said)


def _buttons(buttons: list[Element]) -> Element:
    group = {"class": "attn-stages", "role": "group", "aria-label": "Stages of ResNet-18"}
    return make("span", group, make("span", {}, "ResNet-18: "), *buttons)


def _stage(c: int, side: int) -> str:
    return f"{c} × {side} × {side}"


def _table(figure: "CostExplorer") -> Element:
    heads = [
        "mechanism",
        figure.counts[figure.count]["title"],
        f"when {figure.letters[figure.along]['doubles']}",
    ]
    rows = []
    for look, mechanism in enumerate(figure.mechanisms):
        name = mechanism["name"]
        own = make("small", {}, _with(figure, mechanism))
        chosen = {"class": "attn-chosen"} if name == figure.chosen else {}
        first = make(
            "th", {"scope": "row"}, swatch(look), " ", make("span", {}, name), " ", own
        )
        number = make("td", {}, f"{figure.value(name):,}")
        rows.append(make("tr", chosen, first, number, make("td", {}, figure.growth(name))))
    return make(
        "table",
        {"class": "attn-numbers"},
        make("caption", {}, _setting(figure)),
        make(
            "thead", {}, make("tr", {}, *(make("th", {"scope": "col"}, head) for head in heads))
        ),
        make("tbody", {}, *rows),
    )


def _formula(figure: "CostExplorer") -> Element:
    mechanism = next(m for m in figure.mechanisms if m["name"] == figure.chosen)
    count = figure.counts[figure.count]
    maths = mechanism["maths"][figure.count]
    terms = [part for term in maths["terms"] for part in (" ", _built(term))][1:]
    where = [
        part
        for i, part in enumerate(maths["where"])
        for part in (", " if i else " where ", _built(part))
    ]
    before = f"{count['title']} of {figure.chosen} = " + (
        f"{count['factor']} × (" if count["factor"] > 1 else ""
    )
    names = [known["name"] for known in figure.mechanisms]
    control = _select("Formula of", names, names.index(figure.chosen))
    return make(
        "div",
        {"class": "attn-formula"},
        make("div", {"class": "attn-controls"}, control),
        make("p", {}, before, *terms, ")" if count["factor"] > 1 else "", *where),
    )


def _built(tree: list) -> Element:
    tag, attributes, *children = tree
    return make(
        tag,
        attributes,
        *(child if isinstance(child, str) else _built(child) for child in children),
    )


def _setting(figure: "CostExplorer") -> str:
    side, c = figure.sizes["side"], figure.sizes["c"]
    return f"b = {figure.batch}, c = {c}, h = w = {side}"


def _with(figure: "CostExplorer", mechanism: dict) -> str:
    """The sizes of its own: "r = 16, k = 7"."""
    return ", ".join(
        f"{letter} = {size}" for letter, size in figure.own(mechanism["name"]).items()
    )
