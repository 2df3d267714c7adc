"""Show a matplotlib figure so that everyone can read it: sharp, in light and dark, and with words."""

import html
import inspect
import io
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from IPython.display import display
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from torch import Tensor

from .base import require_alt, to_data_url, to_picture
from .colours import QUANTITIES

# Text stays text, so that it takes the page's font and can be searched; ids follow from content alone.
# Of a page; a notebook's cell shows through.
PAPER = "var(--pst-color-background, none)"
STYLE: dict[Any, Any] = {
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
    svg = to_svg(fig, alt)
    display({"text/html": f'<div class="attn-plot">{svg}</div>', "text/plain": alt}, raw=True)


def to_svg(fig: Figure, alt: str, window: Bbox | None = None) -> str:
    """`fig` as SVG for a page: black follows the page's text, the quantities' colours its theme.

    White shapes take the page's background. A figure whose background is not white keeps it, and its colours.

    Args:
        fig: a finished matplotlib figure; it is closed.
        alt: what one sees in it, as in `show`.
        window: the part to keep, in inches; None cuts the empty margins.

    Raises:
        ValueError: `alt` says nothing, or is a file name.
    """
    require_alt(alt)
    *background, opacity = mpl.colors.to_rgba(fig.get_facecolor())
    follows = background == [1, 1, 1] or opacity == 0
    with mpl.rc_context(STYLE):
        buffer = io.StringIO()
        fig.savefig(
            buffer,
            format="svg",
            transparent=follows,
            bbox_inches=window or "tight",
            metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")),
        )
    plt.close(fig)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    if follows:
        svg = svg.replace("#000000", "currentColor")
        for name, (on_light, _) in QUANTITIES.items():
            svg = svg.replace(on_light, f"var(--attn-{name}, {on_light})")
        # White is the page's own: a box under a word, the middle of a mark. White words stay: they stand on dark.
        svg = re.sub(r'(<(?:path|use)\b[^>]*style="fill: )#ffffff', rf"\1{PAPER}", svg)
    # A page has many plots: an id that nothing refers to ("axes_1") would only be there twice.
    wanted = set(re.findall(r"#([\w.]+)", svg))
    svg = re.sub(
        r'(<\w+) id="([^"]*)"', lambda tag: tag[0] if tag[2] in wanted else tag[1], svg
    )
    # Text elements name no colour and would be black: the root's fill is what they inherit.
    fill = "currentColor" if follows else "black"
    return svg.replace(
        "<svg ", f'<svg role="img" aria-label="{html.escape(alt)}" fill="{fill}" ', 1
    )


def show_images(
    images: Mapping[str, Float[Tensor, "3 _h _w"]], *, alt: str, width: float = 2.4
) -> None:
    """Display pictures side by side, each under its name.

    Args:
        images: values outside [0, 1] are clipped.
        alt: as in `show`.
        width: inches of each, where there is room.

    Raises:
        ValueError: `alt` says nothing, or is a file name.
    """
    require_alt(alt)
    count = len(images)
    # Side by side where there is room. The narrower the page, the wider a picture has to be: on a phone, 9 rem.
    basis = f"max(14rem - 20%, (100% - {0.6 * (count - 1):.1f}rem) / {count})"
    limit = f"{96 * width:.0f}px" if count == 1 else f"min({96 * width:.0f}px, 50% - 0.3rem)"
    box = f"flex: 1 0 {basis}; max-width: {limit}"
    pictures = "".join(
        f'<div style="{box}"><div style="text-align: center">{html.escape(name)}</div>{_picture(image)}</div>'
        for name, image in images.items()
    )
    row = "display: flex; flex-wrap: wrap; align-items: flex-end; gap: 0.6rem; margin-bottom: 0.6rem"
    row = f'role="img" aria-label="{html.escape(alt)}" style="{row}"'
    display(
        {"text/html": f'<div class="attn-plot" {row}>{pictures}</div>', "text/plain": alt},
        raw=True,
    )


def _picture(image: Float[Tensor, "3 h w"]) -> str:
    """An image as wide as its place; the pixels of a small one stay sharp."""
    height, width = image.shape[1:]
    link = f'<image href="{to_data_url(to_picture(image.clamp(0, 1)))}" width="{width}" height="{height}"'
    sharp = ' style="image-rendering: pixelated"' if width < 128 else ""
    return f'<svg viewBox="0 0 {width} {height}" style="display: block; width: 100%">{link}{sharp}/></svg>'


def show_source(*functions: Callable) -> None:
    """Display the source of library functions as it stands, so that a page holds no second copy."""
    source = "\n".join(
        textwrap.dedent(inspect.getsource(function)) for function in functions
    ).rstrip()
    display({"text/markdown": f"```python\n{source}\n```", "text/plain": source}, raw=True)


def show_table(rows: Sequence[Sequence[object]]) -> None:
    """Display rows as a table, the first as its head; columns of numbers are aligned to the right.

    Args:
        rows: of the same length. What stands in backticks is code; all else is text, whatever is in it.

    Raises:
        ValueError: there is a head alone, or a row is longer or shorter than it.
    """
    cells = [[str(cell) for cell in row] for row in rows]
    if len(cells) < 2 or len({len(row) for row in cells}) > 1:
        raise ValueError(
            f"a table wants a head and rows as long; got rows of {[len(row) for row in cells]}"
        )
    marks = re.compile(r"([\\`*_{}\[\]<>|#~$])")
    marked = [
        [cell if cell.startswith("`") else marks.sub(r"\\\1", cell) for cell in row]
        for row in cells
    ]
    columns = list(zip(*cells, strict=True))
    numbers = [
        all(re.match(r"([▲▼<+-] ?)?\d|$", cell) for cell in column[1:]) for column in columns
    ]
    lines = ["| " + " | ".join(row) + " |" for row in marked]
    rule = "".join("|---:" if right else "|---" for right in numbers) + "|"
    widths = [max(map(len, column)) for column in columns]
    plain = [
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numbers, strict=True)
        ).rstrip()
        for row in cells
    ]
    markdown = "\n".join([lines[0], rule, *lines[1:]])
    display({"text/markdown": markdown, "text/plain": "\n".join(plain)}, raw=True)
