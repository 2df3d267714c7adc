"""Relations in windows, and without a map of all pairs, equal what others wrote, with copied weights."""

from itertools import pairwise

import pytest
import torch
from test_parity_channel import CLOSE, shapes
from test_parity_since import awake, copy_projections, of_tokens
from timm.models.swin_transformer import WindowAttention as TimmWindowAttention
from torch import Tensor, nn
from torch.testing import assert_close
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models.swin_transformer import shifted_window_attention
from vit_pytorch.jet_vit import linear_attn

from attn_lib import LinearAttention, WindowAttention, unwindow
from attn_lib.relations import MODES


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
