"""`record` and `trace_shapes` change nothing: not the graph, a buffer, a version, a random number or a copy."""

import copy
import io
from collections.abc import Callable

import pytest
import torch
from cases import Case, every_case
from timm.layers import Attention as TimmAttention
from torch import Tensor, nn
from torch.testing import assert_close

from attn_lib import record, trace_shapes
from attn_lib.instruments.watching import undisturbed


def multihead() -> nn.Module:
    class Alone(nn.Module):
        def __init__(self):
            super().__init__()
            self.attn = nn.MultiheadAttention(12, 4, 0.3, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            return self.attn(x, x, x)[0]

    return Alone()


def timm() -> nn.Module:
    return TimmAttention(12, 4, attn_drop=0.3)


def swallow(module: nn.Module, x: Tensor) -> Tensor:
    with record(module):
        return module(x)


def trace(module: nn.Module, x: Tensor) -> Tensor:
    trace_shapes(module, x)
    return module(x)


every_tool = pytest.mark.parametrize(
    "watched", [swallow, trace], ids=["record", "trace_shapes"]
)
others = pytest.mark.parametrize("make", [multihead, timm], ids=["torch", "timm"])


def state(module: nn.Module) -> list[tuple[int, int, Tensor]]:
    tensors = [*module.parameters(), *module.buffers()]
    return [(id(tensor), tensor._version, tensor.detach().clone()) for tensor in tensors]


def check_state(module: nn.Module, before: list) -> None:
    for (was, version, value), (now, new_version, new) in zip(
        before, state(module), strict=True
    ):
        assert (was, version) == (now, new_version)
        assert torch.equal(value, new)


@every_tool
@every_case
def test_it_composes_with_two_forwards_and_one_backward(case: Case, watched: Callable):
    module = case.awake().train()
    twin = copy.deepcopy(module)
    first, second = case.input().requires_grad_(), case.input().requires_grad_()
    (watched(module, first) + watched(module, second)).square().sum().backward()
    got = [part.grad for part in (first, second, *module.parameters())]
    first.grad = second.grad = None
    (twin(first) + twin(second)).square().sum().backward()
    wanted = [part.grad for part in (first, second, *twin.parameters())]
    for grad, other in zip(got, wanted, strict=True):
        assert_close(grad, other)


@every_case
def test_reading_composes_with_buffers_their_versions_and_random_numbers(case: Case):
    module, x = case.awake().train(), case.input()
    before, numbers = state(module), torch.get_rng_state()
    with undisturbed(module):
        module(x)
        torch.rand(3)
    trace_shapes(module, x)
    check_state(module, before)
    assert torch.equal(numbers, torch.get_rng_state())


@others
def test_tracing_composes_with_the_random_numbers_of_dropout(make: Callable):
    module, x = make().train(), torch.randn(2, 5, 12)
    numbers = torch.get_rng_state()
    trace_shapes(module, x)
    assert torch.equal(numbers, torch.get_rng_state())


@others
def test_recording_composes_with_dropout(make: Callable):
    module, x = make().train(), torch.randn(2, 5, 12)
    torch.manual_seed(3)
    with record(module):
        watched, after = module(x), torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(module(x), watched) and torch.equal(torch.rand(1), after)


def pickled(module: nn.Module) -> nn.Module:
    stream = io.BytesIO()
    torch.save(module, stream)
    stream.seek(0)
    return torch.load(stream, weights_only=False)


@every_case
@pytest.mark.parametrize("copied", [copy.deepcopy, pickled])
def test_a_copy_made_inside_composes(case: Case, copied: Callable):
    module = case.awake()
    if copied is pickled and any(
        "parametrizations" in name for name, _ in module.named_modules()
    ):
        pytest.skip("PyTorch pickles no parametrised module, recorded or not")
    with record(module) as maps:
        module(case.input())
        wanted = dict(maps)
        twin = copied(module)
        twin(case.input())
        assert hooks(twin) == 0, "a hook that was copied goes at the first run"
    twin(case.input())
    assert maps.keys() == wanted.keys()
    assert all(maps[name] is wanted[name] for name in maps)


def hooks(model: nn.Module) -> int:
    parts = model.modules()
    return sum(len(part._forward_pre_hooks) + len(part._forward_hooks) for part in parts)


@others
def test_a_copy_of_somebody_elses_composes(make: Callable):
    module, x = make().eval(), torch.randn(2, 5, 12)
    with record(module) as maps:
        module(x)
        wanted = dict(maps)
        twin = copy.deepcopy(module)
        twin(x + 1)
    twin(x + 1)
    assert all(maps[name] is wanted[name] for name in maps) and hooks(twin) == 0


def test_a_buffer_that_two_modules_share_composes():
    first, second = nn.BatchNorm2d(2), nn.BatchNorm2d(2)
    second.running_mean = first.running_mean
    both = nn.Sequential(first, second)
    with undisturbed(both):
        assert first.running_mean is second.running_mean
        both(torch.randn(3, 2, 2, 2))
        moved = first.running_mean
    assert first.running_mean is second.running_mean is not moved
    assert not first.running_mean.any() and moved.any()


def test_old_spectral_norm_composes():
    module, x = nn.utils.spectral_norm(nn.Linear(3, 3)), torch.randn(2, 3)
    module(x)
    weight = module.weight
    with undisturbed(module):
        module(x)
        assert module.weight is not weight
    assert module.weight is weight


def test_a_shallow_copy_composes():
    """As `nn.DataParallel` makes them: the copy has the very same hooks."""
    module, x = TimmAttention(12, 4).eval(), torch.randn(2, 5, 12)
    with record(module) as maps:
        module(x)
        wanted = maps[""]
        copy.copy(module)(x + 1)
    assert maps[""] is wanted


def test_a_reader_that_fails_composes():
    """Whatever happens meanwhile, what was set aside comes back, and nothing goes on listening."""
    module = timm().train()
    before = state(module)
    with pytest.raises(RuntimeError), record(module):
        module(torch.randn(2, 5, 13))
    check_state(module, before)
    assert hooks(module) == 0 and not torch._C._len_torch_function_stack()
    module.attn_drop.register_forward_pre_hook(interrupted)
    module.fused_attn = False
    with pytest.raises(KeyboardInterrupt), record(module):
        module(torch.randn(2, 5, 12))
    assert not torch._C._len_torch_function_stack()


def interrupted(*call):
    raise KeyboardInterrupt
