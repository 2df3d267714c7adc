"""What an AttentionExplorer says, and how it looks before its script runs: as attention_explorer.js has it."""

import html
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image, ImageDraw

from ...instruments.localisation import coverage
from ..base import to_data_url
from ..colours import QUANTITIES, colour_bar
from ..controls import checkbox, select, slider

if TYPE_CHECKING:
    from .explorer import AttentionExplorer

DIRECTIONS = {"looks at": "where it looks", "is looked at by": "who looks at it"}
PANEL = 360  # pixels of a panel's width


def describe(figure: "AttentionExplorer", panel: dict) -> str:
    """What a panel shows, in words."""
    weights = figure.attention_map(panel["name"])
    gate, reverse = panel["kind"] == "gate", figure.reverses(panel)
    on = "from" if reverse else "on"
    if reverse and not weights.any():
        return f"{_chosen(figure, panel)}no weight from any position"
    best = place(int(weights.argmax()), weights.shape[1])
    said = [f"{'highest' if gate else 'most'} {on} {best}: {percent(weights.max())}"]
    if gate:
        said.append(f"mean {percent(weights.mean())}")
    if panel["box"] and weights.any():
        box = torch.tensor([panel["box"]])
        inside = coverage(box, weights.shape, tuple(figure.size))[0].double().numpy()
        share = (weights * inside).sum() / (inside if gate else weights).sum()
        said.append(f"{percent(share)} {'from inside' if reverse else 'inside'} the box")
    read = figure.place_in(weights.shape, figure.query if figure.cell is None else figure.cell)
    own = panel["kind"] == "relation" and read == figure.place_in(weights.shape, figure.query)
    where = "itself" if own else place(read, weights.shape[1])
    said.append(f"{percent(weights.ravel()[read])} {on} {where}")
    if reverse:
        rows, columns = panel["cells"]
        even = fixed(weights.sum() * rows * columns / weights.size, 1)
        said.append(f"in all {even} × an even share")
    return _chosen(figure, panel) + "; ".join(said)


def still(figure: "AttentionExplorer") -> str:
    """The elements that attention_explorer.js makes, so that nothing moves when it takes over."""
    tops: dict[str, float] = {}
    for panel in figure.panels:
        top = float(figure.attention_map(panel["name"]).max())
        tops[_scale(panel)] = max(tops.get(_scale(panel), 0.0), top)
    colours = np.frombuffer(figure.colours, np.uint8).reshape(256, 3)
    panels = "".join(
        _panel(figure, panel, colours, tops[_scale(panel)]) for panel in figure.panels
    )
    scales = "".join(
        f'<div class="attn-scale">{scale} 0 % {colour_bar()} {percent(top)}, '
        f"middle {percent(top / 4)}</div>"
        for scale, top in tops.items()
    )
    return (
        f'<div class="attn-living attn-explorer attn-still" role="group" aria-label="{html.escape(figure.alt)}">'
        f'<div class="attn-controls">{"".join(_controls(figure))}</div>'
        f'<div class="attn-panels">{panels}</div><div class="attn-foot">'
        f"<span>{_position(figure)}: {place(figure.query, figure.grid[1])}. "
        f'<span class="attn-hint">☞ Point, tap, or press arrow keys.</span></span>{scales}</div></div>'
    )


def _controls(figure: "AttentionExplorer") -> Iterator[str]:
    relations = any(panel["kind"] == "relation" for panel in figure.panels)
    if (layers := figure.most("layers")) > 1:
        yield slider("Layer", f"{figure.layer + 1} of {layers}")
    if (heads := figure.most("heads")) > 1:
        yield select("Head", ["mean of heads", *(f"{head + 1}" for head in range(heads))])
    if relations:
        yield select("Show", list(DIRECTIONS.values()))
        yield slider("Links", f"{figure.links}")
    yield slider("Opacity", f"{round(100 * figure.opacity)} %")
    if relations:
        yield checkbox("Hold, and read other cells")


def _panel(figure: "AttentionExplorer", panel: dict, colours: np.ndarray, top: float) -> str:
    name, words = html.escape(panel["name"]), html.escape(describe(figure, panel))
    picture = to_data_url(_picture(figure, panel, colours, top))
    return (
        f'<figure><img src="{picture}" alt="{name}: {words}">'
        f"<figcaption><strong>{name}</strong> <span>{words}</span>"
        f'<span class="attn-unseen">{_links(figure, panel)}</span></figcaption></figure>'
    )


