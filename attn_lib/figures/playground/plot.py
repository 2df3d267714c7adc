"""A Playground's canvas, probabilities and maps as a matplotlib figure."""

from collections.abc import Sequence

import matplotlib as mpl
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from ..base import to_picture
from ..colours import QUANTITIES
from ..static import STYLE
from .picture import draw_map
from .view import View, note, verdict


def plot(image: Float[Tensor, "3 h w"], views: Sequence[View]) -> Figure:
    """The canvas, and beside it for each network its probabilities and its map."""
    with mpl.rc_context(STYLE):
        fig = Figure((3 + 3 * len(views), 5), layout="constrained")
        rows = fig.subplots(2, 1 + len(views), squeeze=False)
        rows[0, 0].imshow(to_picture(image))
        rows[0, 0].set(xticks=[], yticks=[])
        rows[1, 0].axis("off")
        for (above, below), view in zip(rows.T[1:], views, strict=True):
            below.imshow(draw_map(view, image))
            below.set(xticks=[], yticks=[])
            below.set_xlabel(note(view), fontsize=7, wrap=True, parse_math=False)
            places = range(len(view.classes))
            above.bar(places, view.shares, color=QUANTITIES["output"][0])
            above.set(ylim=(0, 1))
            above.set_xticks(places, view.classes, fontsize=8)
            above.set_title(f"{view.name} {verdict(view)}", fontsize=9, parse_math=False)
    return fig
