"""Show a matplotlib figure so that everyone can read it: sharp, in light and dark, and with words."""

import html
import io

import matplotlib as mpl
from IPython.display import display
from matplotlib.figure import Figure

from .colours import QUANTITIES

# Text stays text, so that it takes the page's font and can be searched; ids follow from content alone.
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "attn_lib",
    "font.family": "sans-serif",
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def style() -> None:
    """Use the book's style for the matplotlib figures that follow."""
    mpl.rcParams.update(STYLE)


def show(fig: Figure, *, alt: str) -> None:
    """Display `fig` as a picture whose black follows the page's text colour, described by `alt`.

    Args:
        fig: a finished matplotlib figure; it is closed.
        alt: what one sees in the picture, in a sentence or two, for those who do not see it.

    Raises:
        ValueError: `alt` says nothing, or is a file name.
    """
    require_alt(alt)
    with mpl.rc_context(STYLE):
        buffer = io.StringIO()
        fig.savefig(buffer, format="svg", transparent=True, bbox_inches="tight", metadata={"Date": None})
    mpl.pyplot.close(fig)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].replace("#000000", "currentColor")
    for name, (on_light, _) in QUANTITIES.items():
        svg = svg.replace(on_light, f"var(--attn-{name}, {on_light})")
    # Text elements name no colour and would be black: the root's fill is what they inherit.
    svg = svg.replace("<svg ", f'<svg role="img" aria-label="{html.escape(alt)}" fill="currentColor" ', 1)
    display({"text/html": f'<div class="attn-plot">{svg}</div>', "text/plain": alt}, raw=True)


def require_alt(alt: str) -> None:
    """Refuse a description that describes nothing.

    Raises:
        ValueError: fewer than four words.
    """
    if len(alt.split()) < 4:
        raise ValueError(f"a figure needs alt text that says what one sees, in at least four words; got {alt!r}")
