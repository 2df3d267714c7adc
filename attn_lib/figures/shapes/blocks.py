"""A traced method as the figure has it: blocks of lines, one a statement, and slots of tensors, one a name."""

import io
import tokenize
from collections.abc import Mapping
from typing import Any

from ...instruments.shapes import TracedLine, TracedMethod, TracedTensor
from .boxes import sides
from .words import PHRASES, describe_made, describe_memory

# What equations call otherwise in code; and what a method returns.
QUANTITY_OF = {
    "query": "query", "theta": "query", "key": "key", "phi": "key", "value": "value", "g": "value",
    "scores": "score", "weights": "weight",
}  # fmt: skip
RETURNS = {"attention": "weight", "reweight": "output", "forward": "output"}


def tell(method: TracedMethod, depth: int, start: int) -> tuple[dict[str, Any], list[str]]:
    """The method, its steps counted from `start` on, and for each step in words what it made."""
    quantities = QUANTITY_OF | {"return": RETURNS.get(method.name.rpartition(".")[2], "")}
    texts = _coloured([line.source for line in method.lines], quantities)
    blocks: list[dict[str, Any]] = []
    slots: dict[str, list[dict[str, Any]]] = {}
    said: list[str] = []
    for group in _statements(method):
        step = start + len(said)
        made = [tensor for line in group for tensor in line.tensors]
        for tensor in made:
            quantity = quantities.get(tensor.name.partition("[")[0], "")
            slots.setdefault(tensor.name, []).append(
                _state(tensor) | {"quantity": quantity, "step": step}
            )
        blocks.append(
            {
                "step": step if group[0].ran else -1,
                "lines": [texts[line.number - method.lines[0].number] for line in group],
                "made": [
                    (comment, slots[t.name][-1]["quantity"])
                    for line in group
                    for comment, t in zip(line.comments, line.tensors, strict=True)
                ],
            }
        )
        if group[0].ran:
            said.append(describe_made(made))
    told = {
        "name": method.name,
        "origin": method.origin,
        "depth": depth,
        "start": start,
        "stop": start + len(said),
        "blocks": blocks,
        "slots": list(slots.values()),
    }
    return told, said


def _statements(method: TracedMethod) -> list[list[TracedLine]]:
    groups: list[list[TracedLine]] = []
    for line in method.lines:
        if groups and groups[-1][0].statement == line.statement and groups[-1][-1].ran:
            groups[-1].append(line)
        else:
            groups.append([line])
    return groups


def _state(tensor: TracedTensor) -> dict[str, Any]:
    across, down = sides(tensor)
    return {
        "name": tensor.name,
        "sizes": tensor.sizes or PHRASES["one_number"],
        "memory": describe_memory(tensor),
        "across": across,
        "down": down,
    }


def _coloured(source: list[str], quantities: Mapping[str, str]) -> list[list[tuple[str, str]]]:
    """Lines cut into (text, quantity), "" for what is none; an attribute of that name is none."""
    lines: list[list[tuple[str, str]]] = []
    found: dict[int, list[tuple[int, int, str]]] = {}
    before = ""
    for token in tokenize.generate_tokens(io.StringIO("\n".join(source)).readline):
        if token.type == tokenize.NAME and before != "." and quantities.get(token.string):
            place = token.start[1], token.end[1], quantities[token.string]
            found.setdefault(token.start[0], []).append(place)
        before = token.string
    for number, text in enumerate(source, 1):
        parts, end = [], 0
        for start, stop, quantity in found.get(number, []):
            parts += [(text[end:start], ""), (text[start:stop], quantity)]
            end = stop
        lines.append([part for part in (*parts, (text[end:], "")) if part[0]])
    return lines
