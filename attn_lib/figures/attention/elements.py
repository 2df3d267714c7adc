"""The elements of an AttentionExplorer: its controls, its panels, its scales."""

from collections.abc import Mapping
from typing import Any

from PIL import Image

from ..base import to_data_url
from ..colours import colour_bar
from ..numbers import fixed
from ..skeleton import Tree, checkbox, select, slider
from .picture import draw
from .view import DIRECTIONS, MOST_LINKS, PHRASES, View, describe, describe_links, ticks


def choices(state: Mapping[str, Any], layers: int, heads: int, relations: bool) -> list[Tree]:
    """The controls: of the traits in `state`, those between which there is a choice."""
    made = []
    if layers > 1:
        layer = state["layer"] + 1
        said = PHRASES["layer_of"].format(layer=layer, layers=layers)
        made.append(slider("layer", PHRASES["layer_label"], (1, layers), layer, said))
    if heads > 1:
        options = [PHRASES["mean_of_heads"], *(str(head + 1) for head in range(heads))]
        chosen = 0 if state["head"] is None else state["head"] + 1
        made.append(select("head", PHRASES["head_label"], options, chosen))
    if relations:
        options = [PHRASES[direction] for direction in DIRECTIONS]
        chosen, links = DIRECTIONS.index(state["direction"]), state["links"]
        made.append(select("direction", PHRASES["direction_label"], options, chosen))
        made.append(
            slider("links-shown", PHRASES["links_label"], (0, MOST_LINKS), links, str(links))
        )
    share = int(fixed(100 * state["opacity"], 0))
    said = PHRASES["opacity"].format(share=share)
    made.append(slider("opacity", PHRASES["opacity_label"], (0, 100), share, said))
    if relations:
        made.append(checkbox("hold", PHRASES["hold"], state["cell"] is not None))
    return made


def panel_tree(
    view: View, image: Image.Image, ends: tuple[float, float], colours: bytes, opacity: float
) -> Tree:
    """A picture and, under it, its name and what it shows; arguments as for `draw`."""
    name, words = view.panel["name"], describe(view)
    url = to_data_url(draw(view, image, colours, ends, opacity))
    place = {"class": "attn-picture", "style": f"aspect-ratio: {view.size[1]} / {view.size[0]}"}
    picture = [
        "div",
        {**place, "data-hole": "picture"},
        ["img", {"src": url, "alt": f"{name}: {words}"}],
    ]
    note = ["output", {"data-hole": "note"}, words]
    links = ["span", {"class": "attn-unseen", "data-hole": "links"}, describe_links(view)]
    return ["figure", {}, picture, ["figcaption", {}, ["strong", {}, name], " ", note, links]]


def scale(name: str, ends: tuple[float, float]) -> Tree:
    """The legend: the colours from end to end; a quarter of the way lies in the middle."""
    low, quarter, high = (text for _, text in ticks(name, ends))
    begin = PHRASES["low"].format(name=PHRASES[name], low=low)
    end = PHRASES["high"].format(high=high, quarter=quarter)
    return [
        "div",
        {"class": "attn-scale"},
        ["span", {"data-hole": f"low-{name}"}, begin],
        colour_bar(),
        ["span", {"data-hole": f"high-{name}"}, end],
    ]
