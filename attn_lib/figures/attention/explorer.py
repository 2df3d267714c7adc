"""AttentionExplorer: point at a position of an image and see where it looks, or who looks at it."""

from collections.abc import Mapping, Sequence
from math import prod

import numpy as np
import traitlets
from jaxtyping import Float, Int
from matplotlib.figure import Figure
from torch import Tensor

from ..base import LivingFigure, to_data_url, to_picture
from ..colours import QUANTITIES, colour_table
from ..skeleton import Tree, controls, hint, root
from ..traits import Number, Whole, validates
from .elements import choices, panel_tree, scale
from .inputs import by_panel, centre, require_images
from .plot import plot
from .relations import Grid, floors, in_steps, stacks
from .view import DIRECTIONS, MOST_LINKS, PHRASES, View, describe, describe_position, scales


class AttentionExplorer(LivingFigure):
    """Where does a position look, and who looks at it? One panel a map, all with the same position.

    Hover a position to see its weights; click, tap or press the arrow keys to choose it. To read the weight of
    one cell after another, hold the position. Every choice is a trait that Python sees and sets: `query`, the
    position, counted row by row; `cell`, another position, whose weight is read while the query is held (None
    reads the query's own); `layer` and `head`, counted from 0, where maps have several (None is the mean of all
    heads); `direction`: "looks at" shows the query's row of a relation, "is looked at by" the column of the key
    at that place, the weight that it gets from each query; `opacity` of the colours where the weight is highest,
    0 to 1; and `links`: how many of the strongest weights of a relation are drawn as lines, 0 to 8.

    Args:
        image: (3, h, w), values in [0, 1]; or one for each panel, by its name, all of one size.
        maps: relations by name: (n, m), (heads, n, m) or (layers, heads, n, m) weights of one image, where each
            row sums to 1. `rollout` gives one more. Panels with one layer or head stay as they are when
            another is chosen.
        alt: what one sees in the first picture.
        gates: maps without a query by name, drawn after `maps`: weights in [0, 1] as (h, w), (heads, h, w) or
            (layers, heads, h, w). Those that sum to 1 over the image are a readout's. Gates have a scale of
            their own, for they do not share a sum: from the lowest to the highest that is drawn.
        grid: rows and columns of the n queries; None means a square (without maps, the gates' grid).
        key_grid: rows and columns of the m keys; None means `grid`, or a square where m is not n.
        query: None means the centre of the first box or of the grid.
        layer: None means the last.
        box: left, top, right, bottom of the object in the image's pixels, drawn as an outline; or one for
            each panel, by its name.
        levels: a weight is stored in so many steps of its row's peak, 2 to 255: off by at most
            peak / (2 · levels). Fewer compress better.
        budget: bytes, compressed, that the figure may weigh in a book; elsewhere nothing is refused.

    Raises:
        ValueError: there is no map; weights are negative, not finite or do not sum to 1; a gate leaves
            [0, 1]; the grids do not match the maps; a name of an image or a box is no panel's; images differ in
            size or are smaller than a grid; a trait is set to what the figure does not have; or the figure
            is heavier than its budget.
    """

    name = "attention_explorer"
    phrases = PHRASES
    parts = ("attention_map", "attention_panel")
    constants = {
        "DIRECTIONS": DIRECTIONS,
        "MOST_LINKS": MOST_LINKS,
        "QUERY": QUANTITIES["query"][1],  # on dark pictures, whatever the page
        "KEY": QUANTITIES["key"][1],
    }

    images = traitlets.List(traitlets.Unicode()).tag(sync=True)  # data URLs
    size = traitlets.List(Whole()).tag(sync=True)  # an image's height and width
    grid = traitlets.List(Whole()).tag(sync=True)
    # each: name, kind, layers, heads, cells (rows and columns of the weights), image (which), box (or empty),
    # start (its first byte in weights and in peaks), floors (layers, heads: what is stored is above them)
    panels = traitlets.List(traitlets.Dict()).tag(sync=True)
    # panel after panel: uint8 (layers, heads, n, m), and float32 (layers, heads, n)
    weights = traitlets.Bytes().tag(sync=True)
    peaks = traitlets.Bytes().tag(sync=True)
    levels = Whole().tag(sync=True)
    colours = traitlets.Bytes().tag(sync=True)  # 256 × RGB
    query = Whole().tag(sync=True, changes=True)
    cell = Whole(None, allow_none=True).tag(sync=True, changes=True)
    layer = Whole().tag(sync=True, changes=True)
    head = Whole(None, allow_none=True).tag(sync=True, changes=True)
    direction = traitlets.Unicode().tag(sync=True, changes=True)
    opacity = Number().tag(sync=True, changes=True)
    links = Whole().tag(sync=True, changes=True)

    def __init__(
        self,
        image: Float[Tensor, "3 h w"] | Mapping[str, Float[Tensor, "3 h w"]],
        maps: Mapping[str, Float[Tensor, "... n m"]] | None = None,
        *,
        alt: str,
        gates: Mapping[str, Float[Tensor, "... _h _w"]] | None = None,
        grid: Grid | None = None,
        key_grid: Grid | None = None,
        query: int | None = None,
        cell: int | None = None,
        layer: int | None = None,
        head: int | None = None,
        direction: str = "looks at",
        opacity: float = 0.9,
        links: int = 0,
        box: Int[Tensor, "4"] | Mapping[str, Int[Tensor, "4"]] | None = None,
        levels: int = 255,
        budget: int = 150_000,
    ):
        found, grid = stacks(maps or {}, gates or {}, grid, key_grid)
        if not 2 <= levels <= 255:
            raise ValueError(f"levels go from 2 to 255; got {levels}")
        of_panel = by_panel("image", image, list(found))
        size = require_images(list(of_panel.values()), grid)
        boxes = {} if box is None else by_panel("box", box, list(found))
        images = list({id(each): each for each in of_panel.values()}.values())
        panels, weights, peaks = [], b"", b""
        for name, stack in found.items():
            panels.append(
                {
                    "name": name,
                    "kind": stack.kind,
                    "layers": stack.weights.shape[0],
                    "heads": stack.weights.shape[1],
                    "cells": list(stack.cells),
                    "image": next(i for i, each in enumerate(images) if each is of_panel[name]),
                    "box": [int(edge) for edge in boxes.get(name, ())],
                    "start": [len(weights), len(peaks)],
                    "floors": floors(stack).tolist(),
                }
            )
            steps, highest = in_steps(stack, levels)
            weights, peaks = weights + steps, peaks + highest
        self.pictures = [to_picture(each) for each in images]
        super().__init__(
            alt=alt,
            images=[to_data_url(picture) for picture in self.pictures],
            size=list(size),
            grid=list(grid),
            panels=panels,
            weights=weights,
            peaks=peaks,
            levels=levels,
            colours=colour_table(),
            query=centre(panels[0]["box"], size, grid) if query is None else query,
            cell=cell,
            layer=max(panel["layers"] for panel in panels) - 1 if layer is None else layer,
            head=head,
            direction=direction,
            opacity=opacity,
            links=links,
        )
        self.require_budget(
            budget,
            f"its weights {[stack.weights.shape for stack in found.values()]} are {len(self.weights):,} bytes "
            "of it before compression; take fewer layers, heads or maps, a coarser grid "
            "(attn_lib.figures.coarsen), fewer levels (31 for one), or a higher budget",
        )

    @validates("query", "cell", "layer", "head", "opacity", "links", "direction")
    def _check_choice(self, proposal):
        name, value = proposal["trait"].name, proposal["value"]
        if name == "direction":
            if value not in DIRECTIONS:
                raise ValueError(f"the direction is one of {list(DIRECTIONS)}; got {value!r}")
            return value
        n, layers, heads = self.grid[0] * self.grid[1], self.most("layers"), self.most("heads")
        wanted, highest = {
            "query": (f"the query must be one of {n} positions", n - 1),
            "cell": (f"the cell must be None or one of {n} positions", n - 1),
            "layer": (f"the layer must be one of {layers}", layers - 1),
            "head": (f"the head must be None or one of {heads}", heads - 1),
            "opacity": ("the opacity must be a share", 1),
            "links": ("the number of links must be small", MOST_LINKS),
        }[name]
        if value is not None and not 0 <= value <= highest:
            raise ValueError(f"{wanted}, 0 to {highest}; got {value}")
        return value

    def attention_map(self, name: str, query: int | None = None) -> np.ndarray:
        """The weights (rows, columns) that the figure draws in the panel of that name, as quantised.

        The layer, the head, the direction and, unless it is given, the query are those now chosen.

        Raises:
            ValueError: no panel has that name.
        """
        panel = self.panel(name)
        position = self.query if query is None else query
        steps, peaks = self._stored(panel)
        layer = self.layer if panel["layers"] > 1 else 0
        heads = [self.head] if panel["heads"] > 1 and self.head is not None else slice(None)
        step = peaks[layer, heads].astype(float) / self.levels
        floor = np.array(panel["floors"])[layer, heads]
        weights = floor[..., None, None] + steps[layer, heads] * step[..., None]
        if panel["kind"] != "relation":
            chosen = weights[:, 0]
        elif self.reverses(panel):
            chosen = weights[:, :, self.place_in(panel["cells"], position)]
        else:
            chosen = weights[:, position]
        shape = self.grid if self.reverses(panel) else panel["cells"]
        return (chosen.sum(0) / len(chosen)).reshape(shape)

    def strongest(self, name: str) -> list[tuple[int, float]]:
        """What the links lead to in the panel of that name: positions and weights, strongest first."""
        weights = self.attention_map(name).ravel()
        order = np.argsort(-weights, kind="stable")[: self.links]
        linked = self.panel(name)["kind"] == "relation"
        return [(int(i), float(weights[i])) for i in order if linked and weights[i] > 0]

    def describe(self, name: str) -> str:
        """What the panel of that name shows, in words."""
        return describe(self.view(self.panel(name)))

    def view(self, panel: dict) -> View:
        """What a panel shows now."""
        weights, reverse = self.attention_map(panel["name"]), self.reverses(panel)
        asked = panel["cells"] if reverse else self.grid
        own = self.place_in(weights.shape, self.query)
        read = own if self.cell is None else self.place_in(weights.shape, self.cell)
        relation = panel["kind"] == "relation"
        return View(
            panel=panel,
            weights=weights,
            size=(self.size[0], self.size[1]),
            reverse=reverse,
            choice=(self.layer, self.head),
            asked=((asked[0], asked[1]), self.place_in(asked, self.query)),
            read=read,
            own=relation and read == own,
            marked=self.cell is not None or not relation,
            links=self.strongest(panel["name"]),
        )

    def _views(self) -> list[View]:
        return [self.view(panel) for panel in self.panels]

    def plot(self) -> Figure:
        views = self._views()
        pictures = [self.pictures[view.panel["image"]] for view in views]
        return plot(views, pictures, self.colours, self.opacity)

    def skeleton(self, live: bool = False) -> Tree:
        views, colours = self._views(), (self.colours, self.opacity)
        ends = scales(views)
        panels = [
            panel_tree(view, self.pictures[view.panel["image"]], ends[view.scale], *colours)
            for view in views
        ]
        counts = self.most("layers"), self.most("heads")
        state = {
            name: getattr(self, name)
            for name in ("layer", "head", "cell", "links", "opacity", "direction")
        }
        made = choices(state, *counts, any(view.kind == "relation" for view in views))
        said = describe_position(views, self.query, self.grid[1])
        position = ["span", {"data-hole": "position"}, said]
        return root(
            "attn-explorer",
            self.alt,
            controls(*made),
            ["div", {"class": "attn-panels"}, *panels],
            [
                "div",
                {"class": "attn-foot"},
                ["span", {}, position, " ", hint(PHRASES["hint"])],
                *map(scale, ends, ends.values()),
                *([["span", {}, PHRASES["box"]]] if any(p["box"] for p in self.panels) else []),
            ],
        )

    def panel(self, name: str) -> dict:
        for panel in self.panels:
            if panel["name"] == name:
                return panel
        raise ValueError(
            f"no panel {name!r}; there are {[panel['name'] for panel in self.panels]}"
        )

    def most(self, what: str) -> int:
        """The largest number of layers or heads that a panel has."""
        return max(panel[what] for panel in self.panels)

    def reverses(self, panel: dict) -> bool:
        """Whether the panel shows who looks at the position."""
        return panel["kind"] == "relation" and self.direction == "is looked at by"

    def place_in(self, cells: Sequence[int], position: int) -> int:
        """The cell of another grid in which the centre of a position lies."""
        row, column = divmod(position, self.grid[1])
        below = (2 * row + 1) * cells[0] // (2 * self.grid[0])
        return below * cells[1] + (2 * column + 1) * cells[1] // (2 * self.grid[1])

    def _stored(self, panel: dict) -> tuple[np.ndarray, np.ndarray]:
        n = self.grid[0] * self.grid[1] if panel["kind"] == "relation" else 1
        shape = panel["layers"], panel["heads"], n, panel["cells"][0] * panel["cells"][1]
        start, first = panel["start"]
        steps = np.frombuffer(self.weights, np.uint8, prod(shape), start)
        peaks = np.frombuffer(self.peaks, "<f4", prod(shape[:3]), first)
        return steps.reshape(shape), peaks.reshape(shape[:3])
