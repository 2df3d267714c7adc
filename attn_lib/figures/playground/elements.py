"""The elements of a Playground: its controls, its canvas, and a panel for each network that is shown."""

import math
from collections.abc import Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor

from ..base import to_data_url, to_picture
from ..colours import colour_bar
from ..skeleton import Tree, button, checkbox, controls, hint, select, slider
from .canvas import MOST_SCRAPS, NOISES, SCRAP, SIDES, Canvas
from .picture import draw_map
from .view import View, chart_words, note, say, verdict

BAR, FULL = 10, 100  # a bar's width, and the height of a probability of 1


def canvas_controls(canvas: Canvas, classes: Sequence[str], each: int) -> Tree:
    """What is on the canvas."""
    which = canvas.digit % each + 1
    return controls(
        select("class", say("digit_label"), classes, canvas.digit // each),
        slider("hand", say("hand_label"), (1, each), which, say("hand", number=which, each=each)),
        slider("side", say("side_label"), SIDES, canvas.side, say("side", side=canvas.side)),
        slider("scraps", say("scraps_label"), (0, MOST_SCRAPS), canvas.scraps, str(canvas.scraps)),
        slider("noise", say("noise_label"), NOISES, canvas.noise, say("noise", share=canvas.noise)),
    )  # fmt: skip


def play_controls(names: Sequence[str], network: int | None, query: bool | None) -> Tree:
    """What the pointer does, which network is shown, and whose query; None where there is nothing to choose."""
    tools = [say(tool) for tool in ("move", "draw", "rub")]
    made = (
        [select("network", say("network_label"), names, network)] if network is not None else []
    )
    made += [checkbox("one-query", say("query_label"), query)] if query is not None else []
    return controls(
        *made,
        select("tool", say("tool_label"), tools, 0),
        button("clear", say("clear")),
        button("again", say("again")),
    )


def canvas_tree(
    canvas: Canvas, image: Float[Tensor, "3 h w"], classes: Sequence[str], each: int
) -> Tree:
    """The canvas, and over it what can be moved."""
    h, w = image.shape[1:]
    words = canvas_words(canvas, classes[canvas.digit // each])
    shown = ["img", {"src": to_data_url(to_picture(image)), "alt": words}]
    place = {"class": "attn-picture", "style": f"aspect-ratio: {w} / {h}"}
    things = [
        _thing(
            say("scrap", number=i + 1), canvas.scrap_places[i], SCRAP, (h, w), i < canvas.scraps
        )
        for i in range(MOST_SCRAPS)
    ]
    digit = say("the_digit", name=classes[canvas.digit // each])
    things.append(_thing(digit, canvas.place, canvas.side, (h, w), True))
    return [
        "div",
        {"class": "attn-canvas"},
        ["div", {**place, "data-hole": "picture"}, shown],
        ["div", {"class": "attn-things", "data-live": ""}, *things],
    ]


def canvas_words(canvas: Canvas, name: str) -> str:
    row, column = (part + 1 for part in canvas.place)
    given = {"side": canvas.side, "scraps": canvas.scraps, "noise": canvas.noise}
    return say("canvas", name=name, row=row, column=column, **given)


def _thing(
    name: str, place: Sequence[int], side: int, size: tuple[int, int], there: bool
) -> Tree:
    """Something on the canvas that pointer, finger and arrow keys move."""
    (top, left), (h, w) = place, size
    shares = {"left": left / w, "top": top / h, "width": side / w, "height": side / h}
    style = "; ".join(f"{edge}: {_short(100 * share)}%" for edge, share in shares.items())
    words = say("thing", name=name, row=top + 1, column=left + 1)
    hidden = {} if there else {"hidden": ""}
    return ["button", {"type": "button", "class": "attn-thing", "style": style, "aria-label": words, **hidden, "data-hole": "thing"}]  # fmt: skip


def _short(number: float) -> str:
    """As JavaScript writes a number of at most two digits after the point."""
    return f"{math.floor(100 * number + 0.5) / 100:g}"


def panel(view: View, image: Float[Tensor, "3 h w"]) -> Tree:
    """A network: its answer, the probabilities as bars, its map."""
    h, w = image.shape[1:]
    words = note(view)
    url = to_data_url(draw_map(view, image))
    drawn = ["img", {"src": url, "alt": say("map", name=view.name, note=words)}]
    shape = {"class": "attn-picture", "style": f"aspect-ratio: {w} / {h}"}
    return [
        "figure",
        {"data-hole": "panel"},
        [
            "figcaption",
            {},
            ["strong", {"data-hole": "name"}, view.name],
            " ",
            ["output", {"data-hole": "verdict"}, verdict(view)],
        ],
        _chart(view),
        ["div", {**shape, "data-hole": "picture"}, drawn],
        ["div", {"class": "attn-note", "data-hole": "note"}, words],
    ]


def _chart(view: View) -> Tree:
    """Bars, and under each the name of its class; a frame around the right one."""
    count = len(view.classes)
    bars = "".join(
        f"M{BAR * i + 1} {_y(share)}H{BAR * (i + 1) - 1}V{FULL}H{BAR * i + 1}z"
        for i, share in enumerate(view.shares)
    )
    frame = f"M{BAR * view.answer} 0h{BAR}v{FULL}h-{BAR}z"
    box = {"viewBox": f"0 0 {BAR * count} {FULL}", "preserveAspectRatio": "none"}
    said = {"role": "img", "aria-label": chart_words(view), "data-hole": "chart"}
    names = (["span", {}, name] for name in view.classes)
    return [
        "div",
        {"class": "attn-chart"},
        [
            "svg",
            {**box, **said},
            ["path", {"class": "attn-bars-of", "d": bars, "data-hole": "bars"}],
            ["path", {"class": "attn-right", "d": frame, "data-hole": "right"}],
        ],
        ["div", {"class": "attn-names", "aria-hidden": "true"}, *names],
    ]


def _y(share: float) -> int:
    return FULL - math.floor(FULL * float(share) + 0.5)


def foot(together: bool) -> Tree:
    """What one can do, and what the colours mean."""
    low, high = ["span", {}, say("low")], ["span", {}, say("high")]
    scale: list[Any] = ["div", {"class": "attn-scale"}, low, " ", colour_bar(), " ", high]
    sent = [["span", {"data-live": ""}, say("link")]] if together else []
    return ["div", {"class": "attn-foot"}, hint(say("hint")), scale, *sent]
