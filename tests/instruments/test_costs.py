"""What `cost` says is what PyTorch counts."""

import re
from collections.abc import Callable

import pytest
import sympy
import torch
from cost_grid import CHANNELS, GRID, OPTIONS
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

import attn_lib
from attn_lib import (
    CBAM,
    Attention,
    AttentionModule,
    AttentionPooling,
    EfficientChannelAttention,
    SelfAttention2d,
    SqueezeExcitation,
    cost,
)

every_setting = pytest.mark.parametrize(
    "name, arguments, options, shapes",
    [(name, *setting) for name, choices in GRID.items() for setting in choices],
    ids=lambda value: None if isinstance(value, list) else str(value),
)

aten = torch.ops.aten
COPIES = {aten.clone.default, aten._to_copy.default, aten._unsafe_view.default}
COPIES |= {aten.cat.default, aten.stack.default, aten.index_select.default}


class Computed(TorchDispatchMode):
    """Adds up the first result of every kernel that makes numbers: no views, no copies, nothing in place."""

    numel = 0

    def __torch_dispatch__(self, kernel, types, args=(), kwargs=None):
        result = kernel(*args, **(kwargs or {}))
        if not (kernel.is_view or kernel in COPIES or kernel._schema.is_mutable):
            numbers = (p.numel() for p in tree_leaves(result) if isinstance(p, Tensor))
            self.numel += next(numbers, 0)
        return result


def equation(module: AttentionModule, x: Tensor) -> Tensor:
    return module.reweight(x, module.attention(x))


def repeated(module: AttentionModule, x: Tensor) -> None:
    """Run what `attention` and `reweight` both compute, and `cost` counts once."""
    name = type(module).__name__
    if name == "Attention":
        module.to_qkv(module.norm(x))
    elif name == "SelectiveKernel":
        for branch in module.branches:
            branch(x)
    elif name == "NonLocal" and module.pool_first:
        module.pool(x)


def counted_activations(module: AttentionModule, shape: tuple[int, ...]) -> int:
    """Two batches' less one batch's: what does not depend on the input drops out."""

    def count(run: Callable, x: Tensor) -> int:
        with torch.no_grad(), Computed() as computed:
            run(module, x)
        return computed.numel

    one, two = torch.randn(shape), torch.randn(2 * shape[0], *shape[1:])
    return sum(
        sign * (count(run, two) - count(run, one))
        for run, sign in ((equation, 1), (repeated, -1))
    )


def counted_flops(module: AttentionModule, shape: tuple[int, ...]) -> int:
    def count(run: Callable) -> int:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            run(module, torch.randn(shape))
        return counter.get_total_flops()

    return count(equation) - count(repeated)


@every_setting
def test_the_formulas_are_what_is_counted(
    name: str, arguments: tuple, options: dict, shapes: list
):
    module = getattr(attn_lib, name)(*arguments, **options).eval()
    for shape in shapes:
        found = cost(module, shape)
        assert found.parameters.value == sum(p.numel() for p in module.parameters())
        assert 2 * found.multiply_adds.value == counted_flops(module, shape), shape
        assert found.activations.value == counted_activations(module, shape), shape


def test_every_mechanism_has_a_formula():
    classes = [getattr(attn_lib, name) for name in attn_lib.__all__]
    mechanisms = {
        part.__name__
        for part in classes
        if isinstance(part, type) and issubclass(part, AttentionModule)
    }
    assert mechanisms - {"AttentionModule"} == set(GRID)


def test_a_count_at_other_sizes_is_that_of_another_input():
    small, large = (cost(SelfAttention2d(64), (1, 64, side, side)) for side in (7, 28))
    assert small.multiply_adds.at(h=28, w=28) == large.multiply_adds.value
    halved = cost(SelfAttention2d(64, reduction=16), (1, 64, 7, 7))
    assert small.parameters.at(r=16) == halved.parameters.value


def made(name: str, channels: int, options: dict) -> AttentionModule:
    of_any_width = name in ("NonLocalMeans", "SpatialGate", "SimAM")
    with torch.device("meta"):
        return getattr(attn_lib, name)(*[channels] * (not of_any_width), **options)


@pytest.mark.slow
@pytest.mark.parametrize("name", GRID)
@given(data=st.data(), first=CHANNELS, second=CHANNELS)
@settings(deadline=None, max_examples=40)
def test_at_other_channels_a_module_made_so_is_counted(name, data, first, second):
    options = data.draw(st.fixed_dictionaries(OPTIONS[name]))
    tokens = name == "Attention"
    shape = (1, 5, first) if tokens else (1, first, 3, 3)
    found = cost(made(name, first, options), shape).parameters
    there = sum(p.numel() for p in made(name, second, options).parameters())
    assert found.at(**{"d" if tokens else "c": second}) == there


def test_the_arguments_are_kept_where_they_were_rounded_or_clamped():
    assert cost(SqueezeExcitation(24), (1, 24, 7, 7)).parameters.at(c=256) == 2 * 256 * 16
    kernel = cost(EfficientChannelAttention(64), (1, 64, 7, 7)).parameters
    assert (kernel.value, kernel.at(c=512), kernel.where_latex()) == (
        3,
        5,
        r"k = 2 \left\lfloor{\frac{\operatorname{log}_{2}{\left(c \right)}}{4} + \frac{1}{4}}\right\rfloor + 1",
    )


@pytest.mark.parametrize(
    "module, shape, wanted",
    [
        (CBAM(256), (1, 64, 7, 7), "ChannelGate takes c=256; the shape (1, 64, 7, 7) has c=64"),
        (AttentionPooling(8), (1, 4, 7, 7), "AttentionPooling takes c=8; the shape (1, 4, 7, 7)"),
        (Attention(8, 1, 4), (1, 7, 9), "Attention takes d=8; the shape (1, 7, 9) has d=9"),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_a_shape_with_other_channels_is_refused(module, shape, wanted: str):
    with pytest.raises(ValueError, match=re.escape(wanted)):
        cost(module, shape)


def test_the_formula_is_the_one_of_the_chapter():
    found = cost(SelfAttention2d(64), (1, 64, 7, 7))
    b, c, n, d = sympy.symbols("b c n d", positive=True, integer=True)
    assert found.multiply_adds.formula.equals(b * n * c * (c + 2 * d) + b * n**2 * (c + d))
    assert (
        found.multiply_adds.latex()
        == r"b c n \left(c + 2 d\right) + b n^{2} \left(c + d\right)"
    )
    assert (
        found.multiply_adds.where_latex()
        == r"n = h w,\; d = \left\lfloor{\frac{c}{r}}\right\rfloor"
    )
    assert found.parameters.value == 64 * 64 + 64 + 2 * (64 * 8 + 8) + 1


def test_a_subclass_costs_what_its_parent_does():
    class Mine(SelfAttention2d):
        pass

    assert cost(Mine(16), (1, 16, 3, 3)) == cost(SelfAttention2d(16), (1, 16, 3, 3))


def test_what_cannot_be_counted_is_refused():
    with pytest.raises(
        ValueError, match=r"no formula for AttentionModule; there are Attention, "
    ):
        cost(AttentionModule(), (1, 2, 3, 4))
    with pytest.raises(ValueError, match=r"wants a shape \(b, c, h, w\); got \(2, 16, 9\)"):
        cost(SelfAttention2d(16), (2, 16, 9))
    with pytest.raises(
        ValueError, match=r"no size \['q'\] here; there are \['b', 'c', 'h', 'r', 'w'\]"
    ):
        cost(SelfAttention2d(16), (2, 16, 9, 9)).parameters.at(q=3)
