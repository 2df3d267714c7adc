"""The elements of a FaultExplorer: what can go wrong, how many answers that costs, and an image before and after."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from ..base import to_data_url, to_picture
from ..colours import colour_bar
from ..skeleton import Tree, button, checkbox, controls, hint, slider
from .faults import FACTORS
from .view import PHRASES as SAID

PHRASES = SAID | {
    "faults": "What goes wrong",
    "fault": "nothing",
    "softmax_over_queries": "softmax over queries, not keys",
    "reshaped_queries": "queries: reshape in place of transpose",
    "reshaped_output": "output: reshape in place of transpose",
    "nothing_added": "γ = 0",
    "even_weights": "even weights",
    "average_is_max": "average pool is a max pool",
    "sigmoid_twice": "sigmoid of a sigmoid",
    "channel_gate_lost": "channel gate lost on the way",
    "averages_first": "average and maximum swapped",
    "even_channels": "even channel gates",
    "even_positions": "even spatial gate",
    "another_image": "another image's map",
    "scores_times": "scores × a factor",
    "factor_label": "Factor",
    "factor": "× {factor}",
    "scene_label": "Image",
    "scene": "{number} of {count}",
    "trained": "as trained",
    "faulty": "broken: {fault}",
    "right_of": "{right} of {seen} right",
    "cost": "{before} of {count} held-out digits are right as trained, {after} with this fault. Answers that differ: {changed}.",
    "counting": "Counting: {seen} of {count} held-out digits.",
    "unbroken": "{before} of {count} held-out digits are right. Choose what goes wrong.",
    "differing": "Next answer that differs",
    "own_scale": "Each map has its own scale.",
    "fault_hint": "Guess what a fault costs, then choose it.",
    "shown": "a {name} among scraps, held out from training",
}


@dataclass(frozen=True)
class Cost:
    """How many of the held-out digits are right as trained and with a fault, and how many answers differ."""

    count: int
    before: int
    after: int
    changed: int


def say(phrase: str, **values: object) -> str:
    return PHRASES[phrase].format(**values)


def fault_words(name: str) -> str:
    return say(name or "fault")


def chooser(names: Sequence[str], chosen: str, factor: float) -> Tree:
    """One of the faults, or none. Radio buttons are a group within their form: figures do not share it."""
    labels = []
    for name in ("", *names):
        radio = {"type": "radio", "name": "fault", "data-hole": "fault"}
        checked = {"checked": ""} if name == chosen else {}
        labels.append(
            [
                "label",
                {"class": "attn-control"},
                ["input", radio | checked],
                f" {fault_words(name)}",
            ]
        )
    place = FACTORS.index(factor)
    which = slider(
        "factor",
        say("factor_label"),
        (0, len(FACTORS) - 1),
        place,
        say("factor", factor=f"{factor:g}"),
    )
    group = {"class": "attn-faults-choices", "role": "radiogroup", "aria-label": say("faults")}
    return ["form", {"data-live": ""}, ["div", group, *labels, which]]


def image_controls(scene: int, count: int, query: bool | None) -> Tree:
    """Which image is shown, and whose query; None where there are no queries."""
    said = say("scene", number=scene + 1, count=count)
    made = [slider("scene", say("scene_label"), (1, count), scene + 1, said)]
    made += [checkbox("one-query", say("query_label"), query)] if query is not None else []
    return controls(*made, button("differing", say("differing")))


def tally(fault: str, cost: Cost) -> Tree:
    """The answers that are right, as bars and in words."""
    rows = [
        _row("before", say("trained"), cost.before, cost.count),
        _row("after", say("faulty", fault=fault_words(fault)), cost.after, cost.count),
    ]
    return [
        "div",
        {"class": "attn-tally", "data-hole": "tally"},
        *rows,
        ["output", {"data-hole": "told"}, told(fault, cost)],
    ]


def told(fault: str, cost: Cost) -> str:
    return say("cost" if fault else "unbroken", **vars(cost))


def _row(hole: str, name: str, right: int, seen: int) -> Tree:
    share = math.floor(100 * right / seen + 0.5)
    bar: list[Any] = [
        "span",
        {"class": "attn-share", "style": f"width: {share}%", "data-hole": f"{hole}-bar"},
    ]
    return [
        "div",
        {},
        ["span", {"data-hole": f"{hole}-name"}, name],
        ["span", {"class": "attn-track", "aria-hidden": "true"}, bar],
        ["span", {"data-hole": hole}, say("right_of", right=right, seen=seen)],
    ]


def picture(image: Float[Tensor, "3 h w"], name: str) -> Tree:
    """The image as networks see it."""
    h, w = image.shape[1:]
    shown = ["img", {"src": to_data_url(to_picture(image)), "alt": say("shown", name=name)}]
    place = {
        "class": "attn-picture",
        "style": f"aspect-ratio: {w} / {h}",
        "data-hole": "picture",
    }
    return ["div", {"class": "attn-canvas"}, ["div", place, shown]]


def foot() -> Tree:
    """What one can do, and what the colours mean."""
    low, high = ["span", {}, say("low")], ["span", {}, say("high")]
    scale: list[Any] = ["div", {"class": "attn-scale"}, low, " ", colour_bar(), " ", high]
    return [
        "div",
        {"class": "attn-foot"},
        hint(say("fault_hint")),
        scale,
        ["span", {}, say("own_scale")],
    ]
