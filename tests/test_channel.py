"""What the channel mechanisms promise beyond what every mechanism does: who cares for the order of channels."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.testing import assert_close

from attn_lib import (
    CBAM,
    ChannelGate,
    EfficientChannelAttention,
    SelectiveKernel,
    SpatialGate,
    SqueezeExcitation,
    record,
)

CLOSE = {"atol": 1e-5, "rtol": 1e-5}
x_of = {c: (2, c, 5, 6) for c in (16, 64)}


def permuted(module: nn.Module, order: Tensor) -> nn.Module:
    """The same function of channels in another order: weights of the first and last layer permuted."""
    layers = [part for part in module.modules() if isinstance(part, nn.Linear)]
    with torch.no_grad():
        layers[0].weight.copy_(layers[0].weight[:, order])
        layers[1].weight.copy_(layers[1].weight[order])
        if layers[1].bias is not None:
            layers[1].bias.copy_(layers[1].bias[order])
    return module


@pytest.mark.parametrize(
    "make", [lambda: SqueezeExcitation(64, bias=True), lambda: ChannelGate(64)]
)
def test_channels_have_no_order_but_for_their_names_in_the_weights(make):
    module, x, order = make(), torch.randn(x_of[64]), torch.randperm(64)
    before = module(x)
    assert not torch.allclose(module(x[:, order]), before[:, order], atol=1e-3)
    assert_close(permuted(module, order)(x[:, order]), before[:, order], **CLOSE)


def test_for_efficient_channel_attention_the_order_of_channels_matters():
    # One kernel slides over all: no change of weights makes up for another order, but for its mirror image.
    module, x = EfficientChannelAttention(16), torch.randn(x_of[16])
    before = module(x)
    assert not torch.allclose(
        module(x[:, torch.randperm(16)]).sort(1)[0], before.sort(1)[0], atol=1e-3
    )
    with torch.no_grad():
        module.conv.weight.copy_(module.conv.weight.flip(2))
    assert_close(module(x.flip(1)), before.flip(1), **CLOSE)


def test_a_channel_beyond_the_kernel_does_not_count():
    module, x = EfficientChannelAttention(16), torch.randn(x_of[16])
    other = x.clone()
    other[:, 8] += 1
    changed = (module.attention(other) != module.attention(x)).flatten(2).any(2).any(0)
    assert changed.nonzero().flatten().tolist() == [7, 8, 9]


def test_the_spatial_gate_does_not_care_for_the_order_of_channels():
    module, x, order = SpatialGate().eval(), torch.randn(x_of[16]), torch.randperm(16)
    assert_close(module.attention(x[:, order]), module.attention(x), **CLOSE)


@pytest.mark.parametrize("make", [SqueezeExcitation, EfficientChannelAttention, ChannelGate])
@given(channels=st.integers(1, 70), h=st.integers(1, 9), w=st.integers(1, 9))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_a_channel_gate_sees_no_positions_at_any_number_of_channels(
    make, channels: int, h: int, w: int
):
    module, x = make(channels), torch.randn(2, channels, h, w)
    weights = module.attention(x)
    assert weights.shape == (2, channels, 1, 1) and ((weights > 0) & (weights < 1)).all()
    shuffled = x.flatten(2)[..., torch.randperm(h * w)].view_as(x)
    assert_close(module.attention(shuffled), weights, **CLOSE)


@given(channels=st.integers(1, 70), reduction=st.integers(1, 40))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_fewer_channels_than_the_reduction_leave_one_hidden_unit(channels: int, reduction: int):
    for module in (
        SqueezeExcitation(channels, reduction),
        ChannelGate(channels, reduction, bias=False),
    ):
        hidden = max(channels // reduction, 1)
        assert sum(p.numel() for p in module.parameters()) == 2 * channels * hidden


@given(channels=st.integers(1, 70), branches=st.integers(1, 4), side=st.integers(1, 8))
@settings(max_examples=15, deadline=None, derandomize=True)
def test_selective_kernels_share_at_any_number_of_channels(
    channels: int, branches: int, side: int
):
    module, x = SelectiveKernel(channels, branches).eval(), torch.randn(2, channels, side, 3)
    weights = module.attention(x)
    assert weights.shape == (2, branches, channels)
    assert_close(weights.sum(1), torch.ones(2, channels))
    assert_close(module(x), module.reweight(x, weights), **CLOSE)


def test_each_branch_sees_two_pixels_more():
    module = SelectiveKernel(4, branches=3).eval()
    for size, branch in zip((3, 5, 7), module.branches, strict=True):
        x = torch.zeros(1, 4, 15, 15, requires_grad=True)
        branch[0](x)[..., 7, 7].sum().backward()
        seen = x.grad.abs().sum((0, 1)).nonzero()
        assert (seen.max(0)[0] - seen.min(0)[0] + 1).tolist() == [size, size]


def test_the_gate_of_cbam_is_the_product_of_two_that_record_shows():
    model, x = nn.Sequential(CBAM(16, 4)).eval(), torch.randn(x_of[16])
    with record(model) as maps:
        model(x)
    assert list(maps) == ["0", "0.channel", "0.spatial"]
    assert_close(maps["0"], maps["0.channel"] * maps["0.spatial"])
    assert_close(maps["0.spatial"], model[0].spatial.attention(x * maps["0.channel"]))


def test_the_spatial_gate_of_cbam_looks_at_gated_features():
    module, x = CBAM(16, 4).eval(), torch.randn(x_of[16])
    nn.init.zeros_(module.channel.mlp[2].weight)
    # All channels off: nothing left to look at.
    nn.init.constant_(module.channel.mlp[2].bias, -50.0)
    blank = module.spatial.attention(torch.zeros_like(x))
    assert_close(module.spatial.attention(module.channel(x)), blank)
    assert not torch.allclose(module.spatial.attention(x), blank, atol=1e-3)


def test_cbam_can_start_as_the_authors_network_does():
    module, x = CBAM(16, 4, released_start=True), torch.randn(x_of[16])
    for mode in (True, False):
        gate = module.train(mode).spatial.attention(x)
        assert_close(gate, torch.full_like(gate, 0.5))
    assert not any(p.any() for name, p in module.named_parameters() if name.endswith("bias"))
    assert module.spatial.conv.weight.any() and module.channel.mlp[0].weight.any()
    module(x).square().sum().backward()
    assert module.spatial.norm.weight.grad.abs() > 0, "it is not stuck there"
