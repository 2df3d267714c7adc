"""A figure's elements, written once: a page gets them as HTML, and in Jupyter the script builds them.

A tree is [tag, attributes, *children], a child text or a tree; in `["#markup", {}, text]` the text is HTML already.
Elements that change are holes: their attribute `data-hole` names them for the script. Elements that are of use only
where the script runs have `data-live`; until then they keep their place unseen.
"""

import html
from collections.abc import Sequence
from typing import Any

Tree = list[Any]
EMPTY = {"img", "input"}  # elements of HTML that never close


def to_html(tree: Tree) -> str:
    """The tree as it stands before the script runs, or where none does."""
    tag, attributes, *children = tree
    if tag == "#markup":
        return children[0]
    if "data-live" in attributes:
        attributes = attributes | {"style": "visibility: hidden"}
    given = "".join(
        f" {name}" if value == "" else f' {name}="{html.escape(str(value))}"'
        for name, value in attributes.items()
    )
    if tag in EMPTY:
        return f"<{tag}{given}>"
    inner = (
        html.escape(child, quote=False) if isinstance(child, str) else to_html(child)
        for child in children
    )
    return f"<{tag}{given}>{''.join(inner)}</{tag}>"


def root(kind: str, alt: str, *children: Tree) -> Tree:
    """The figure itself."""
    return [
        "div",
        {"class": f"attn-living {kind}", "role": "group", "aria-label": alt},
        *children,
    ]


def controls(*children: Tree) -> Tree:
    """The row of controls."""
    return ["div", {"class": "attn-controls", "data-live": ""}, *children]


def hint(text: str) -> Tree:
    """What one can do, after a small hand."""
    return ["span", {"class": "attn-hint", "data-live": ""}, text]


def select(hole: str, label: str, options: Sequence[str], chosen: int) -> Tree:
    """A list under its label; `control` of common.js gives it a voice, as it does those below."""
    made = [
        ["option", {"selected": ""} if i == chosen else {}, option]
        for i, option in enumerate(options)
    ]
    return ["label", CONTROL, f"{label} ", ["select", {"data-hole": hole}, *made]]


def slider(hole: str, label: str, ends: tuple[int, int], value: int, said: str) -> Tree:
    """Whole numbers between two ends, and in words what the chosen one says."""
    low, high = ends
    place = {"type": "range", "min": low, "max": high, "step": 1, "value": value}
    control = ["input", {**place, "aria-valuetext": said, "data-hole": hole}]
    return ["label", CONTROL, f"{label} ", control, " ", ["output", {}, said]]


def checkbox(hole: str, label: str, checked: bool) -> Tree:
    state = {"checked": ""} if checked else {}
    return [
        "label",
        CONTROL,
        ["input", {"type": "checkbox", **state, "data-hole": hole}],
        f" {label}",
    ]


def button(hole: str, label: str, kind: str = "") -> Tree:
    look = f"attn-button {kind}".strip()
    return ["button", {"type": "button", "class": look, "data-hole": hole}, label]


CONTROL = {"class": "attn-control"}
