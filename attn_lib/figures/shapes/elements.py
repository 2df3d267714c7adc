"""The elements of a ShapeTracer: methods, which fold, each with its lines and the tensors beside them."""

from collections.abc import Mapping
from typing import Any

from ..skeleton import Tree, button
from .boxes import draw
from .words import PHRASES


def step_button(hole: str, at_end: bool) -> Tree:
    """A button that goes a line back or on, as long as there is one."""
    tag, attributes, label = button(hole, PHRASES[hole], f"attn-{hole}")
    return [tag, attributes | ({"disabled": ""} if at_end else {}), label]


def measure(bar: int, full: int, words: str) -> Tree:
    """The scale of all boxes: a bar of so many numbers, and what it means."""
    return ["div", {"class": "attn-measure"}, draw(bar, 1, full), ["span", {}, words]]


def sections(methods: list[dict[str, Any]], step: int, full: int, scale: Tree) -> list[Tree]:
    """All methods, those that one called folded into it; the one that has the step is open.

    Args:
        methods: as `tell` has them, in the order of their steps.
        full: how many numbers side by side fill the width of a tensor's entry.
        scale: what stands below the tensors of each.
    """
    outermost: Tree = []
    path: list[Tree] = [outermost]  # and the sections that lead down to the last
    for method in methods:
        chosen = step if method["start"] <= step < method["stop"] else None
        section = _section(method, chosen, full, scale)
        del path[method["depth"] + 1 :]
        path[-1].append(section)
        path.append(section)
        for opened in path[1:] if chosen is not None else []:
            opened[1]["open"] = ""
    return outermost


def _section(method: Mapping[str, Any], chosen: int | None, full: int, scale: Tree) -> Tree:
    """A method at the chosen step, or at its last."""
    now = method["stop"] - 1 if chosen is None else chosen
    source = {"role": "group", "aria-label": PHRASES["source"].format(name=method["name"])}
    lines = [_block(block, chosen, now) for block in method["blocks"]]
    slots = [_slot(slot, now, full) for slot in method["slots"]]
    # A form of its own: radio buttons of the same name elsewhere are not of this group.
    form = [
        "form",
        {"class": "attn-columns"},
        ["div", {"class": "attn-source", **source, "data-hole": "source"}, *lines],
        ["div", {"class": "attn-tensors"}, *slots, scale],
    ]
    name, origin = ["strong", {}, method["name"]], ["span", {}, method["origin"]]
    return ["details", {"data-hole": "section"}, ["summary", {}, name, " ", origin], form]


def _block(block: Mapping[str, Any], chosen: int | None, now: int) -> Tree:
    """A statement: its lines, and under them what they made. One that ran can be chosen."""
    step = block["step"]
    code = [["code", {}, *(map(_part, line) if line else [" "])] for line in block["lines"]]
    code += [["code", {"class": "attn-made"}, _part(part)] for part in block["made"]]
    if step < 0:
        return ["div", {"class": "attn-step attn-unrun"}, *code]
    checked = {"checked": ""} if step == chosen else {}
    choice = ["input", {"type": "radio", "name": "line", **checked, "data-live": ""}]
    kind = "attn-step" + " attn-now" * (step == now)
    return ["label", {"class": kind, "data-step": step, "data-hole": "line"}, choice, *code]


def _part(part: tuple[str, str]) -> Tree | str:
    text, quantity = part
    return ["span", {"class": f"attn-of-{quantity}"}, text] if quantity else text


def _slot(slot: list[Mapping[str, Any]], now: int, full: int) -> Tree:
    """A name: one state for each time that it is assigned, all in one place, and one for before."""
    steps = [-1, *(state["step"] for state in slot)]
    shown = max(i for i, step in enumerate(steps) if step <= now)
    states = [_unmade(slot[0]["name"]), *(_state(state, full) for state in slot)]
    for i, (step, (_, attributes, *_)) in enumerate(zip(steps, states, strict=True)):
        attributes["class"] += " attn-now" * (i == shown) + " attn-new" * (step == now)
        attributes["data-step"] = step
    return ["div", {"class": "attn-slot", "data-hole": "slot"}, *states]


def _unmade(name: str) -> Tree:
    words = ["span", {}, ["strong", {}, name], f" {PHRASES['not_yet']}"]
    return ["div", {"class": "attn-state attn-ghost"}, words]


def _state(state: Mapping[str, Any], full: int) -> Tree:
    words = [
        "span",
        {},
        ["strong", {}, state["name"]],
        " ",
        ["code", {}, state["sizes"]],
        " ",
        ["small", {}, state["memory"]],
    ]
    mark = ["span", {"class": "attn-mark"}, PHRASES["new"]]
    quantity = f" attn-of-{state['quantity']}" if state["quantity"] else ""
    box = draw(state["across"], state["down"], full)
    return ["div", {"class": f"attn-state{quantity}"}, words, mark, box]
