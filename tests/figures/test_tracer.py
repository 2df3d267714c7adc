"""ShapeTracer: what it draws is what the trace says, for every line."""

import html
import json
import re
from collections.abc import Iterator

import pytest
import torch
from cases import Case, every_case
from torch import Tensor, nn

from attn_lib import (
    CBAM,
    Attention,
    SelfAttention2d,
    SimpleViT,
    trace_shapes,
)
from attn_lib.figures import QUANTITIES, ShapeTracer
from attn_lib.figures.shapes.boxes import rounded, sides
from attn_lib.instruments.shapes import TracedMethod, TracedTensor

ALT = "Lines of code beside boxes."


def tracer(**changed) -> ShapeTracer:
    return ShapeTracer(
        SelfAttention2d(16), torch.randn(2, 16, 6, 5), **({"alt": ALT} | changed)
    )


def steps(method: TracedMethod) -> Iterator[dict[str, TracedTensor]]:
    """What is alive after each statement that ran, told from the trace alone."""
    alive: dict[str, TracedTensor] = {}
    ran = {line.statement: line for line in method.lines if line.ran}
    for start in ran:
        for line in method.lines:
            if line.statement == start:
                alive |= {tensor.name: tensor for tensor in line.tensors}
        yield dict(alive)


@pytest.mark.slow
@every_case
def test_every_step_shows_what_is_alive_there(case: Case):
    module, x = case.awake(), case.input()
    figure = ShapeTracer(module, x, alt=ALT)
    wanted = [
        {name: tensor.sizes for name, tensor in alive.items()}
        for method in trace_shapes(module, x)
        for _, each in method.walk()
        for alive in steps(each)
    ]
    assert len(wanted) == figure.methods[-1]["stop"]
    for step, alive in enumerate(wanted):
        figure.step = step
        assert figure.alive() == alive
        shown = re.findall(
            r'<div class="attn-state[^"]* attn-now[^"]*"[^>]*><span><strong>([^<]*)</strong> <code>([^<]*)<',
            figure.still(),
        )
        assert all((html.escape(name), sizes) in shown for name, sizes in alive.items())
    assert figure.weight() < 150_000


def test_its_source_is_the_source():
    figure = tracer()
    for method, (_, each) in zip(
        figure.methods,
        (
            pair
            for m in trace_shapes(SelfAttention2d(16), torch.randn(2, 16, 6, 5))
            for pair in m.walk()
        ),
        strict=True,
    ):
        lines = [line for block in method["blocks"] for line in block["lines"]]
        assert ["".join(text for text, _ in line) for line in lines] == [
            line.source for line in each.lines
        ]


def test_quantities_have_their_colours_and_attributes_have_none():
    attention, reweight, forward = (
        method for method in tracer().methods if not method["depth"]
    )
    assert [slot[0]["quantity"] for slot in attention["slots"]] == [
        "", "query", "key", "score", "weight",
    ]  # fmt: skip
    assert (
        reweight["slots"][-1][0]["quantity"] == forward["slots"][-1][0]["quantity"] == "output"
    )
    (query,) = (
        line
        for block in attention["blocks"]
        for line in block["lines"]
        if "query = " in str(line[1:]) or line[1:2] == [("query", "query")]
    )
    assert query[1] == ("query", "query") and "self.query(x)" in query[2][0]
    used = {
        part[1]
        for m in tracer().methods
        for b in m["blocks"]
        for line in b["lines"]
        for part in line
    }
    assert used - {""} <= set(QUANTITIES)


def tensor(**axes: int) -> TracedTensor:
    names = tuple(None if name.startswith("_") else name for name in axes)
    return TracedTensor("x", tuple(axes.values()), torch.float32, names)


