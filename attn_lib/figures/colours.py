"""One colour a quantity, the same in figures, equations and tables, on light pages and on dark ones."""

import matplotlib as mpl
import numpy as np

from .skeleton import Tree

#: name: (on light, on dark). Each has a contrast of at least 4.5 with its page's background.
QUANTITIES = {
    "query": ("#0b62b8", "#6cb4ff"),
    "key": ("#a84300", "#ffa066"),
    "value": ("#00755c", "#3fd0ac"),
    "score": ("#6a4fb3", "#b9a3ff"),
    "weight": ("#b3005e", "#ff7ab8"),
    "output": ("#4d5a66", "#b6c2cc"),
}
# Perceptually uniform, ordered by lightness for colour-blind readers, and seen on black at its lower end.
COLOUR_MAP = "plasma"

# A figure in a notebook: dark where its host says so, each in its own way; else as the reader's system asks for, but
# in those that say that they are light, and in Notebook 6, which knows no other.
BY_HOST = """
:is(body[data-jp-theme-light=false], body.vscode-dark, body.vscode-high-contrast:not(.vscode-high-contrast-light),
html[theme=dark], html[data-theme=dark], html.dark, body.dark) {{ {0} }}
@media (prefers-color-scheme: dark) {{
  html:not([theme], [data-theme]):not(:has(> body:is([data-jp-theme-light], [data-vscode-theme-kind], .notebook_app))) {{ {0} }}
}}
"""
# A page of one figure, in the colours that the reader's system asks for.
BY_SYSTEM = "@media (prefers-color-scheme: dark) {{ :root {{ {0} }} }}"
ALONE = """
:root { color-scheme: light dark; --pst-color-background: Canvas; }
body {
  margin: 1rem auto; max-width: 60rem; padding: 0 1rem;
  font: 16px/1.5 system-ui, sans-serif; background: Canvas; color: CanvasText;
}
"""


def colour_table() -> bytes:
    """The colour map as a script reads it: 256 × RGB."""
    return mpl.colormaps[COLOUR_MAP](np.arange(256), bytes=True)[:, :3].tobytes()


def colour_bar() -> Tree:
    """The colour map from left to right."""
    colours = np.frombuffer(colour_table(), np.uint8).reshape(256, 3)[::51]
    stops = ", ".join(f"rgb({red},{green},{blue})" for red, green, blue in colours)
    return [
        "span",
        {"class": "attn-bar", "style": f"background: linear-gradient(to right, {stops})"},
    ]


def theme_css(dark_mode: str = "html[data-theme=dark] {{ {0} }}") -> str:
    """The colours as CSS variables. The book's equations, whose TeX names the light colours, follow them, too.

    Args:
        dark_mode: the rule under which a page is dark, with a place for the variables; here the theme's.
    """
    light, dark = (
        "".join(f"  --attn-{name}: {both[i]};\n" for name, both in QUANTITIES.items())
        for i in range(2)
    )
    return f":root {{\n{light}}}\n{dark_mode.format(dark)}\n"