def _picture(
    figure: "AttentionExplorer", panel: dict, colours: np.ndarray, top: float
) -> Image.Image:
    # A dimmed grey image under a colour as opaque as the weight is high.
    size = PANEL, round(PANEL * figure.size[0] / figure.size[1])

    def stretched(pixels: np.ndarray) -> np.ndarray:
        return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.NEAREST), float)

    weights = figure.attention_map(panel["name"])
    grey = 0.75 * stretched(np.asarray(figure.pictures[panel["image"]].convert("L")))[..., None]
    levels = (np.sqrt(weights / (top or 1)) * 255).round().astype(np.uint8)
    opacity = figure.opacity * np.sqrt(stretched(levels)[..., None] / 255)
    blended = grey * (1 - opacity) + stretched(colours[levels]) * opacity
    picture = Image.fromarray(blended.round().astype(np.uint8))
    _mark(ImageDraw.Draw(picture), figure, panel, weights, size)
    return picture


def _mark(
    draw: ImageDraw.ImageDraw,
    figure: "AttentionExplorer",
    panel: dict,
    weights: np.ndarray,
    size: tuple[int, int],
) -> None:
    if panel["box"]:
        x, y = size[0] / figure.size[1], size[1] / figure.size[0]
        left, above, right, below = panel["box"]
        draw.rectangle(
            (left * x, above * y, right * x - 1, below * y - 1), outline="white", width=2
        )
    relation = panel["kind"] == "relation"
    if relation:
        reverse = figure.reverses(panel)
        asked = panel["cells"] if reverse else figure.grid
        query, key = QUANTITIES["query"][1], QUANTITIES["key"][1]
        start = _edges(figure.place_in(asked, figure.query), asked, size)
        ends = [
            (_edges(at, weights.shape, size), weight / weights.max())
            for at, weight in figure.strongest(panel["name"])
        ]
        _link(draw, start, ends, query if reverse else key)
        draw.rectangle(start, outline=key if reverse else query, width=4)
    if figure.cell is not None or not relation:
        read = _edges(_read(figure, weights), weights.shape, size)
        draw.rectangle(read, outline="white", width=2)


def _read(figure: "AttentionExplorer", weights: np.ndarray) -> int:
    """The cell whose weight is told."""
    position = figure.query if figure.cell is None else figure.cell
    return figure.place_in(weights.shape, position)


def _edges(cell: int, grid, size: tuple[int, int]) -> tuple[float, float, float, float]:
    row, column = divmod(cell, grid[1])
    w, h = size[0] / grid[1], size[1] / grid[0]
    return column * w, row * h, (column + 1) * w - 1, (row + 1) * h - 1


def _link(draw: ImageDraw.ImageDraw, start, ends: list, colour: str) -> None:
    def middle(edges):
        return (edges[0] + edges[2]) / 2, (edges[1] + edges[3]) / 2

    for line, casing in (("black", 2), ("white", 0)):
        for end, strength in ends:
            width = 1 + round(3 * strength) + casing
            draw.line((*middle(start), *middle(end)), fill=line, width=width)
    for end, _ in ends:
        draw.circle(middle(end), 5, fill=colour, outline="black", width=1)


def _links(figure: "AttentionExplorer", panel: dict) -> str:
    columns = figure.attention_map(panel["name"]).shape[1]
    links = figure.strongest(panel["name"])
    told = [f"{place(at, columns)} ({percent(weight)})" for at, weight in links]
    return f" Links: {', '.join(told)}." if told else ""


def _chosen(figure: "AttentionExplorer", panel: dict) -> str:
    chosen = [f"layer {figure.layer + 1}"] if panel["layers"] > 1 else []
    if panel["heads"] > 1:
        chosen.append("mean of heads" if figure.head is None else f"head {figure.head + 1}")
    return f"{', '.join(chosen)}: " if chosen else ""


def _position(figure: "AttentionExplorer") -> str:
    if all(panel["kind"] != "relation" for panel in figure.panels):
        return "Position"
    return "Query" if figure.direction == "looks at" else "Key"


def _scale(panel: dict) -> str:
    # Gates do not share a sum, and have a scale of their own.
    return "gate" if panel["kind"] == "gate" else "weight"


def place(cell: int, columns: int) -> str:
    return f"row {cell // columns + 1}, column {cell % columns + 1}"


def percent(weight: float) -> str:
    return f"{fixed(100 * weight, 1 if weight < 0.0995 else 0)} %"


def fixed(number: float, digits: int) -> str:
    """As JavaScript's toFixed: a half goes up, where Python's own formatting takes it to the even digit."""
    exact = Decimal(float(number))
    return str(exact.quantize(Decimal(10) ** -digits, ROUND_HALF_UP))
