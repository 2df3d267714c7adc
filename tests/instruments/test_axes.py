"""Axes are called as signatures, patterns and makers call them, and what nothing tells stays without a name."""

import pytest
import torch
from cases import RELEASED
from jaxtyping import Float
from test_tracing import tensors, told
from torch import Tensor, nn

from attn_lib import (
    CBAM,
    Attention,
    AttentionModule,
    NonLocal,
    SelfAttention2d,
    SimpleViT,
    trace_shapes,
)


def test_fewer_keys_than_queries_are_m():
    attention, *_ = trace_shapes(SelfAttention2d(16, **RELEASED), torch.randn(3, 16, 6, 5))
    assert tensors(attention)["key"][0].axes == ("b", "m", "d")
    assert tensors(attention)["return"][0].shape == (3, 30, 9)


def test_heads_have_their_name():
    attention, reweight, forward = trace_shapes(Attention(24, 3, 5), torch.randn(2, 7, 24))
    assert tensors(attention)["query"][0].axes == ("b", "heads", "n", "d")
    assert tensors(attention)["return"][0].axes == ("b", "heads", "n", "n")
    assert tensors(reweight)["attended"][0].axes == ("b", "heads", "n", "d")
    assert tensors(forward)["attended"][0].axes == ("b", "heads", "n", "e")


class Flat(nn.Module):
    def forward(self, x: Float[Tensor, "b c h w"]):
        rows = x.flatten(2)
        return rows @ rows.mT


def test_sizes_that_several_names_have_are_not_guessed():
    (method,) = trace_shapes(Flat(), torch.randn(2, 16, 4, 4))
    assert tensors(method)["rows"][0].axes == ("b", None, None)
    (method,) = trace_shapes(Flat(), torch.randn(2, 15, 4, 4))
    assert told(method)[1:] == [
        ("rows", (2, 15, 16), ("b", "c", "n")),
        ("return", (2, 15, 15), ("b", "c", "c")),
    ]


def test_a_square_map_is_still_height_by_width():
    class Doubled(nn.Module):
        def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
            twice = 2 * x
            return twice

    (method,) = trace_shapes(Doubled(), torch.randn(128, 512, 7, 7))
    assert tensors(method)["twice"][0].axes == ("b", "c", "h", "w")


def test_inherited_methods_take_the_names_of_the_signature_of_attention():
    class Gate(AttentionModule):
        def attention(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c 1 1"]:
            return x.mean((2, 3), keepdim=True)

    _, reweight, forward = trace_shapes(Gate(), torch.randn(2, 3, 4, 5))
    x, weights, y = told(reweight)
    assert x[2] == y[2] == ("b", "c", "h", "w") and weights[2] == ("b", "c", None, None)
    assert told(forward)[-1][2] == ("b", "c", "h", "w")
    _, _, forward = trace_shapes(SelfAttention2d(16, **RELEASED), torch.randn(3, 16, 6, 5))
    assert tensors(forward)["key"][0].axes == ("b", "m", "d")


def test_a_tensor_has_the_names_that_its_maker_gave():
    attention, _, forward = trace_shapes(NonLocal(32, subsample=True), torch.randn(2, 32, 5, 4))
    for method, keys in ((attention, "phi"), (forward, "g")):
        assert tensors(method)["theta"][0].axes == ("b", "n", "d")
        assert tensors(method)[keys][0].axes == ("b", "m", "d")
    (method,) = trace_shapes(SimpleViT(8, 4, 10, 24, 1, 3, 5), torch.randn(2, 3, 8, 8))
    assert [tensor.axes for tensor in tensors(method)["tokens"]] == [("b", "n", "d")] * 2


def test_neighbours_of_one_size_keep_their_order():
    attention, *_ = trace_shapes(CBAM(32), torch.randn(2, 32, 7, 7))
    pooled = tensors(attention.calls[1])["pooled"][0]
    assert (pooled.shape, pooled.axes) == ((2, 2, 7, 7), ("b", None, "h", "w"))


@pytest.mark.parametrize(
    "size, axes", [((5,), "t"), ((5, 4), "h w"), ((5, 4, 3), "t h w")], ids=str
)
def test_a_signature_for_any_grid_names_the_grid_that_came(size: tuple, axes: str):
    class AnyGrid(nn.Module):
        def forward(self, x: Float[Tensor, "b c *size"]) -> Float[Tensor, "b c *size"]:
            tokens = x.flatten(2).mT
            return tokens.mT.reshape(x.shape)

    (method,) = trace_shapes(AnyGrid(), torch.randn(2, 7, *size))
    assert tensors(method)["return"][0].axes == ("b", "c", *axes.split())
    assert tensors(method)["tokens"][0].axes == ("b", "t" if size == (5,) else "n", "c")
