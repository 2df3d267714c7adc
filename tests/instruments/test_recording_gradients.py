"""`record(model, gradients=True)`: maps that the output is made from, and rollout with their gradients."""

import copy
from collections.abc import Callable

import pytest
import torch
from cases import Case, every_case, every_size
from test_recording import CLOSE, TimmAttention, by_hand, encoder, multihead
from torch import Tensor, nn
from torch.testing import assert_close

from attn_lib import SimpleViT, record, rollout


@every_case
@every_size
def test_gradients_compose_with_every_mechanism(case: Case, size: str):
    module, x = case.awake(), case.input(size).requires_grad_()
    twin = copy.deepcopy(module)
    before = [(id(buffer), buffer._version) for buffer in module.buffers()]
    with record(module, gradients=True) as maps:
        y = module(x)
    assert before == [(id(buffer), buffer._version) for buffer in module.buffers()]
    assert_close(y, wanted := twin(x), **CLOSE)
    y.square().sum().backward(retain_graph=True)
    learned = [parameter.grad for parameter in module.parameters()]
    wanted.square().sum().backward()
    assert_close(
        learned, [parameter.grad for parameter in twin.parameters()], rtol=1e-3, atol=1e-3
    )
    slopes = torch.autograd.grad(y.square().sum(), list(maps.values()), allow_unused=True)
    for name, slope in zip(maps, slopes, strict=True):
        if name == "" and len(maps) > 1:
            assert slope is None, "of a mechanism of parts, the parts' maps make the output"
        elif name in ("", "spatial"):  # the last to act
            part, given = (module, x) if name == "" else (module.spatial, module.channel(x))
            weights = maps[name].detach().requires_grad_()
            again = part.reweight(given.detach(), weights).square().sum()
            assert_close(slope, torch.autograd.grad(again, weights)[0], rtol=1e-4, atol=1e-4)
        else:
            assert slope.any()


def theirs(module: nn.Module, x: Tensor, need: bool) -> Tensor:
    if isinstance(module, nn.MultiheadAttention):
        return module(x, x, x, need_weights=need)[0]
    module.fused_attn = not need
    return module(x)


@pytest.mark.parametrize(
    "make", [multihead, lambda: TimmAttention(12, 4)], ids=["torch", "timm"]
)
@pytest.mark.parametrize("need", [True, False], ids=["explicit", "fused"])
def test_gradients_compose_with_somebody_elses(make: Callable, need: bool):
    module, x = make().eval(), torch.randn(2, 5, 12)
    with record(module, gradients=True) as maps:
        y = theirs(module, x, need)
    assert_close(y, theirs(module, x, need), **CLOSE)
    (slope,) = torch.autograd.grad(y.square().sum(), list(maps.values()))
    if isinstance(module, nn.MultiheadAttention):
        assert_close(maps[""], by_hand(module, x, x), **CLOSE)
        value, out = (
            x @ module.in_proj_weight[24:].T + module.in_proj_bias[24:],
            module.out_proj,
        )
    else:
        value, out = module.qkv(x).chunk(3, -1)[2], module.proj
    weights = maps[""].detach().requires_grad_()
    heads = value.unflatten(2, (4, 3)).transpose(1, 2)
    made = out((weights @ heads).transpose(1, 2).flatten(2)).square().sum()
    assert_close(slope, torch.autograd.grad(made, weights)[0], **CLOSE)


def test_gradients_compose_with_dropout_of_the_fused_kernel():
    module, x = TimmAttention(12, 4, attn_drop=0.5).train(), torch.randn(2, 5, 12)
    with record(module, gradients=True) as maps:
        y = module(x)
    value = module.qkv(x).chunk(3, -1)[2].unflatten(2, (4, 3)).transpose(1, 2)
    whole = module.proj((maps[""] @ value).transpose(1, 2).flatten(2))
    assert not torch.allclose(y, whole, atol=1e-3), (
        "the map is before the dropout, the output after"
    )
    (slope,) = torch.autograd.grad(y.sum(), list(maps.values()))
    assert 0.1 < (slope == 0).float().mean() < 0.9


def test_gradients_compose_with_a_torch_encoder():
    model, x = encoder(enable_nested_tensor=False).eval(), torch.randn(2, 5, 12)
    with record(model, gradients=True) as maps:
        score = model(x)[:, 0].square().sum()
    slopes = torch.autograd.grad(score, list(maps.values()))
    assert len(slopes) == 2 and all(slope.any() for slope in slopes)


def test_rollout_composes_with_gradients():
    model, x = SimpleViT(8, 4, 3, 24, 2, 3, 5, dim_head=4), torch.randn(2, 3, 8, 8)
    with record(model, gradients=True) as maps:
        score = model(x)[:, 1].sum()
    slopes = torch.autograd.grad(score, list(maps.values()))
    result = torch.eye(4).expand(2, 4, 4)
    for weights, slope in zip(maps.values(), slopes, strict=True):
        said = (weights * slope).clamp(min=0).mean(1)
        result = result + said @ result
    assert_close(rollout(maps, slopes), result)
    assert_close(rollout(maps.values(), dict(zip(maps, slopes, strict=True))), result)
