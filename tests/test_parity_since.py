"""The mechanisms that came after the notes equal what others wrote, with copied weights."""

import pytest
import torch
from fightingcv_attention.attention.CoordAttention import CoordAtt
from fightingcv_attention.attention.SimAM import SimAM as FightingSimAM
from mmcv.cnn.bricks import ContextBlock
from test_parity_channel import CLOSE, copy, shapes
from timm.layers import GlobalContext as TimmGlobalContext
from timm.layers.coord_attn import CoordAttn
from timm.models.xcit import XCA
from torch import Tensor, nn
from torch.testing import assert_close

from attn_lib import (
    CoordinateAttention,
    CrossCovarianceAttention,
    GlobalContext,
    SimAM,
)


def awake(module: nn.Module) -> nn.Module:
    """As some steps of training may leave it: nothing at 0 or 1."""
    for values in (*module.parameters(), *module.buffers()):
        if values.is_floating_point() and len(values.unique()) == 1:
            nn.init.uniform_(values, 0.5, 1.5)
    return module.eval()


@shapes
def test_global_context_is_mmcv(shape: tuple):
    module, x = awake(GlobalContext(64)), torch.randn(shape)
    theirs = ContextBlock(64, ratio=1 / 16)
    copy(module.key, theirs.conv_mask)
    for ours, part in zip(module.transform, theirs.channel_add_conv, strict=True):
        copy(ours, part)
    assert_close(module(x), theirs(x), **CLOSE)


@shapes
def test_global_context_is_timm_told_to_add(shape: tuple):
    module, x = awake(GlobalContext(64, 8)), torch.randn(shape)
    theirs = TimmGlobalContext(64, fuse_add=True, fuse_scale=False)
    copy(module.key, theirs.conv_attn)
    mlp, (first, norm, _, last) = theirs.mlp_add, module.transform
    norm.eps = mlp.norm.eps  # theirs is 1e-6, PyTorch's 1e-5
    for ours, part in ((first, mlp.fc1), (norm, mlp.norm), (last, mlp.fc2)):
        copy(ours, part)
    assert_close(module(x), theirs(x), **CLOSE)


def test_global_context_is_a_relation_whose_rows_are_all_the_same():
    # What Cao et al. saw non-local blocks learn: with queries of one value, a softmax relation has one row.
    module, x = awake(GlobalContext(16, 4)), torch.randn(2, 16, 5, 7)
    rows = module.attention(x).flatten(1)[:, None].expand(-1, 35, -1)
    gathered = rows @ x.flatten(2).mT
    y = x + module.transform(gathered).mT.view_as(x)
    assert_close(module(x), y, **CLOSE)


def test_of_one_hidden_unit_a_layer_norm_would_leave_nothing():
    assert not nn.LayerNorm(1)(torch.randn(8, 1)).any()
    assert GlobalContext(16).transform[0].out_features == 2


@pytest.mark.parametrize("regularisation", [1e-4, 0.1])
@pytest.mark.parametrize("shape", [(2, 64, 3, 5), (3, 64, 9, 11), (2, 3, 1, 2)], ids=str)
def test_simam_is_fightingcv(shape: tuple, regularisation: float):
    module, x = SimAM(regularisation), torch.randn(shape)
    assert_close(module(x), FightingSimAM(e_lambda=regularisation)(x), **CLOSE)


def test_simam_has_an_answer_for_one_position_where_theirs_has_none():
    x = torch.randn(2, 3, 1, 1)
    assert FightingSimAM()(x).isnan().all()
    assert_close(SimAM().attention(x), torch.full_like(x, 0.5).sigmoid())


def least_energy(x: Tensor, t: int, smooth: float) -> float:
    """min over w, b of (1 - (w x_t + b))² + mean over i ≠ t of (-1 - (w x_i + b))² + λ w², by least squares."""
    others = torch.cat([x[:t], x[t + 1 :]])
    share = len(others) ** -0.5
    rows = [torch.stack([others, torch.ones_like(others)], 1) * share]
    rows += [torch.stack([x[t], x.new_ones(())])[None], x.new_tensor([[smooth**0.5, 0]])]
    wanted = torch.cat([x.new_full((len(others),), -share), x.new_tensor([1.0, 0.0])])
    system = torch.cat(rows)
    solution = torch.linalg.lstsq(system, wanted[:, None]).solution
    return (system @ solution - wanted[:, None]).square().sum().item()


def test_simam_weighs_by_the_least_energy_of_telling_a_position_from_the_others():
    # With mean and variance over all positions in place of all others: of 400, a difference of a few hundredths.
    x = torch.randn(1, 1, 20, 20, dtype=torch.float64)
    energies = [least_energy(x.flatten(), t, 1e-2) for t in range(400)]
    expected = (1 / x.new_tensor(energies)).sigmoid()
    assert (SimAM(1e-2).attention(x).flatten() - expected).abs().max() < 0.02
    assert expected.max() - expected.min() > 0.2


