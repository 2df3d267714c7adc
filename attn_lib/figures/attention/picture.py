"""What a panel draws before its script runs: as attention_explorer.js draws it."""

import numpy as np
from PIL import Image, ImageDraw

from ..colours import QUANTITIES
from .relations import Grid
from .view import View

WIDTH = 360  # pixels


def draw(
    view: View, image: Image.Image, colours: bytes, ends: tuple[float, float], opacity: float
) -> Image.Image:
    """A dimmed grey image under colours, each as opaque as its weight is high.

    Args:
        view: the weights and the marks.
        image: under them.
        colours: 256 × RGB, from the lower end to the upper one.
        ends: of the scale, which panels share.
        opacity: where the weight is highest.
    """
    size = WIDTH, round(WIDTH * view.size[0] / view.size[1])

    def stretched(pixels: np.ndarray) -> np.ndarray:
        return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.NEAREST), float)

    table = np.frombuffer(colours, np.uint8).reshape(256, 3)
    grey = 0.75 * stretched(np.asarray(image.convert("L")))[..., None]
    low, high = ends
    levels = np.sqrt((view.weights - low) / ((high - low) or 1)) * 255
    levels = levels.round().astype(np.uint8)
    share = opacity * np.sqrt(stretched(levels)[..., None] / 255)
    blended = grey * (1 - share) + stretched(table[levels]) * share
    picture = Image.fromarray(blended.round().astype(np.uint8))
    _mark(ImageDraw.Draw(picture), view, size)
    return picture


def _mark(pen: ImageDraw.ImageDraw, view: View, size: tuple[int, int]) -> None:
    if view.panel["box"]:
        x, y = size[0] / view.size[1], size[1] / view.size[0]
        left, above, right, below = view.panel["box"]
        pen.rectangle(
            (left * x, above * y, right * x - 1, below * y - 1), outline="white", width=2
        )
    if view.kind == "relation":
        grid, cell = view.asked
        query, key = QUANTITIES["query"][1], QUANTITIES["key"][1]
        start = _edges(cell, grid, size)
        ends = [
            (_edges(at, view.weights.shape, size), weight / view.weights.max())
            for at, weight in view.links
        ]
        _link(pen, start, ends, query if view.reverse else key)
        pen.rectangle(start, outline=key if view.reverse else query, width=4)
    if view.marked:
        pen.rectangle(_edges(view.read, view.weights.shape, size), outline="white", width=2)


def _edges(cell: int, grid: Grid, size: tuple[int, int]) -> tuple[float, float, float, float]:
    row, column = divmod(cell, grid[1])
    w, h = size[0] / grid[1], size[1] / grid[0]
    return column * w, row * h, (column + 1) * w - 1, (row + 1) * h - 1


def _link(pen: ImageDraw.ImageDraw, start, ends: list, colour: str) -> None:
    def middle(edges):
        return (edges[0] + edges[2]) / 2, (edges[1] + edges[3]) / 2

    for line, casing in (("black", 2), ("white", 0)):
        for end, strength in ends:
            width = 1 + round(3 * strength) + casing
            pen.line((*middle(start), *middle(end)), fill=line, width=width)
    for end, _ in ends:
        pen.circle(middle(end), 5, fill=colour, outline="black", width=1)
