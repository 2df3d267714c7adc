"""In float16 a map and an output are finite, and belong together, wherever float32 has them."""

import pytest
import torch
from cases import Case, every_case, every_size
from torch import Tensor
from torch.testing import assert_close

from attn_lib import Attention, AttentionModule, NonLocal, SelectiveKernel, SelfAttention2d


def halved(module: AttentionModule, case: Case) -> AttentionModule:
    """A copy in float16."""
    half = case.awake(torch.float16)
    half.load_state_dict(module.state_dict())
    return half


def near(ours: Tensor, expected: Tensor, share: float) -> None:
    assert ours.dtype == torch.float16
    assert_close(ours.float(), expected, atol=share * expected.abs().max().item(), rtol=0)


@every_case
@every_size
def test_composes_with_float16(case: Case, size: str):
    module, x = case.awake(), case.input(size).half()
    half = halved(module, case)
    near(half(x), module(x.float()), 0.005)
    near(half.attention(x), module.attention(x.float()), 0.005)
    near(half.reweight(x, half.attention(x)), module(x.float()), 0.005)


@every_case
@every_size
@pytest.mark.parametrize("how", ["float16", "autocast"])
def test_composes_with_activations_whose_products_leave_the_range_of_float16(
    case: Case, size: str, how: str
):
    """Of 300 in every channel: their squares alone are beyond 65,504.

    What is not normalised is as large as its products; there 30 must do.
    """
    height = 30 if case.kind == "scores" else 300
    module, x = case.awake(), (height * case.input(size).sign()).half()
    assert torch.isfinite(module(x.float())).all()
    if how == "float16":
        half = halved(module, case)
        y, weights = half(x), half.attention(x)
    else:
        with torch.autocast("cpu", torch.float16):
            y, weights = module(x.float()), module.attention(x.float())
    within = module(x.float()).abs() < 65_504
    assert torch.isfinite(weights).all()
    assert torch.isfinite(y[within]).all()


def test_composes_with_float16_of_transformers():
    module = Attention(32, 2, 16)
    x = torch.randn(2, 50, 32).half()
    half = Attention(32, 2, 16).half()
    half.load_state_dict(module.state_dict())
    near(half(x), module(x.float()), 0.005)
    near(half.attention(x), module.attention(x.float()), 0.005)


@pytest.mark.parametrize("size", [(8, 8), (24, 24)], ids=str)
def test_composes_with_the_gaussian_that_was_lost(size: tuple[int, int]):
    """NaN at 8×8, and at 24×24 a finite output beside a NaN map: seen, once."""
    module = NonLocal(64, "gaussian").half().eval()
    x = 60 * torch.randn(1, 64, *size).half()
    assert torch.isfinite(module(x)).all() and torch.isfinite(module.attention(x)).all()


def test_composes_with_a_batch_of_one():
    module, x = SelectiveKernel(8, groups=8), torch.randn(1, 8, 5, 5)
    with pytest.raises(ValueError, match="at least 2 images, got 1; give it more, or freeze"):
        module(x)
    module.norm.eval()
    assert torch.isfinite(module(x)).all()
    assert torch.isfinite(module.eval()(x)).all()


def test_composes_with_gradient_penalties_under_autocast():
    """A gradient penalty under autocast: the second derivative comes in the input's own type."""
    module = SelfAttention2d(16, 2).eval()
    torch.nn.init.ones_(module.gamma)
    x = torch.randn(1, 16, 24, 24, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        y = module(x)
    gradient = torch.autograd.grad(y.float().sum(), x, create_graph=True)[0]
    second = torch.autograd.grad(gradient.square().sum(), x)[0]
    assert second.dtype == torch.float32 and torch.isfinite(second).all()
    z = x.detach().clone().requires_grad_()
    exact = torch.autograd.grad(module(z).sum(), z, create_graph=True)[0]
    exact = torch.autograd.grad(exact.square().sum(), z)[0]
    assert (second - exact).norm() < 0.1 * exact.norm()