def test_simam_asks_only_how_far_a_number_stands_out():
    x, module = torch.randn(2, 5, 7, 6), SimAM(1e-9)
    scale, offset = torch.rand(2, 5, 1, 1) + 0.5, torch.randn(2, 5, 1, 1)
    assert_close(module.attention(scale * x + offset), module.attention(x), atol=1e-4, rtol=0)


@shapes
@pytest.mark.parametrize("oracle", ["fightingcv", "timm"])
def test_coordinate_attention(shape: tuple, oracle: str):
    module, x = awake(CoordinateAttention(64)), torch.randn(shape)
    # fightingcv's are the authors' lines; timm's has no biases unless told.
    theirs = CoordAtt(64, 64) if oracle == "fightingcv" else CoordAttn(64, bias=True)
    parts = {
        "squeeze.0": "conv1",
        "squeeze.1": "bn1",
        "rows": "conv_h",
        "columns": "conv_w",
    }
    for ours, part in parts.items():
        copy(module.get_submodule(ours), theirs.get_submodule(part))
    assert_close(module(x), theirs.eval()(x), **CLOSE)


def test_coordinate_attention_turns_with_the_image_where_rows_and_columns_change_places():
    module, x = awake(CoordinateAttention(16)), torch.randn(2, 16, 5, 7)
    before = module(x)
    module.rows, module.columns = module.columns, module.rows
    assert_close(module(x.mT), before.mT, **CLOSE)
    assert not torch.allclose(module(x), before, atol=1e-3)


def test_coordinate_attention_is_of_one_row_and_one_column():
    # Of rank 1, channel by channel: it marks a cross, never two places on a diagonal alone.
    gates = awake(CoordinateAttention(16)).attention(torch.randn(2, 16, 5, 7))
    assert_close(
        gates[..., :1, :1] * gates, gates[..., :, :1] * gates[..., :1, :], atol=1e-6, rtol=0
    )
    assert gates.std((2, 3)).min() > 0


def of_tokens(theirs: nn.Module, x: Tensor) -> Tensor:
    """What a module that takes tokens makes of the positions of a feature map."""
    return theirs(x.flatten(2).mT).mT.reshape(x.shape)


@shapes
@pytest.mark.parametrize("bias", [True, False])
def test_cross_covariance_attention_is_timm(shape: tuple, bias: bool):
    module, x = awake(CrossCovarianceAttention(64, 8, bias)), torch.randn(shape)
    theirs = XCA(64, 8, qkv_bias=bias)
    copy_projections(module, theirs.qkv, theirs.proj)
    theirs.temperature.data.copy_(module.temperature[:, None, None])
    for theirs.fused_attn in (False, True):
        assert_close(module(x), x + of_tokens(theirs, x), **CLOSE)


def copy_projections(module: nn.Module, qkv: nn.Linear, out: nn.Linear) -> None:
    """Three 1×1 convolutions are one linear layer."""
    parts = (module.query, module.key, module.value)
    with torch.no_grad():
        qkv.weight.copy_(torch.cat([part.weight.flatten(1) for part in parts]))
        if qkv.bias is not None:
            qkv.bias.copy_(torch.cat([part.bias for part in parts]))
    copy(module.out, out)


def test_cross_covariance_attention_mixes_channels_within_heads_and_positions_never():
    module, x = CrossCovarianceAttention(16, 2), torch.randn(2, 16, 4, 5)
    weights = module.attention(x)
    nn.init.dirac_(module.out.weight)
    nn.init.zeros_(module.out.bias)
    mixed = module.reweight(x, weights) - x
    value = module.value(x)
    for head in range(2):
        own = slice(8 * head, 8 * head + 8)
        expected = torch.einsum("bde, behw -> bdhw", weights[:, head], value[:, own])
        assert_close(mixed[:, own], expected, **CLOSE)


def test_cross_covariance_attention_is_that_of_correlations():
    # With queries, keys and values that are x, of mean 0 over the image: scores are the channels' correlations.
    module, x = CrossCovarianceAttention(6, 1), torch.randn(1, 6, 7, 8)
    for part in (module.query, module.key):
        nn.init.dirac_(part.weight)
        nn.init.zeros_(part.bias)
    x = x - x.mean((2, 3), keepdim=True)
    expected = torch.corrcoef(x[0].flatten(1)).softmax(-1)
    assert_close(module.attention(x)[0, 0], expected, **CLOSE)
    assert_close(module.attention(9 * x)[0, 0], expected, **CLOSE)


def test_a_channel_of_zeros_has_derivatives_of_any_order():
    module, x = CrossCovarianceAttention(8, 2, bias=False), torch.zeros(1, 8, 3, 3)
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(module(x).sum(), x, create_graph=True)
    assert torch.autograd.grad(gradient.square().sum(), x)[0].isfinite().all()
