"""The sum of feature maps, weight × map + … = map, beside the image: channel_explorer.js draws it anew, alike."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from ..base import to_data_url
from ..colours import colour_bar, colour_table
from ..numbers import fixed
from ..skeleton import Tree
from .elements import roomy
from .view import View, say


@dataclass(frozen=True)
class Maps:
    """The feature maps of a channel.

    Attributes:
        values: (parts + 1, h, w), those before their weights, and their sum after them.
        scale: the lowest and the highest value of the channel.
        scales: (n, 2), those of all channels of all networks.
    """

    values: np.ndarray
    scale: np.ndarray
    scales: np.ndarray


def image_tree(view: View, url: str, size: tuple[int, int]) -> Tree:
    """The image, in a place of the given width and height, whatever its own."""
    name = view.images[view.image]
    shape = {"style": f"aspect-ratio: {size[0]} / {size[1]}"}
    shown = ["img", {"src": url, "alt": say("input", name=name), **shape, "data-hole": "input"}]
    return _figure(shown, roomy("", ["span", {"data-hole": "input-name"}, name], view.images))


def sum_trees(view: View, maps: Maps) -> list[Tree]:
    """A term for each map, after its sign."""
    before = view.branches or [say("before")]
    after = say("together" if view.branches else "after")
    signs: list[list[Any]] = [
        [
            say("plus") if part else "",
            ["span", {"data-hole": "sign"}, say("times", weight=fixed(weight, 2))],
        ]
        for part, weight in enumerate(view.own)
    ]
    rows = zip([*signs, [say("equals")]], [*before, after], maps.values, strict=True)
    return [
        [
            "div",
            {"class": "attn-term"},
            ["span", {"class": "attn-sign"}, *sign],
            _figure(_map(caption, values, maps.scale), caption),
        ]
        for sign, caption, values in rows
    ]


def scale_tree(view: View, maps: Maps) -> Tree:
    """The legend: the colours from the channel's lowest value to its highest."""

    def texts(scale: np.ndarray, channel: int) -> tuple[str, str]:
        low, high = (fixed(end, 2) for end in scale)
        highest = say("highest", high=high, channel=channel, kind=view.kind)
        return say("lowest", low=low), highest

    last = view.weights.shape[2] - 1
    rooms = zip(*(texts(scale, last) for scale in maps.scales), strict=True)
    low, high = (
        roomy("", ["span", {"data-hole": hole}, text], [max(others, key=len)])
        for hole, text, others in zip(
            ("low", "high"), texts(maps.scale, view.channel), rooms, strict=True
        )
    )
    return ["div", {"class": "attn-scale"}, low, " ", colour_bar(), " ", high]


def _map(caption: str, values: np.ndarray, scale: np.ndarray) -> Tree:
    low, high = scale
    table = np.frombuffer(colour_table(), np.uint8).reshape(256, 3)
    levels = np.floor(255 * (values - low) / ((high - low) or 1) + 0.5).astype(np.uint8)
    url = to_data_url(Image.fromarray(table[levels]))
    ends = {"low": fixed(values.min(), 2), "high": fixed(values.max(), 2)}
    h, w = values.shape
    picture = {"style": f"aspect-ratio: {w} / {h}", "data-hole": "picture"}
    return ["div", picture, ["img", {"src": url, "alt": say("map", caption=caption, **ends)}]]


def _figure(shown: Tree, caption: Tree | str) -> Tree:
    return ["figure", {}, shown, ["figcaption", {}, caption]]
