"""`trace_shapes` tells, line by line of the source, what shapes came about, and nothing else changes."""

import inspect
import sys

import jaxtyping
import pytest
import torch
from cases import RELEASED, Case, every_case
from torch import Tensor, nn

from attn_lib import (
    AttentionModule,
    SelfAttention2d,
    SimpleViT,
    Transformer,
    trace_shapes,
)
from attn_lib.instruments.tracing import TracedMethod, TracedTensor


def tensors(method: TracedMethod) -> dict[str, list[TracedTensor]]:
    """What each name stood for, line after line."""
    found: dict[str, list[TracedTensor]] = {}
    for line in method.lines:
        for tensor in line.tensors:
            found.setdefault(tensor.name, []).append(tensor)
    return found


def told(method: TracedMethod) -> list[tuple[str, tuple, tuple]]:
    return [(t.name, t.shape, t.axes) for line in method.lines for t in line.tensors]


def test_self_attention_is_told_line_by_line():
    attention, reweight, forward = trace_shapes(SelfAttention2d(16), torch.randn(2, 16, 6, 5))
    assert told(attention) == [
        ("x", (2, 16, 6, 5), ("b", "c", "h", "w")),
        ("query", (2, 30, 2), ("b", "n", "d")),
        ("key", (2, 30, 2), ("b", "n", "d")),
        ("scores", (2, 30, 30), ("b", "n", "m")),
        ("return", (2, 30, 30), ("b", "n", "m")),
    ]
    assert told(reweight) == [
        ("x", (2, 16, 6, 5), ("b", "c", "h", "w")),
        ("weights", (2, 30, 30), ("b", "n", "m")),
        ("value", (2, 30, 16), ("b", "n", "d")),
        ("attended", (2, 30, 16), ("b", "n", "d")),
        ("attended", (2, 16, 6, 5), ("b", "d", "h", "w")),
        ("return", (2, 16, 6, 5), ("b", "c", "h", "w")),
    ]
    assert tensors(forward)["return"][0].shape == (2, 16, 6, 5)


@pytest.mark.slow
@every_case
def test_the_lines_are_the_source_and_tell_what_attention_gives(case: Case):
    module, x = case.awake(), case.input()
    methods = trace_shapes(module, x)
    assert [method.name for method in methods] == ["attention", "reweight", "forward"]
    for method in methods:
        function = inspect.unwrap(getattr(type(module), method.name))
        source, first = inspect.getsourcelines(function)
        assert [line.source.strip() for line in method.lines] == [
            line.strip() for line in source
        ]
        assert [line.number for line in method.lines] == list(range(first, first + len(source)))
        assert method.origin == f"{function.__module__}.{function.__qualname__}"
    weights = module.attention(x)
    (returned,) = tensors(methods[0])["return"]
    assert (returned.shape, returned.dtype) == (tuple(weights.shape), weights.dtype)
    assert all(
        name or size == 1 for name, size in zip(returned.axes, returned.shape, strict=True)
    )


def test_the_shape_checker_changes_nothing(unchecked):
    module, x = SelfAttention2d(16), torch.randn(2, 16, 6, 5)
    without = trace_shapes(module, x)
    jaxtyping.config.update("jaxtyping_disable", False)
    assert trace_shapes(module, x) == without


class Branching(nn.Module):
    """Every kind of statement that a forward is made of."""

    def forward(self, x: Tensor, double: bool = True):
        total = 0 * x[:, :1]
        for i, part in enumerate(x.split(1, dim=1)):
            total = (
                total
                + part
            )  # fmt: skip
            i += 1
        if double:
            total *= 2
        else:
            total = total - 1
        wide: Tensor = torch.cat([total, total], dim=1)
        self.kept, parts = None, [row.sum() for row in wide]
        with torch.no_grad():
            return wide, len(parts)


def test_loops_branches_and_several_results():
    (method,) = trace_shapes(Branching(), torch.randn(4, 3))
    by_text = {line.source.strip(): line for line in method.lines}

    def shapes(text: str) -> dict:
        return {tensor.name: tensor.shape for tensor in by_text[text].tensors}

    assert shapes("def forward(self, x: Tensor, double: bool = True):") == {"x": (4, 3)}
    assert shapes("total = 0 * x[:, :1]") == {"total": (4, 1)}
    assert shapes("for i, part in enumerate(x.split(1, dim=1)):") == {"part": (4, 1)}
    assert shapes(")  # fmt: skip") == {"total": (4, 1)}
    assert shapes("total *= 2") == {"total": (4, 1)}
    assert shapes("wide: Tensor = torch.cat([total, total], dim=1)") == {"wide": (4, 2)}
    assert shapes("return wide, len(parts)") == {"return[0]": (4, 2)}
    skipped = {line.source.strip() for line in method.lines if not line.ran}
    assert skipped == {"else:", "total = total - 1"}


