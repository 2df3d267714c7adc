"""Derivatives of any order, backwards and forwards, equal those of the equation: gradient penalties, hessians, jvp."""

from collections.abc import Callable

import pytest
import torch
import torch.autograd.forward_ad as forward_ad
from cases import Case, every_case, every_size
from torch import Tensor
from torch.testing import assert_close
from torch.utils.checkpoint import checkpoint

from attn_lib import AttentionModule, FeatureViT, SimpleViT

Function = Callable[[Tensor], Tensor]


def equation(module: AttentionModule) -> Function:
    return lambda x: module.reweight(x, module.attention(x))


def penalty(function: Function, x: Tensor, seed: Tensor, weights: list[Tensor]) -> list[Tensor]:
    """The gradient of a gradient's squared length, as WGAN-GP and R1 take it, by the input and by the weights."""
    x = x.clone().requires_grad_()
    gradient = torch.autograd.grad((function(x) * seed).sum(), x, create_graph=True)[0]
    return torch.autograd.grad(
        gradient.square().sum(), [x, *weights], allow_unused=True, materialize_grads=True
    )


def same(ours: Tensor, expected: Tensor, scale: float) -> None:
    assert_close(ours, expected, atol=1e-9 * scale, rtol=1e-9)


def moved(case: Case) -> tuple[AttentionModule, list[Tensor]]:
    module = case.awake(torch.float64)
    return module, list(module.parameters())


def input_of(case: Case, size: str) -> Tensor:
    x = case.input(size, torch.float64)
    return x / x.abs().max() / (1 if case.name != "NonLocalMeans" else 4)


@every_case
@every_size
def test_composes_with_gradient_penalties(case: Case, size: str):
    module, weights = moved(case)
    x = input_of(case, size)
    seed = torch.randn_like(module(x))
    ours = penalty(module, x, seed, weights)
    expected = penalty(equation(module), x, seed, weights)
    scale = max(gradient.abs().max().item() for gradient in expected)
    assert scale > 0
    for mine, right in zip(ours, expected, strict=True):
        same(mine, right, scale)


@every_case
def test_composes_with_third_derivatives(case: Case):
    module, _ = moved(case)
    x = input_of(case, "large")
    seed = torch.randn_like(module(x))

    def third(function: Function) -> Tensor:
        y = x.clone().requires_grad_()
        value = (function(y) * seed).sum()
        for _ in range(2):
            gradient = torch.autograd.grad(value, y, create_graph=True)[0]
            value = gradient.square().sum()
        return torch.autograd.grad(value, y)[0]

    expected = third(equation(module))
    same(third(module), expected, expected.abs().max().item())


@every_case
def test_composes_with_derivatives_forwards(case: Case):
    """torch.func.jvp, dual numbers, and forwards over backwards as `torch.func.hessian` takes them."""
    module, _ = moved(case)
    x = input_of(case, "large")
    direction, seed = torch.randn_like(x), torch.randn_like(module(x))
    expected = torch.func.jvp(equation(module), (x,), (direction,))[1]
    scale = expected.abs().max().item()
    same(torch.func.jvp(module, (x,), (direction,))[1], expected, scale)
    with forward_ad.dual_level():
        dual = module(forward_ad.make_dual(x, direction))
        same(forward_ad.unpack_dual(dual).tangent, expected, scale)

    def product(function: Function) -> Tensor:
        slope = torch.func.grad(lambda x: (function(x) * seed).sum())
        return torch.func.jvp(slope, (x,), (direction,))[1]

    expected = product(equation(module))
    same(product(module), expected, max(expected.abs().max().item(), 1e-3))


@every_case
def test_composes_with_per_sample_gradients(case: Case):
    """vmap over grad, as differential privacy takes them."""
    module, x = case.awake(torch.float64), input_of(case, "small")
    weights = dict(module.named_parameters())

    def loss(weights: dict[str, Tensor], sample: Tensor) -> Tensor:
        return torch.func.functional_call(module, weights, (sample[None],)).square().sum()

    if not weights:
        return
    each = torch.func.vmap(torch.func.grad(loss), (None, 0))(weights, x)
    for index, sample in enumerate(x):
        expected = torch.func.grad(loss)(weights, sample)
        for name in weights:
            assert_close(each[name][index], expected[name])


@pytest.mark.parametrize("size", [(8, 8), (16, 16)], ids=str)
def test_composes_with_gradient_penalties_of_transformers(size: tuple[int, int]):
    settings = {"dim": 16, "depth": 2, "heads": 2, "mlp_dim": 24, "dim_head": 8}
    model = SimpleViT(size, 2, 5, channels=3, **settings).double()
    head = FeatureViT(size, channels=3, group=1, tokens="space", **settings).double()
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    for module in (model, head):
        y, direction = x.clone().requires_grad_(), torch.randn_like(x)
        gradient = torch.autograd.grad(module(y).sum(), y, create_graph=True)[0]
        analytic = torch.autograd.grad(gradient.square().sum(), y)[0]
        # Against differences of first derivatives, which the fused kernel gives.
        lengths = []
        for end in (x + 1e-5 * direction, x - 1e-5 * direction):
            end.requires_grad_()
            lengths.append(torch.autograd.grad(module(end).sum(), end)[0].square().sum())
        slope = (lengths[0] - lengths[1]) / 2e-5
        tolerance = {"atol": 1e-6 * lengths[0].item(), "rtol": 1e-4}
        assert_close((analytic * direction).sum(), slope, **tolerance)


@every_case
def test_composes_with_checkpointing(case: Case):
    """Recomputing in place of keeping gives the same first derivatives."""
    module, x = case.awake(torch.float64), input_of(case, "large").requires_grad_()
    y = checkpoint(module, x, use_reentrant=False)
    again = torch.autograd.grad(y.square().sum(), x)[0]
    assert_close(again, torch.autograd.grad(module(x).square().sum(), x)[0])
