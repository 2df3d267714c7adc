"""The mechanisms that came after the notes equal what others wrote, with copied weights."""

from itertools import pairwise

import pytest
import torch
from fightingcv_attention.attention.CoordAttention import CoordAtt
from fightingcv_attention.attention.SimAM import SimAM as FightingSimAM
from mmcv.cnn.bricks import ContextBlock
from test_parity_channel import CLOSE, copy, shapes
from timm.layers import GlobalContext as TimmGlobalContext
from timm.layers.coord_attn import CoordAttn
from timm.models.swin_transformer import WindowAttention as TimmWindowAttention
from timm.models.xcit import XCA
from torch import Tensor, nn
from torch.testing import assert_close
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models.swin_transformer import shifted_window_attention
from vit_pytorch.jet_vit import linear_attn

from attn_lib import (
    CoordinateAttention,
    CrossCovarianceAttention,
    GlobalContext,
    LinearAttention,
    SimAM,
    WindowAttention,
    unwindow,
)
from attn_lib.relations import MODES


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


def in_torchvision(module: WindowAttention, x: Tensor) -> Tensor:
    qkv, out = nn.Linear(64, 192), nn.Linear(64, 64)
    copy_projections(module, qkv, out)
    n = module.window**2
    bias = module.bias[module.offsets.flatten()].view(n, n, -1).permute(2, 0, 1)[None]
    attended = shifted_window_attention(
        x.permute(0, 2, 3, 1), qkv.weight, out.weight, bias, [module.window] * 2, module.heads,
        [module.shift] * 2, qkv_bias=qkv.bias, proj_bias=out.bias,
    )  # fmt: skip
    return x + attended.permute(0, 3, 1, 2)


# The last two: one window holds a side, or all, and a side that is one window is not shifted.
@pytest.mark.parametrize("size", [(8, 12), (16, 4), (4, 4)], ids=str)
@pytest.mark.parametrize("shift", [0, 1, 2])
def test_window_attention_is_torchvision_where_windows_divide_the_grid(size: tuple, shift: int):
    module, x = awake(WindowAttention(64, 4, shift)), torch.randn(2, 64, *size)
    nn.init.normal_(module.bias)
    assert_close(module(x), in_torchvision(module, x), **CLOSE)


def test_where_they_do_not_theirs_look_at_zeros():
    module, x = awake(WindowAttention(64, 4)), torch.randn(2, 64, 7, 8)
    ours, theirs = module(x), in_torchvision(module, x)
    assert_close(ours[:, :, :4], theirs[:, :, :4], **CLOSE)
    assert (ours - theirs)[:, :, 4:].abs().amin() > 0


def test_one_window_is_timm():
    module, x = awake(WindowAttention(64, 3)), torch.randn(2, 64, 3, 3)
    nn.init.normal_(module.bias)
    theirs = TimmWindowAttention(64, 8, window_size=3)
    copy_projections(module, theirs.qkv, theirs.proj)
    theirs.load_state_dict({"relative_position_bias_table": module.bias}, strict=False)
    assert_close(module(x), x + of_tokens(theirs, x), **CLOSE)


def window_by_window(module: WindowAttention, x: Tensor) -> Tensor:
    """The equation as loops: the windows of a grid that a shift cuts are what lies between its edges."""
    (h, w), side = x.shape[2:], module.window
    shifts = [module.shift if length > side else 0 for length in (h, w)]
    edges = [
        sorted({0, length, *range(by or side, length, side)})
        for length, by in zip((h, w), shifts, strict=True)
    ]
    attended = torch.zeros_like(x)
    value = module.value(x)
    for top, bottom in pairwise(edges[0]):
        for left, right in pairwise(edges[1]):
            own = (..., slice(top, bottom), slice(left, right))
            query, key = (part(x)[own].unflatten(1, (module.heads, -1)).flatten(3)
                          for part in (module.query, module.key))  # fmt: skip
            y, x_ = torch.meshgrid(
                torch.arange(bottom - top), torch.arange(right - left), indexing="ij"
            )
            rows, columns = (each.flatten()[:, None] - each.flatten() for each in (y, x_))
            table = module.bias.view(2 * side - 1, 2 * side - 1, -1)
            bias = table[rows + side - 1, columns + side - 1].permute(2, 0, 1)
            scores = module.scale * query.mT @ key + bias
            of_window = value[own].unflatten(1, (module.heads, -1)).flatten(3)
            gathered = (scores.softmax(-1) @ of_window.mT).mT
            attended[own] = gathered.reshape(attended[own].shape)
    return x + module.out(attended)