@pytest.mark.parametrize(
    ("shape", "across", "down"),
    [
        (tensor(b=128, c=512, h=7, w=7), 512, 49),
        (tensor(b=128, n=49, d=64), 64, 49),
        (tensor(b=128, n=49, m=16), 16, 49),
        (tensor(b=128, m=16, d=64), 64, 16),
        (tensor(b=128, heads=16, n=49, m=16), 16 * 16, 49),
        (tensor(b=128, c=512, _1=1, _2=1), 512, 1),
        (tensor(b=128, _1=640, h=7, w=7), 640, 49),
        (tensor(b=128, c=512, _1=4, _2=4), 512, 16),
        (tensor(b=128, _1=1, h=7, w=7), 7, 7),
        (tensor(b=128, branches=2, c=512), 512, 2),
        (tensor(b=128, c=3, h=224, w=224), 3 * 224, 224),
        (tensor(d=64, _1=1024), 64, 1024),
        (tensor(_1=128, _2=512, _3=7, _4=7), 512 * 49, 128),
        (tensor(b=128), 1, 1),
        (tensor(), 1, 1),
    ],
    ids=str,
)  # fmt: skip
def test_positions_go_down_and_all_else_across(shape: TracedTensor, across: int, down: int):
    assert sides(shape) == (across, down)
    whole = torch.Size(shape.shape).numel()
    assert across * down == (whole // 128 if shape.axes[:1] == ("b",) else whole)


def test_boxes_fit_and_the_scale_is_round():
    figure = tracer()
    states = [state for m in figure.methods for slot in m["slots"] for state in slot]
    assert max(state["across"] for state in states) <= figure.full
    assert max(state["down"] for state in states) * 3 <= figure.full
    assert [rounded(x) for x in (0.2, 1, 4.9, 5, 99, 128, 4096)] == [1, 1, 2, 5, 50, 100, 2000]
    assert figure.scale.startswith(f"{figure.bar:,} numbers.") and "one of b=2" in figure.scale


def test_memory_is_what_torch_says():
    figure = ShapeTracer(SelfAttention2d(16).half(), torch.randn(2, 16, 6, 5).half(), alt=ALT)
    x, *_ = figure.methods[0]["slots"]
    assert x[0]["memory"] == f"float16, {torch.randn(2, 16, 6, 5).half().nbytes / 1000} kB"


def test_its_text_holds_every_shape():
    module, x = CBAM(16), torch.randn(2, 16, 6, 5)
    bundle, _ = ShapeTracer(module, x, alt=ALT)._repr_mimebundle_()
    methods = [str(each) for method in trace_shapes(module, x) for _, each in method.walk()]
    assert bundle["text/plain"] == "\n\n".join([ALT, *methods])
    assert "# of_channels: b=2 c=16 1 1" in bundle["text/plain"]


@pytest.mark.slow
def test_the_published_figure_holds_all_its_data():
    figure = tracer(step=3)
    data = json.loads(re.search(r'json">(.*)</script>', figure.to_html())[1])
    assert set(data) == figure._own_traits() and data["step"] == 3
    assert data["said"] == figure.said and len(figure.said) == figure.methods[-1]["stop"]
    told = html.unescape(re.sub("<[^>]*>", "", figure.still()))
    for method in figure.methods:
        parts = [method["name"] + " " + method["origin"]]
        for block in method["blocks"]:
            parts += ["".join(text for text, _ in line) for line in block["lines"]]
            parts += [text for text, _ in block["made"]]
        for state in (state for slot in method["slots"] for state in slot):
            parts.append(f"{state['name']} {state['sizes']} {state['memory']}")
        for part in parts:
            told = told[told.index(part) + len(part) :]
    assert figure.scale in told


class Hostile(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        note = "</script><img src=x onerror=alert(1)>"
        return x if note else -x


def test_source_is_text_never_markup():
    page = ShapeTracer(
        Hostile(), torch.randn(2, 3), alt=f"four words and {Hostile.__name__}"
    ).to_html()
    assert "<img" not in page and page.count("</script>") == 1
    assert "&lt;/script&gt;&lt;img" in page


def test_python_sees_and_sets_the_step():
    figure, seen = tracer(), []
    assert figure.step == figure.methods[0]["stop"] - 1, "first, all of the first method"
    figure.observe(lambda change: seen.append(change["new"]), "step")
    figure.step = 2
    assert seen == [2] and list(figure.alive()) == ["x", "query"]
    count = figure.methods[-1]["stop"]
    for bad in (-1, count):
        with pytest.raises(ValueError, match=rf"one of {count} lines.* got {bad}"):
            figure.step = bad
    with pytest.raises(ValueError, match="got 99"):
        tracer(step=99)
    with pytest.raises(ValueError, match="alt text"):
        tracer(alt="short")


@pytest.mark.parametrize(
    "module, shape",
    [(SimpleViT(32, 8, 10, 24, 2, 3, 5), (2, 3, 32, 32)), (Attention(24, 3, 5), (2, 7, 24))],
    ids=["SimpleViT", "Attention"],
)
def test_called_methods_lie_inside_their_callers(module: nn.Module, shape: tuple):
    page = ShapeTracer(module, torch.randn(shape), alt=ALT).still()
    depth, found = 0, []
    for name in re.findall(r"<details[^>]*><summary><strong>([^<]*)|</details>", page):
        if name:
            found.append((depth, html.unescape(name)))
        depth += 1 if name else -1
    methods = [pair for m in trace_shapes(module, torch.randn(shape)) for pair in m.walk()]
    assert found == [(deep, method.name) for deep, method in methods] and depth == 0
