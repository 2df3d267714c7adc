"""An AttentionExplorer's panels side by side, as a matplotlib figure."""

import math
import textwrap

import matplotlib as mpl
from matplotlib.cm import ScalarMappable
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from PIL import Image

from ..colours import COLOUR_MAP
from ..static import STYLE
from .picture import draw
from .view import PHRASES, View, describe, scales, ticks

COLUMNS, SIDE = 4, 3.2  # panels in a row; inches of each


def plot(
    views: list[View], pictures: list[Image.Image], colours: bytes, opacity: float
) -> Figure:
    """The panels, each with its name above and what it says below, and a bar for each scale.

    Args:
        views: what the panels show.
        pictures: under each.
        colours, opacity: as for `draw`.
    """
    columns = min(len(views), COLUMNS)
    rows, ends = math.ceil(len(views) / columns), scales(views)
    height, width = views[0].size
    size = SIDE * columns, (SIDE * height / width + 1) * rows + 0.6 * len(ends)
    with mpl.rc_context(STYLE):
        fig = Figure(size, layout="constrained")
        axes = fig.subplots(rows, columns, squeeze=False).flatten()
        for axis in axes[len(views) :]:
            axis.set_visible(False)
        for axis, view, picture in zip(axes, views, pictures, strict=False):
            axis.imshow(draw(view, picture, colours, ends[view.scale], opacity))
            name = textwrap.fill(view.panel["name"], 40)
            axis.set_title(name, fontsize=10, parse_math=False)
            axis.set_xlabel(textwrap.fill(describe(view), 44), fontsize=8)
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
        for name, (low, high) in ends.items():
            legend = ScalarMappable(PowerNorm(0.5, low, max(high, low + 1e-6)), COLOUR_MAP)
            bar = fig.colorbar(
                legend, ax=axes, location="bottom", fraction=0.04, label=PHRASES[name]
            )
            places, texts = zip(*ticks(name, (low, high)), strict=True)
            bar.set_ticks(places, labels=texts, fontsize=8)
    return fig
