"""The elements of a ChannelExplorer around its bars and maps: choices, key and words."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from ..skeleton import Tree, button, checkbox, controls, hint, select
from .bars import part_path, path
from .view import View, describe, say


def choices(view: View, pictures: Sequence[str]) -> Tree:
    """The images, to choose one of. Radio buttons are a group within their form: figures do not share it."""
    labels = []
    for image, (name, url) in enumerate(zip(view.images, pictures, strict=True)):
        radio = {"type": "radio", "name": "image", "data-hole": "choice", "data-live": ""}
        chosen = {"checked": ""} if image == view.image else {}
        # The picture's words are the choice's name; heard once, they need no second.
        named = ["span", {"aria-hidden": "true"}, name]
        shown = ["img", {"src": url, "alt": say("picture", name=name)}]
        under = ["span", {}, ["input", radio | chosen], " ", named]
        labels.append(["label", {"class": "attn-choice"}, shown, under])
    group = {"class": "attn-choices", "role": "radiogroup", "aria-label": view.kind}
    return ["form", {}, ["div", group, *labels]]


def settings(view: View, networks: Sequence[str], network: int) -> Tree:
    """What else there is to choose."""
    several = len(networks) > 1
    listed = [select("series", say("series_label"), networks, network)] if several else []
    ranked = checkbox("sorted", say("sorted", name=view.parts[0]), view.ranked)
    steps = button("previous", say("previous")), " ", button("next", say("next"))
    return controls(*listed, ranked, ["span", {"class": "attn-steps"}, *steps])


def key(view: View) -> Tree:
    """What colours and lines mean."""
    count = len(view.parts)
    square, line = "M0 0H20V20H0z", "M0 10H20"
    even = say("even_shares" if view.branches else "even_gate")
    return [
        "div",
        {"class": "attn-foot"},
        *(_swatch(part_path(i, count, square), name) for i, name in enumerate(view.parts)),
        _swatch(path("mean", line), say("mean", kind=view.kind)),
        _swatch(path("level", line), even),
        hint(say("hint")),
    ]


def words(view: View) -> Tree:
    """What the figure shows, in words."""
    # No channel's number is longer than the last one's, and digits are of one width.
    other = replace(
        view, weights=np.zeros_like(view.weights), channel=view.weights.shape[2] - 1
    )
    rooms = (describe(replace(other, image=image)) for image in range(len(view.images)))
    shown = ["output", {"data-hole": "words"}, describe(view)]
    return roomy("attn-words", shown, rooms)


def roomy(kind: str, shown: Tree, rooms: Iterable[str]) -> Tree:
    """An element whose text changes, with room for each of the texts in `rooms`, so that nothing jumps."""
    unseen = (["span", {"aria-hidden": "true"}, text] for text in dict.fromkeys(rooms))
    return ["span", {"class": f"attn-roomy {kind}".strip()}, shown, *unseen]


def _swatch(drawn: Tree, name: str) -> Tree:
    box = {"class": "attn-swatch", "viewBox": "0 0 20 20", "aria-hidden": "true"}
    return ["span", {}, ["svg", box, drawn], f" {name}"]