@pytest.mark.parametrize("size", [(3, 5), (1, 9), (10, 7), (4, 13)], ids=str)
@pytest.mark.parametrize("shift", [0, 1, 3])
def test_window_attention_at_any_size_is_the_equation_window_by_window(size: tuple, shift: int):
    module, x = awake(WindowAttention(16, 4, shift, heads=2)), torch.randn(2, 16, *size)
    nn.init.normal_(module.bias)
    assert_close(module(x), window_by_window(module, x), **CLOSE)


@pytest.mark.parametrize("shift", [0, 2])
def test_windows_laid_over_the_image_are_one_relation_between_all_positions(shift: int):
    module, x = awake(WindowAttention(16, 4, shift, heads=2)), torch.randn(2, 16, 10, 7)
    whole = unwindow(module.attention(x), (10, 7), shift)
    assert_close(whole.sum(-1), torch.ones(2, 2, 70))  # nobody looks at what was filled up
    value = module.value(x).unflatten(1, (2, 8)).flatten(3)
    attended = (whole @ value.mT).mT.reshape(x.shape)
    assert_close(module(x), x + module.out(attended), **CLOSE)


def test_two_layers_see_across_an_edge_that_one_does_not():
    x = torch.randn(1, 16, 8, 8, requires_grad=True)
    plain, shifted = (awake(WindowAttention(16, 4, shift, heads=2)) for shift in (0, 2))

    def seen(y: Tensor) -> set[tuple[int, ...]]:
        (gradient,) = torch.autograd.grad(y[0, :, 0, 0].sum(), x)
        return set(map(tuple, gradient[0].abs().sum(0).nonzero().tolist()))

    inside = {(i, j) for i in range(4) for j in range(4)}
    assert seen(plain(x)) == inside
    # (0, 0) sees the corner that the shift cut, and each of that what lies in its own window.
    assert seen(shifted(x)) == {(i, j) for i in range(2) for j in range(2)}
    assert seen(plain(shifted(x))) > inside


def heads_of(module: LinearAttention, x: Tensor) -> list[Tensor]:
    """Queries, keys and values, (b, heads, n, d)."""
    return [
        part(x).unflatten(1, (module.heads, -1)).flatten(3).mT
        for part in (module.query, module.key, module.value)
    ]


def added(module: LinearAttention, x: Tensor, gathered: Tensor) -> Tensor:
    return x + module.out(gathered.mT.reshape(x.shape))


@shapes
def test_linear_attention_is_vit_pytorch(shape: tuple):
    # Theirs takes max(0, .) for its features, which leaves as they are those that are positive.
    module, x = awake(LinearAttention(64)), torch.randn(shape)
    query, key, value = heads_of(module, x)
    query, key = (nn.functional.elu(part) + 1 for part in (query, key))
    assert_close(module(x), added(module, x, linear_attn(query, key, value)), **CLOSE)


@shapes
def test_efficient_attention_is_its_equation(shape: tuple):
    module, x = awake(LinearAttention(64, "softmax")), torch.randn(shape)
    query, key, value = heads_of(module, x)
    gathered = torch.zeros_like(value)
    for a in range(module.heads):
        for i in range(query.shape[2]):
            shares = query[:, a, i].exp() / query[:, a, i].exp().sum(-1, keepdim=True)
            keys = key[:, a].exp() / key[:, a].exp().sum(1, keepdim=True)
            weights = (keys @ shares[..., None]).squeeze(-1)  # (b, n)
            gathered[:, a, i] = (weights[..., None] * value[:, a]).sum(1)
    assert_close(module(x), added(module, x, gathered), **CLOSE)


@pytest.mark.parametrize("mode", MODES)
def test_four_times_the_positions_cost_forward_four_times_as_much(mode: str):
    module = LinearAttention(16, mode, heads=2)

    def flops(run, side: int) -> int:
        x = torch.randn(1, 16, side, side)
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            run(x)
        return counter.get_total_flops()

    assert flops(module, 16) == 4 * flops(module, 8) == 2 * 256 * (4 * 16 * 16 + 2 * 16 * 8)
    both = [flops(lambda x: module.reweight(x, module.attention(x)), side) for side in (8, 16)]
    assert both[1] > 10 * both[0]


def test_what_softmax_gives_and_this_loses_a_row_that_is_one_position():
    # Of one head the rank of the map is at most d: n rows cannot each choose a position of their own.
    module, x = awake(LinearAttention(8, heads=4)), 50 * torch.randn(1, 8, 5, 5)
    for module.mode in MODES:
        ranks = torch.linalg.matrix_rank(module.double().attention(x.double()))
        assert ranks.max() <= 2
