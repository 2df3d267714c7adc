"""ShapeTracer: the source of a module, line by line, with the tensors that are alive there."""

import html
import io
import math
import tokenize
from collections.abc import Iterator, Mapping
from typing import Any

import traitlets
from torch import nn

from ...instruments.shapes import TracedLine, TracedMethod, TracedTensor
from ...instruments.tracing import trace_shapes
from ..base import LivingFigure
from .boxes import draw, rounded, sides

HINT = "☞ Point at a line, or choose it."
# What equations call otherwise in code; and what a method returns.
QUANTITY_OF = {
    "query": "query", "theta": "query", "key": "key", "phi": "key", "value": "value", "g": "value",
    "scores": "score", "weights": "weight",
}  # fmt: skip
RETURNS = {"attention": "weight", "reweight": "output", "forward": "output"}
TALLEST = 3  # an entry is at least this many times as wide as the tallest box in it is high


class ShapeTracer(LivingFigure):
    """What does each line do to the shapes? The module's own source, and under each line what it made.

    Beside it the tensors that are alive once a line has run, with a box to scale for each: one image of
    the batch, positions down, all else (features, keys, heads) across. Hover a line to see them; click or
    tap it, step with the buttons or the arrow keys to choose it. The functions that a method calls follow
    it, folded. Its text is the source with all shapes, so that stored outputs hold every one of them.

        ShapeTracer(SelfAttention2d(512), torch.randn(128, 512, 7, 7), alt="…")

    Args:
        module, inputs: as `trace_shapes` takes them.
        alt: what one sees in the first picture.
        step: the line chosen first, counted over the statements that ran, in all methods; None means the
            last of the first method.

    Raises:
        ValueError: there is no such step, or as `trace_shapes`.
    """

    name = "shape_tracer"

    methods = traitlets.List(traitlets.Dict()).tag(sync=True)
    full = traitlets.Int().tag(sync=True)  # how many numbers side by side fill an entry's width
    bar = traitlets.Int().tag(sync=True)  # how many the scale shows
    scale = traitlets.Unicode().tag(sync=True)  # the scale in words
    step = traitlets.Int().tag(sync=True)

    def __init__(self, module: nn.Module, *inputs: Any, alt: str, step: int | None = None):
        walked = [pair for method in trace_shapes(module, *inputs) for pair in method.walk()]
        methods = [method for _, method in walked]
        self._text = "\n\n".join(map(str, methods))
        told, count = [], 0
        for depth, method in walked:
            told.append(_method(method, depth, count))
            count = told[-1]["stop"]
        states = [state for method in told for slot in method["slots"] for state in slot]
        full = max(max(s["across"] for s in states), TALLEST * max(s["down"] for s in states))
        super().__init__(
            alt=alt,
            methods=told,
            full=full,
            bar=rounded(full / 4),
            scale=_scale(methods, rounded(full / 4)),
            step=told[0]["stop"] - 1 if step is None else step,
        )

    @traitlets.validate("step")
    def _check_step(self, proposal):
        steps = self.methods[-1]["stop"]
        if not 0 <= proposal["value"] < steps:
            raise ValueError(
                f"the step must be one of {steps} lines that ran, 0 to {steps - 1}; got {proposal['value']}"
            )
        return proposal["value"]

    def alive(self, step: int | None = None) -> dict[str, str]:
        """The tensors that exist once a step is done: the name of each and its sizes, as the figure shows them."""
        step = self.step if step is None else step
        method = next(method for method in self.methods if step < method["stop"])
        found = {}
        for slot in method["slots"]:
            for state in slot:
                if state["step"] <= step:
                    found[state["name"]] = state["sizes"]
        return found

    def _repr_mimebundle_(self, **kwargs):
        bundle, metadata = super()._repr_mimebundle_(**kwargs)
        return bundle | {"text/plain": f"{self.alt}\n\n{self._text}"}, metadata

    def still(self) -> str:
        # The elements that shape_tracer.js makes, so that nothing moves when it takes over.
        sections = "".join(self._sections(0, len(self.methods)))
        return (
            f'<div class="attn-living attn-tracer attn-still" role="group" aria-label="{html.escape(self.alt)}">'
            '<div class="attn-controls"><span class="attn-button">◀ Line before</span>'
            f'<span class="attn-button">Next line ▶</span><span>{HINT}</span></div>{sections}</div>'
        )

    def _sections(self, start: int, stop: int) -> Iterator[str]:
        """Methods from `start` on, each with those that it called, which lie deeper, folded into it."""
        while start < stop:
            end = start + 1
            while end < stop and self.methods[end]["depth"] > self.methods[start]["depth"]:
                end += 1
            yield self._section(start, end)
            start = end

    def _section(self, index: int, end: int) -> str:
        method = self.methods[index]
        here = method["start"] <= self.step < method["stop"]
        inside = method["start"] <= self.step < self.methods[end - 1]["stop"]
        now = self.step if here else method["stop"] - 1
        blocks = "".join(_block(block, now) for block in method["blocks"])
        slots = "".join(_slot(slot, now, self.full) for slot in method["slots"])
        name = html.escape(method["name"])
        return (
            f"<details{' open' if inside else ''}><summary><strong>{name}</strong> "
            f'<span>{html.escape(method["origin"])}</span></summary><div class="attn-columns">'
            f'<div class="attn-source" tabindex="0" role="group" aria-label="Source of {name}">{blocks}</div>'
            f'<div class="attn-tensors">{slots}<div class="attn-measure">{draw(self.bar, 1, self.full)}'
            f"<span>{html.escape(self.scale)}</span></div></div></div>"
            f"{''.join(self._sections(index + 1, end))}</details>"
        )


