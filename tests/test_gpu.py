"""The mechanisms on a GPU, where there is one; without, the same at small sizes on the processor, as a rehearsal.

`make gpu` runs this alone, and the benchmark after it.
"""

import pytest
import torch
from cases import CASES, Case, every_case, every_size
from torch import Tensor, nn
from torch.testing import assert_close

from attn_lib import Attention, AttentionModule

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SIDES = (128, 256) if DEVICE == "cuda" else (32,)
on_gpu = pytest.mark.skipif(DEVICE == "cpu", reason="memory is measured on a GPU alone")


@pytest.fixture(autouse=True)
def exact(monkeypatch):
    """Products of float32 in float32, not in its shorter forms."""
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def placed(case: Case, size: str, dtype: torch.dtype = torch.float32):
    return case.awake(dtype).to(DEVICE), case.input(size, dtype).to(DEVICE)


def equation(module: AttentionModule, x: Tensor) -> Tensor:
    return module.reweight(x, module.attention(x))


def near(ours: Tensor, expected: Tensor, share: float) -> None:
    assert ours.device.type == DEVICE
    scale = expected.abs().max().item()
    assert_close(ours.double(), expected.double(), atol=share * scale, rtol=0)


@every_case
@every_size
@pytest.mark.parametrize(
    "dtype, share", [(torch.float64, 1e-11), (torch.float32, 1e-5)], ids=str
)
def test_forward_and_gradients_are_those_of_the_equation(
    case: Case, size: str, dtype: torch.dtype, share: float
):
    module, x = placed(case, size, dtype)
    x.requires_grad_()
    learned = [x, *module.parameters()]
    y, expected = module(x), equation(module, x)
    near(y, expected, share)
    toward = torch.randn_like(y)
    ours = torch.autograd.grad((y * toward).sum(), learned, allow_unused=True)
    right = torch.autograd.grad((expected * toward).sum(), learned, allow_unused=True)
    scale = max(gradient.abs().max() for gradient in right if gradient is not None)
    for mine, theirs in zip(ours, right, strict=True):
        assert (mine is None) == (theirs is None)
        if mine is not None:
            assert_close(mine, theirs, atol=10 * share * scale.item(), rtol=0)


@every_case
@every_size
@pytest.mark.parametrize(
    "dtype, share", [(torch.bfloat16, 0.05), (torch.float16, 0.01)], ids=str
)
@pytest.mark.parametrize("how", ["autocast", "cast"])
def test_half_precision_is_near_float32(
    case: Case, size: str, dtype: torch.dtype, share: float, how: str
):
    module, x = placed(case, size)
    expected = module(x)
    if how == "cast":
        half = case.awake(dtype).to(DEVICE)
        half.load_state_dict(module.state_dict())
        near(half(x.to(dtype)), expected, share)
    else:
        with torch.autocast(DEVICE, dtype):
            y = module(x)
        near(y, expected, share)


@every_case
def test_a_gradient_penalty_has_a_gradient(case: Case):
    module, x = placed(case, "large")
    x.requires_grad_()

    def second(function) -> Tensor:
        gradient = torch.autograd.grad(function(x).square().sum(), x, create_graph=True)[0]
        return torch.autograd.grad(gradient.square().sum(), x)[0]

    near(second(module), second(lambda x: equation(module, x)), 1e-3)


@pytest.mark.slow
@every_case
def test_compilation_changes_nothing(case: Case, unchecked):
    torch._dynamo.reset()
    module, x = placed(case, "large")
    compiled = torch.compile(module, backend="inductor" if DEVICE == "cuda" else "eager")
    near(compiled(x), module(x), 1e-4)


def peak(module: nn.Module, shape: tuple[int, ...], dtype: torch.dtype) -> int:
    """Bytes that one step of training adds."""
    x = torch.randn(shape, device=DEVICE, requires_grad=True)
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    with torch.autocast(DEVICE, dtype, enabled=dtype != torch.float32):
        module(x).float().sum().backward()
    return torch.cuda.max_memory_allocated() - before


@on_gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize(
    "case", [c for c in CASES if c.kind in ("relation", "scores")], ids=lambda c: c.name
)
def test_no_relation_builds_its_map(case: Case, dtype: torch.dtype):
    """Four times the positions take about four times the memory, at widths that the fused kernels may not like."""
    channels = case.small[1]
    module = case.make().to(DEVICE).train()
    small, large = (peak(module, (1, channels, side, side), dtype) for side in SIDES)
    assert large < 6 * small, (small, large)


@on_gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_attention_over_tokens_builds_no_map(dtype: torch.dtype):
    module = Attention(64, 2, 32).to(DEVICE)
    small, large = (peak(module, (1, side**2, 64), dtype) for side in SIDES)
    assert large < 6 * small, (small, large)
