"""AttentionExplorer: point at a position of an image and see where it looks."""

import html
from collections.abc import Mapping

import numpy as np
import torch
import traitlets
from jaxtyping import Float, Int
from PIL import Image, ImageDraw
from torch import Tensor

from ..data import coverage
from .base import LivingFigure, to_data_url, to_picture
from .colours import QUANTITIES, colour_bar, colour_table

PANEL = 360  # pixels of a panel's width in the still picture
HINT = "☞ Point, tap, or press arrow keys."


class AttentionExplorer(LivingFigure):
    """Where does a position look? One panel a relation, all with the same query.

    Hover a position to see its row of weights; click, tap or press the arrow keys to choose it. `query` is
    the chosen position, counted row by row: set it from Python or `observe` it.

    Args:
        image: (3, h, w), values in [0, 1].
        maps: a name, and the (n, m) weights of one image under it; each row sums to 1.
        alt: what one sees in the first picture.
        grid: rows and columns of the n queries; None means a square.
        key_grid: rows and columns of the m keys; None means `grid`.
        query: the position chosen first; None means the centre of the box or of the grid.
        box: left, top, right, bottom of the object in the image's pixels, drawn as an outline.

    Raises:
        ValueError: there is no map, weights are negative, not finite or do not sum to 1, the grids do not
            match the maps, or the image is smaller than a grid.
    """

    name = "attention_explorer"

    image = traitlets.Unicode().tag(sync=True)  # a data URL
    size = traitlets.List(traitlets.Int()).tag(sync=True)  # the image's height and width
    grid = traitlets.List(traitlets.Int()).tag(sync=True)
    key_grid = traitlets.List(traitlets.Int()).tag(sync=True)
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    weights = traitlets.Bytes().tag(
        sync=True
    )  # uint8 (maps, n, m): each row scaled by its own peak
    peaks = traitlets.Bytes().tag(sync=True)  # float32 (maps, n)
    box = traitlets.List(traitlets.Int()).tag(sync=True)  # or empty
    colours = traitlets.Bytes().tag(sync=True)  # 256 × RGB
    query = traitlets.Int().tag(sync=True)

    def __init__(
        self,
        image: Float[Tensor, "3 h w"],
        maps: Mapping[str, Float[Tensor, "n m"]],
        *,
        alt: str,
        grid: tuple[int, int] | None = None,
        key_grid: tuple[int, int] | None = None,
        query: int | None = None,
        box: Int[Tensor, "4"] | None = None,
    ):
        relations = _require_relations(maps)
        grid = grid or _square(relations.shape[1])
        key_grid = key_grid or (
            grid if relations.shape[1] == relations.shape[2] else _square(relations.shape[2])
        )
        _require_fit(tuple(image.shape), grid, key_grid, tuple(relations.shape[1:]))
        outline = [] if box is None else [int(edge) for edge in box]
        if query is None:
            query = _centre(outline, tuple(image.shape[1:]), grid)
        peaks = relations.max(axis=2)
        self._image = to_picture(image)
        super().__init__(
            alt=alt,
            image=to_data_url(self._image),
            size=list(image.shape[1:]),
            grid=list(grid),
            key_grid=list(key_grid),
            names=list(maps),
            weights=(relations / peaks[..., None] * 255).round().astype(np.uint8).tobytes(),
            peaks=peaks.astype("<f4").tobytes(),
            box=outline,
            colours=colour_table(),
            query=query,
        )

    @traitlets.validate("query")
    def _check_query(self, proposal):
        n = self.grid[0] * self.grid[1]
        if not 0 <= proposal["value"] < n:
            raise ValueError(
                f"the query must be one of {n} positions, 0 to {n - 1}; got {proposal['value']}"
            )
        return proposal["value"]

    def row(self, name: str, query: int | None = None) -> np.ndarray:
        """The weights (rows, columns) that the figure draws for one query, as quantised."""
        index, query = self.names.index(name), self.query if query is None else query
        n, m = self.grid[0] * self.grid[1], self.key_grid[0] * self.key_grid[1]
        weights = np.frombuffer(self.weights, np.uint8).reshape(-1, n, m)[index, query]
        peak = np.frombuffer(self.peaks, "<f4").reshape(-1, n)[index, query]
        return (weights / 255 * peak).reshape(self.key_grid)

    def describe(self, name: str) -> str:
        """What the chosen query looks at, in words."""
        row = self.row(name)
        best = divmod(int(row.argmax()), self.key_grid[1])
        said = f"most on {_place(best)}: {_percent(row.max())}"
        if self.box:
            box = torch.tensor([self.box])
            inside = coverage(box, tuple(self.key_grid), tuple(self.size))[0].numpy()
            said += f"; {_percent((row * inside).sum() / row.sum())} inside the box"
        return said

    def still(self) -> str:
        # The elements that attention_explorer.js makes, so that nothing moves when it takes over.
        top = max(self.row(name).max() for name in self.names)
        panels = "".join(
            f'<figure><img src="{to_data_url(self._panel(self.row(name) / top))}" '
            f'alt="{html.escape(name)}: {self.describe(name)}">'
            f"<figcaption><strong>{html.escape(name)}</strong> <span>{self.describe(name)}</span></figcaption></figure>"
            for name in self.names
        )
        query = _place(divmod(self.query, self.grid[1]))
        return (
            f'<div class="attn-living attn-explorer attn-still" role="group" aria-label="{html.escape(self.alt)}">'
            f'<div class="attn-panels">{panels}</div><div class="attn-foot">'
            f'<span>Query: {query}. <span class="attn-hint">{HINT}</span></span>'
            f'<div class="attn-scale">weight 0 % {colour_bar()} {_percent(top)}, middle {_percent(top / 4)}'
            "</div></div></div>"
        )

    def _panel(self, heat: np.ndarray) -> Image.Image:
        # The blend of attention_explorer.js: a dimmed grey image under a colour as opaque as the weight is high.
        height = round(PANEL * self.size[0] / self.size[1])

        def stretched(pixels: np.ndarray) -> np.ndarray:
            return np.asarray(
                Image.fromarray(pixels).resize((PANEL, height), Image.Resampling.NEAREST), float
            )

        grey = 0.75 * stretched(np.asarray(self._image.convert("L")))[..., None]
        levels = (np.sqrt(heat) * 255).round().astype(np.uint8)
        colour = stretched(np.frombuffer(self.colours, np.uint8).reshape(256, 3)[levels])
        opacity = 0.9 * np.sqrt(stretched(levels)[..., None] / 255)
        panel = Image.fromarray(
            (grey * (1 - opacity) + colour * opacity).round().astype(np.uint8)
        )
        draw = ImageDraw.Draw(panel)
        scale = PANEL / self.size[1], height / self.size[0]
        if self.box:
            edges = [edge * scale[i % 2] - i // 2 for i, edge in enumerate(self.box)]
            draw.rectangle(edges, outline="white", width=2)
        row, column = divmod(self.query, self.grid[1])
        w, h = PANEL / self.grid[1], height / self.grid[0]
        marker = (column * w, row * h, (column + 1) * w - 1, (row + 1) * h - 1)
        draw.rectangle(marker, outline=QUANTITIES["query"][1], width=4)
        return panel


def _place(cell: tuple[int, int]) -> str:
    return f"row {cell[0] + 1}, column {cell[1] + 1}"


def _percent(weight: float) -> str:
    return f"{100 * weight:.{1 if weight < 0.0995 else 0}f} %"


def _require_relations(maps: Mapping[str, Tensor]) -> np.ndarray:
    """The maps as one array (maps, n, m), or a ValueError that says what is wrong with which."""
    if not maps:
        raise ValueError(
            "an AttentionExplorer wants at least one map of weights (n, m); got none"
        )
    shapes = {name: tuple(weights.shape) for name, weights in maps.items()}
    if len(set(shapes.values())) > 1 or any(len(shape) != 2 for shape in shapes.values()):
        raise ValueError(
            f"the maps of an AttentionExplorer want one shape (n, m); got {shapes}"
        )
    for name, weights in maps.items():
        if not torch.isfinite(weights).all() or weights.min() < 0:
            low, high = weights.min().item(), weights.max().item()
            raise ValueError(
                f"weights are finite and not negative; map {name!r} goes from {low} to {high}"
            )
        if (error := (weights.sum(1) - 1).abs().max().item()) > 1e-3:
            raise ValueError(
                f"each row of weights sums to 1; in map {name!r} a row is off by {error:.3g}"
            )
    return torch.stack([weights.detach().float().cpu() for weights in maps.values()]).numpy()


def _require_fit(
    image: tuple, grid: tuple[int, int], key_grid: tuple[int, int], weights: tuple[int, int]
) -> None:
    if grid[0] * grid[1] != weights[0] or key_grid[0] * key_grid[1] != weights[1]:
        raise ValueError(
            f"weights of shape {weights} do not match queries on a grid of {grid} and keys on {key_grid}"
        )
    if (
        len(image) != 3
        or image[0] != 3
        or image[1] < max(grid[0], key_grid[0])
        or image[2] < max(grid[1], key_grid[1])
    ):
        raise ValueError(
            f"an image (3, h, w) at least as large as the grid {grid} is wanted; got {image}"
        )


def _square(cells: int) -> tuple[int, int]:
    side = round(cells**0.5)
    if side * side != cells:
        raise ValueError(f"{cells} positions are no square: say their grid=(rows, columns)")
    return side, side


def _centre(box: list[int], image: tuple[int, ...], grid: tuple[int, int]) -> int:
    left, top, right, bottom = box or (0, 0, image[1], image[0])
    row, column = (
        (top + bottom) * grid[0] // (2 * image[0]),
        (left + right) * grid[1] // (2 * image[1]),
    )
    return row * grid[1] + column
