"""What a trace tells beyond single lines: the functions that were called, statements, and all of it as text."""

import inspect

import torch
from jaxtyping import Float
from test_tracing import Branching, told
from torch import Tensor, nn

from attn_lib import (
    CBAM,
    SelectiveKernel,
    SelfAttention2d,
    SimpleViT,
    trace_shapes,
)
from attn_lib.instruments.tracing import TracedMethod


def followed(*methods: TracedMethod) -> list[tuple[int, str, str]]:
    return [
        (depth, called.name, called.origin.removeprefix("attn_lib."))
        for method in methods
        for depth, called in method.walk()
    ]


def test_what_a_method_calls_follows_it_and_is_told_once():
    assert followed(*trace_shapes(CBAM(32), torch.randn(2, 32, 5, 4))) == [
        (0, "attention", "mixed.CBAM.attention"),
        (1, "channel.attention", "mixed.ChannelGate.attention"),
        (2, "highest", "mixed.highest"),  # over positions
        (1, "spatial.attention", "mixed.SpatialGate.attention"),
        (2, "highest", "mixed.highest"),  # over channels
        (0, "reweight", "module.AttentionModule.reweight"),
        (0, "forward", "mixed.CBAM.forward"),
        (1, "channel.forward", "module.AttentionModule.forward"),
        (2, "channel.reweight", "module.AttentionModule.reweight"),
        (1, "spatial.forward", "mixed.SpatialGate.forward"),
        (2, "convolve_pair", "fast.convolve_pair"),
    ]


def test_layers_with_the_same_shapes_are_told_once():
    (method,) = trace_shapes(SimpleViT(8, 4, 10, 24, 3, 3, 5), torch.randn(2, 3, 8, 8))
    assert followed(method) == [
        (0, "forward", "vit.SimpleViT.forward"),
        (1, "transformer.forward", "vit.Transformer.forward"),
        (2, "transformer.layers.0.0.forward", "vit.Attention.forward"),
        (3, "transformer.layers.0.0._cut", "vit.Attention._cut"),
        (3, "fused_attention", "fast.fused_attention"),
        (2, "transformer.layers.0.1.forward", "vit.FeedForward.forward"),
    ]


def test_of_a_list_each_tensor_is_told():
    attention, *_ = trace_shapes(SelectiveKernel(32), torch.randn(2, 32, 5, 4))
    (share,) = attention.calls
    assert told(share)[:2] == [
        (f"seen[{i}]", (2, 32, 5, 4), ("b", "c", "h", "w")) for i in range(2)
    ]


def test_a_part_whose_source_is_lost_is_passed_over():
    space: dict = {"__name__": __name__}
    exec("def twice(x):\n    return 2 * x", space)

    class Caller(nn.Module):
        def forward(self, x: Float[Tensor, "b c"]):
            return space["twice"](x)

    (method,) = trace_shapes(Caller(), torch.randn(2, 3))
    assert method.calls == () and told(method)[-1] == ("return", (2, 3), ("b", "c"))


def test_lines_know_their_statement():
    (method,) = trace_shapes(Branching(), torch.randn(4, 3))
    starts = {
        line.source.strip(): line.source.strip() if line.statement == line.number else None
        for line in method.lines
    }
    inside = {"total", "+ part", ")  # fmt: skip"}
    assert {text for text, start in starts.items() if start is None} == inside


def test_the_text_is_the_source_with_true_comments():
    attention, *_ = trace_shapes(SelfAttention2d(16).half(), torch.randn(2, 16, 6, 5).half())
    lines = str(attention).splitlines()
    assert lines[0] == "# attention: attn_lib.spatial.SelfAttention2d.attention"
    assert lines[2] == "    # x: b=2 c=16 h=6 w=5, float16"
    assert lines[-2:] == [
        "    return scores.softmax(dim=-1).to(x.dtype)",
        "    # return: b=2 n=30 m=30, float16",
    ]
    source = inspect.getsource(inspect.unwrap(SelfAttention2d.attention))
    kept = [line for line in lines[1:] if not line.strip().startswith("# ")]
    assert kept == [line[4:] for line in source.splitlines()]
    (method,) = trace_shapes(Branching(), torch.randn(4, 3))
    inner = str(method).splitlines()
    place = next(i for i, line in enumerate(inner) if line.lstrip().startswith("for i, part"))
    assert inner[place + 1] == "        # part: 4 1", "what a loop binds stands inside it"