def _method(method: TracedMethod, depth: int, start: int) -> dict[str, Any]:
    """A method as the figure tells it: blocks of lines, one for each statement, and slots, one for each name."""
    quantities = QUANTITY_OF | {"return": RETURNS.get(method.name.rpartition(".")[2], "")}
    groups: list[list[TracedLine]] = []
    for line in method.lines:
        if groups and groups[-1][0].statement == line.statement and groups[-1][-1].ran:
            groups[-1].append(line)
        else:
            groups.append([line])
    texts = _coloured([line.source for line in method.lines], quantities)
    blocks: list[dict[str, Any]] = []
    slots: dict[str, list[dict[str, Any]]] = {}
    step = start
    for group in groups:
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
                    [comment, slots[t.name][-1]["quantity"]]
                    for line in group
                    for comment, t in zip(line.comments, line.tensors, strict=True)
                ],
                "said": f"New: {'; '.join(map(str, made))}." if made else "Nothing new.",
            }
        )
        step += group[0].ran
    return {
        "name": method.name,
        "origin": method.origin,
        "depth": depth,
        "start": start,
        "stop": step,
        "blocks": blocks,
        "slots": list(slots.values()),
    }


def _state(tensor: TracedTensor) -> dict[str, Any]:
    across, down = sides(tensor)
    size = math.prod(tensor.shape) * tensor.dtype.itemsize
    return {
        "name": tensor.name,
        "sizes": tensor.sizes or "one number",
        "memory": f"{str(tensor.dtype).removeprefix('torch.')}, {_bytes(size)}",
        "across": across,
        "down": down,
    }


def _scale(methods: list[TracedMethod], bar: int) -> str:
    lines = [line for method in methods for line in method.lines]
    tensors = [tensor for line in lines for tensor in line.tensors]
    batch = next((t.shape[0] for t in tensors if t.axes[:1] == ("b",)), 1)
    one = f"for one of b={batch}: " if batch > 1 else ""
    italic = "" if all(line.ran or not line.source for line in lines) else " Italic: not run."
    return f"{bar:,} numbers. Boxes to scale, {one}positions down, all else across.{italic}"


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


def _block(block: Mapping[str, Any], now: int) -> str:
    lines = "".join(
        f"<code>{''.join(_part(*part) for part in line) or ' '}</code>"
        for line in block["lines"]
    )
    made = "".join(
        f'<code class="attn-made">{_part(text, quantity)}</code>'
        for text, quantity in block["made"]
    )
    kind = "attn-unrun" if block["step"] < 0 else "attn-now" if block["step"] == now else ""
    return f'<div class="attn-step {kind}">{lines}{made}</div>'


def _part(text: str, quantity: str) -> str:
    text = html.escape(text)
    return f'<span class="attn-of-{quantity}">{text}</span>' if quantity else text


def _slot(slot: list[Mapping[str, Any]], now: int, full: int) -> str:
    shown = max((i for i, state in enumerate(slot) if state["step"] <= now), default=-1)
    states = [
        f'<div class="attn-state attn-ghost{" attn-now" if shown < 0 else ""}">'
        f"<span><strong>{html.escape(slot[0]['name'])}</strong> not yet</span></div>"
    ]
    for i, state in enumerate(slot):
        kinds = " attn-now" * (i == shown) + " attn-new" * (state["step"] == now)
        colour = f" attn-of-{state['quantity']}" if state["quantity"] else ""
        states.append(
            f'<div class="attn-state{colour}{kinds}"><span><strong>{html.escape(state["name"])}</strong> '
            f"<code>{html.escape(state['sizes'])}</code></span> <small>{html.escape(state['memory'])}</small>"
            f"{draw(state['across'], state['down'], full)}</div>"
        )
    return f'<div class="attn-slot">{"".join(states)}</div>'


def _bytes(size: float | int) -> str:
    for unit in ("B", "kB", "MB"):
        if size < 999.5:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"
