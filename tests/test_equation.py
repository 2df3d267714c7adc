"""Each mechanism computes the equation of its paper."""

from pkgutil import resolve_name

import pytest
import torch
from cases import Case, every_case, every_size, those
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from attn_lib import AttentionModule, NonLocal, SelfAttention2d

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-11}
sides = st.integers(1, 11)


def equation(module: AttentionModule, x: Tensor) -> Tensor:
    return module.reweight(x, module.attention(x))


@every_case
@every_size
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_forward_reweights_by_attention(case: Case, size: str, dtype: torch.dtype):
    module, x = case.awake(dtype), case.input(size, dtype)
    assert_close(module(x), equation(module, x), atol=TOLERANCE[dtype], rtol=TOLERANCE[dtype])


FAST = {
    "gaussian": "fast.fused_attention",
    "dot_product": "fast.average",
    "concatenation": "fast.count_below",
}


def fast_way(module: AttentionModule) -> str:
    """The function that only one of the two ways through `forward` calls."""
    mode = getattr(module, "mode", "gaussian").removeprefix("embedded_")
    return f"attn_lib.{FAST[mode]}"


@those(lambda case: isinstance(case.make(), SelfAttention2d | NonLocal))
def test_the_two_sizes_of_a_case_take_both_ways_through_forward(case: Case, monkeypatch):
    calls, way = [], fast_way(case.make())
    function = resolve_name(way)
    monkeypatch.setattr(
        way, lambda *parts, **named: calls.append(parts[0].shape) or function(*parts, **named)
    )
    for size in ("small", "large"):
        case.build()(case.input(size))
        calls.append(size)
    if way.endswith("average"):  # of n×m weights, or of n×d queries
        n, d = case.large[2] * case.large[3], case.build().inner
        assert calls == [(2, 5, 5), "small", (2, n, d), "large"]
    else:
        assert calls[0] == "small" and calls[1] != "large"


@every_case
@every_size
def test_gradients_of_forward_are_those_of_the_equation(case: Case, size: str):
    module, x = case.awake(torch.float64), case.input(size, torch.float64).requires_grad_()
    wanted = [x, *(p for name, p in module.named_parameters() if name not in case.dead)]
    toward = torch.randn(case.output_shape(x.shape), dtype=x.dtype)
    fast = torch.autograd.grad((module(x) * toward).sum(), wanted)
    slow = torch.autograd.grad((equation(module, x) * toward).sum(), wanted)
    assert_close(fast, slow, atol=1e-10, rtol=1e-10)


def is_relation(weights: Tensor) -> None:
    assert (weights >= 0).all()
    assert_close(weights.sum(-1), torch.ones_like(weights[..., 0]))


def are_scores(weights: Tensor) -> None:
    assert weights.isfinite().all() and weights.ndim == 3


def is_gate(weights: Tensor) -> None:
    assert ((weights > 0) & (weights < 1)).all()


def is_branch_share(weights: Tensor) -> None:
    assert weights.ndim == 3
    is_relation(weights.mT)


def sums_over_the_image(weights: Tensor) -> None:
    is_relation(weights.flatten(1))


PROMISES = {
    "relation": is_relation,
    "scores": are_scores,
    "gate": is_gate,
    "branch share": is_branch_share,
    "channel relation": is_relation,
    "windows": is_relation,
    "shared row": sums_over_the_image,
    "readout": sums_over_the_image,
}


@every_case
@every_size
def test_weights_keep_the_promise_of_their_kind(case: Case, size: str):
    PROMISES[case.kind](case.awake().attention(case.input(size)))


@those(lambda case: case.switch)
@every_size
def test_a_module_with_a_switch_starts_as_the_identity(case: Case, size: str):
    x = case.input(size)
    assert torch.equal(case.build()(x), x)
    assert not torch.allclose(case.awake()(x), x, atol=1e-2)


@every_case
@every_size
@pytest.mark.parametrize("mate", [torch.nan, torch.inf, 1e3, 0.0])
def test_a_sample_does_not_see_its_batch_mates(case: Case, size: str, mate: float):
    module, x = case.awake(), case.input(size)
    changed = x.clone()
    changed[1] = mate
    assert torch.equal(module(changed)[0], module(x)[0])
    assert_close(module(x[:1])[0], module(x)[0], atol=1e-5, rtol=1e-5)


@every_case
@given(h=sides, w=sides)
@settings(max_examples=20, deadline=None, derandomize=True)
def test_every_height_and_width_works(case: Case, h: int, w: int):
    module = case.awake()
    x = torch.randn(1, case.small[1], max(h, case.smallest), max(w, case.smallest))
    y = module(x)
    assert y.shape == case.output_shape(x.shape)
    assert_close(y, equation(module, x), atol=1e-5, rtol=1e-5)


@every_case
def test_one_position_works(case: Case):
    module, x = case.awake(), torch.randn(2, case.small[1], case.smallest, case.smallest)
    assert_close(module(x), equation(module, x), atol=1e-5, rtol=1e-5)


def gradients(module: AttentionModule, x: Tensor) -> dict[str, float]:
    """The largest gradient of each parameter, under the names that it has without spectral norm."""
    y = module(x)
    (y * torch.randn_like(y)).sum().backward()
    plain = {
        name.replace("parametrizations.", "").replace(".original", ""): p
        for name, p in module.named_parameters()
    }
    return {name: parameter.grad.abs().max().item() for name, parameter in plain.items()}


@those(lambda case: case.parameters)
@every_size
def test_every_parameter_learns_but_for_those_that_cannot(case: Case, size: str):
    found = gradients(case.awake(torch.float64), case.input(size, torch.float64))
    assert {name for name, gradient in found.items() if gradient < 1e-10} == set(case.dead)


@those(lambda case: case.switch)
@every_size
def test_in_the_first_step_only_the_switch_learns(case: Case, size: str):
    found = gradients(case.build(), case.input(size))
    assert {name for name, gradient in found.items() if gradient != 0} == set(case.switch)


@every_case
@every_size
def test_positions_are_interchangeable_just_where_the_mathematics_says(case: Case, size: str):
    module, x = case.awake(), case.input(size)
    order = torch.randperm(x[0, 0].numel())

    def shuffle(features: Tensor) -> Tensor:
        return features.flatten(2)[..., order].view_as(features)

    y = module(x)
    moved = y if case.kind == "readout" else shuffle(y)
    assert torch.allclose(module(shuffle(x)), moved, atol=1e-5) == case.permutes


@every_case
def test_the_parameters_are_as_many_as_the_paper_says(case: Case):
    assert sum(parameter.numel() for parameter in case.build().parameters()) == case.parameters
