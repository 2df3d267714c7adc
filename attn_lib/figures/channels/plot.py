"""A ChannelExplorer's bars, and the sum of the chosen channel's maps, as a matplotlib figure."""

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from ..colours import COLOUR_MAP, QUANTITIES
from ..static import STYLE
from .maps import Maps
from .view import View, describe, say


def plot(view: View, picture: Image.Image, maps: Maps | None) -> Figure:
    """The bars of all channels above the image; beside it the maps, those before and the one after.

    Args:
        view: what is chosen.
        picture: the chosen image.
        maps: of the chosen channel; None where the figure has none.
    """
    shown = [] if maps is None else list(maps.values)
    with mpl.rc_context(STYLE):
        fig = Figure((8, 5), layout="constrained")
        rows = fig.add_gridspec(2, 1, height_ratios=(3, 2))
        above, below = (fig.add_subfigure(rows[i]) for i in range(2))
        _bars(above.subplots(), view)
        axes = below.subplots(1, 1 + len(shown), squeeze=False)[0]
        axes[0].imshow(picture)
        names = [view.images[view.image], *(view.branches or [say("before")])]
        names.append(say("together" if view.branches else "after"))
        for axis, values in zip(axes[1:], shown, strict=True):
            low, high = maps.scale if maps else (0, 1)
            axis.imshow(values, cmap=COLOUR_MAP, vmin=low, vmax=high)
        for axis, name in zip(axes, names, strict=False):
            axis.set_title(name, fontsize=9, parse_math=False)
            axis.set(xticks=[], yticks=[])
    return fig


def _bars(axis, view: View) -> None:
    """The weights of all channels, stacked from their parts, under the means over the images."""
    order, count = view.order, len(view.parts)
    weights, means = view.weights[view.image][:, order], view.weights.mean(0)[:, order]
    edges = np.vstack([np.zeros(len(order)), weights.cumsum(0)])
    places = np.arange(len(order))
    for part, name in enumerate(view.parts):
        axis.bar(
            places, weights[part], bottom=edges[part], label=name,
            color=QUANTITIES["weight"][0], alpha=1 - part / count,
        )  # fmt: skip
    for part, mean in enumerate(means.cumsum(0)[: max(1, count - 1)]):
        label = None if part else say("mean", kind=view.kind)
        axis.plot(places, mean, "k_", label=label)
    chosen = order.tolist().index(view.channel)
    axis.axvspan(chosen - 0.5, chosen + 0.5, fill=False, linewidth=1.5)
    axis.set(xlim=(-1, len(order)), ylim=(0, 1), xlabel=describe(view))
    axis.xaxis.label.set(fontsize=8, wrap=True, parse_math=False)
    shown = places[:: max(1, len(order) // 20)]
    axis.set_xticks(shown, order[shown], fontsize=8)
    axis.legend(fontsize=8, loc="upper right", bbox_to_anchor=(1, 1.2), ncols=count + 1)