def test_a_model_is_told_without_its_parts():
    (method,) = trace_shapes(SimpleViT(8, 4, 10, 24, 2, 3, 5), torch.randn(2, 3, 8, 8))
    assert told(method)[-1] == ("return", (2, 10), ("b", "classes"))
    (method,) = trace_shapes(Transformer(24, 3, 2, 5, 6), torch.randn(2, 7, 24))
    assert {axes for _, _, axes in told(method)} == {("b", "n", "d")}


def test_a_module_inside_one_of_its_own_kind_does_not_mix_in():
    class Outer(SelfAttention2d):
        def __init__(self):
            super().__init__(16)
            self.inner = SelfAttention2d(16)

        def attention(self, x: Tensor) -> Tensor:
            weights = self.inner.attention(x[:1])
            return super().attention(x).mul(1 + 0 * weights.sum())

    attention, *_ = trace_shapes(Outer(), torch.randn(2, 16, 3, 3))
    assert told(attention) == [
        ("x", (2, 16, 3, 3), (None,) * 4),  # no shapes in this signature
        ("weights", (1, 9, 9), ("b", "n", "m")),  # but in that of the part
        ("return", (2, 9, 9), (None, "n", "m")),
    ]


def test_other_people_s_modules_are_told_too():
    module, x = nn.MultiheadAttention(8, 2, batch_first=True), torch.randn(2, 6, 8)
    (method,) = trace_shapes(module, x, x, x)
    found = tensors(method)
    assert found["query"][0].shape == (2, 6, 8)
    assert {name for name in found if name.startswith("return")} == {"return[0]", "return[1]"}


def test_it_works_on_the_meta_device_and_for_other_dtypes():
    with torch.device("meta"):
        module, x = SelfAttention2d(16).half(), torch.randn(2, 16, 3, 3).half()
    assert tensors(trace_shapes(module, x)[0])["query"][0].dtype == torch.float16


def test_running_statistics_stay_and_nothing_has_a_gradient():
    module = SelfAttention2d(16, **RELEASED).train()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    trace_shapes(module, torch.randn(2, 16, 3, 3))
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())


@pytest.mark.parametrize("fails", [False, True])
def test_the_tracer_that_was_there_is_there_again(fails: bool, unchecked):
    events: list[str] = []

    def tracer(frame, event, value):
        events.append(event)

    module, channels = SelfAttention2d(16), 3 if fails else 16
    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        trace_shapes(module, torch.randn(2, channels, 3, 3))
    except ValueError as error:
        assert fails and "c=16" in str(error)
    finally:
        after = sys.gettrace()
        sys.settrace(before)
    assert after is tracer


def test_a_method_without_source_is_refused():
    space: dict = {"nn": nn}
    exec("class Sourceless(nn.Module):\n    def forward(self, x):\n        return x", space)
    with pytest.raises(ValueError, match=r"the source of .*forward.* cannot be found"):
        trace_shapes(space["Sourceless"](), torch.randn(2))


def test_a_gate_s_reweight_is_the_one_that_all_gates_share():
    class Half(AttentionModule):
        def attention(self, x: Tensor) -> Tensor:
            return torch.full((1, 1), 0.5)

    _, reweight, forward = trace_shapes(Half(), torch.randn(2, 3))
    assert told(reweight)[-1] == ("return", (2, 3), (None, None))
    assert reweight.origin == "attn_lib.module.AttentionModule.reweight"
    assert forward.origin == "attn_lib.module.AttentionModule.forward"


def test_what_is_no_method_is_refused():
    replaced = nn.Identity()
    replaced.forward = lambda x: x
    with pytest.raises(ValueError, match=r"Identity\.forward ran without"):
        trace_shapes(replaced, torch.randn(2))
    replaced.forward = torch.relu
    with pytest.raises(ValueError, match=r"Identity\.forward is no Python function"):
        trace_shapes(replaced, torch.randn(2))
