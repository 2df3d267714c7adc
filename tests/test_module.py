"""`record` shows every map, changes nothing, and leaves nothing behind."""

import copy

import jaxtyping
import pytest
import torch
from cases import RELEASED, Case, every_case, every_size
from torch import Tensor, nn

from attn_lib import AttentionModule, SelfAttention2d, record
from attn_lib.fast import fused_attention


class Stage(nn.Module):
    """Attention between two layers that keep state of their own."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(16)
        self.attention = SelfAttention2d(16, **RELEASED)
        self.after = nn.BatchNorm2d(16)
        nn.init.ones_(self.attention.gamma)

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.attention(self.norm(x)))


@pytest.fixture
def model() -> nn.Module:
    model = nn.Module()
    model.stages = nn.ModuleList([Stage(), Stage()])
    model.forward = lambda x: model.stages[1](model.stages[0](x))
    return model


def hooks(model: nn.Module) -> int:
    return sum(
        len(module._forward_pre_hooks) + len(module._forward_hooks)
        for module in model.modules()
    )


def test_the_shape_checker_is_on():
    module, x = SelfAttention2d(8), torch.randn(1, 8, 2, 2)
    with pytest.raises(jaxtyping.TypeCheckError):
        module.reweight(x, torch.randn(2, 4, 4))


def test_maps_have_dotted_names_at_any_depth(model: nn.Module):
    with record(model) as maps:
        model(torch.randn(2, 16, 4, 4))
    assert list(maps) == ["stages.0.attention", "stages.1.attention"]


@every_case
@every_size
def test_the_map_is_attention_of_the_input(case: Case, size: str):
    module, x = case.awake(), case.input(size)
    with record(module) as maps:
        module(x)
    assert set(maps) == {
        n for n, part in module.named_modules() if isinstance(part, AttentionModule)
    }
    assert torch.equal(maps[""], module.attention(x))


def test_a_module_inside_an_attention_module_is_recorded_too():
    outer, x = nn.Sequential(Doubled()), torch.randn(1, 8, 3, 3)
    with record(outer) as maps:
        outer(x)
    assert torch.equal(maps["0"], outer[0].inner.attention(x))
    assert torch.equal(maps["0.inner"], outer[0].inner.attention(2 * x))


class Doubled(AttentionModule):
    def __init__(self):
        super().__init__()
        self.inner = SelfAttention2d(8)

    def attention(self, x: Tensor) -> Tensor:
        return self.inner.attention(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(2 * x)


def test_the_map_is_of_the_last_run():
    module, x = SelfAttention2d(8), torch.randn(1, 8, 3, 3)
    with record(module) as maps:
        module(torch.randn(1, 8, 5, 5))
        module(x)
    assert torch.equal(maps[""], module.attention(x))


def test_forward_stays_fused_while_recorded(monkeypatch):
    calls = []
    monkeypatch.setattr(
        "attn_lib.fast.fused_attention",
        lambda *parts, **scale: calls.append(1) or fused_attention(*parts, **scale),
    )
    module = SelfAttention2d(8)
    with record(module) as maps:
        module(torch.randn(1, 8, 9, 9))
    assert len(calls) == 1 and maps[""].shape == (1, 81, 81)


def test_maps_carry_no_gradient_and_the_model_keeps_its_own(model: nn.Module):
    with record(model) as maps:
        y = model(torch.randn(2, 16, 4, 4))
    y.square().sum().backward()
    assert not any(weights.requires_grad for weights in maps.values())
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_no_hook_stays_after_the_block(model: nn.Module):
    assert hooks(model) == 0
    with record(model):
        model(torch.randn(2, 16, 4, 4))
        assert hooks(model) > 0
    assert hooks(model) == 0


def test_no_hook_stays_after_an_exception(model: nn.Module):
    with pytest.raises(RuntimeError), record(model):
        model(torch.randn(2, 3, 4, 4))
    assert hooks(model) == 0


@pytest.mark.parametrize("size", [4, 13], ids=["explicit", "fused"])
def test_training_goes_on_bit_for_bit_as_without_record(model: nn.Module, size: int):
    twin = copy.deepcopy(model)
    twin.forward = lambda x: twin.stages[1](twin.stages[0](x))
    before = copy.deepcopy(model.state_dict())
    for _ in range(3):
        x = torch.randn(2, 16, size, size)
        with record(model):
            y = model(x)
        assert torch.equal(y, twin(x))
    states = model.state_dict(), twin.state_dict()
    assert all(torch.equal(states[0][key], states[1][key]) for key in before)
    moved = {
        key.rsplit(".", 1)[1] for key in before if not torch.equal(before[key], states[0][key])
    }
    # So there was what to disturb.
    assert moved == {
        "running_mean",
        "running_var",
        "num_batches_tracked",
        "_u",
        "_v",
    }


def test_the_map_in_training_is_the_one_that_forward_used():
    # Spectral norm moves with each run in training: a look before and a look after differ.
    module, x = SelfAttention2d(16, reduction=1, spectral_norm=True), torch.randn(2, 16, 4, 4)
    # As a step of an optimiser leaves it.
    nn.init.normal_(module.key.parametrizations.weight.original)
    twin = copy.deepcopy(module)
    with record(module) as maps:
        module(x)
    before, after = twin.attention(x), module.attention(x)
    assert torch.equal(maps[""], before)
    assert not torch.allclose(before, after, atol=1e-3)


def test_a_model_without_attention_is_refused():
    with (
        pytest.raises(ValueError, match="Conv2d holds no AttentionModule"),
        record(nn.Conv2d(1, 1, 1)),
    ):
        pass


@pytest.mark.parametrize("where", ["whole", "part"])
def test_a_compiled_model_is_refused(where: str):
    compiled = torch.compile(SelfAttention2d(8), backend="eager")
    model = compiled if where == "whole" else nn.Sequential(compiled)
    with pytest.raises(ValueError, match=r"before torch\.compile"), record(model):
        pass


def test_a_mechanism_without_an_equation_says_what_it_lacks():
    with pytest.raises(NotImplementedError, match="AttentionModule has to define attention"):
        AttentionModule()(torch.randn(1, 8, 2, 2))


def test_a_gate_multiplies_the_features():
    class Half(AttentionModule):
        def attention(self, x: Tensor) -> Tensor:
            return torch.full((1, 1, 1, 1), 0.5)

    x = torch.randn(2, 3, 4, 4)
    assert torch.equal(Half()(x), x / 2)
