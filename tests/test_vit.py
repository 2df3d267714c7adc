"""The transformers compute their equations, and survive what people do with models."""

import copy
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.export import Dim
from torch.testing import assert_close

from attn_lib import (
    Attention,
    FeatureViT,
    FeedForward,
    SimpleViT,
    Transformer,
)

few = settings(max_examples=20, deadline=None, derandomize=True)


@dataclass(frozen=True)
class Model:
    """A module over tokens or a whole model, the shape of its input, and that of its output."""

    name: str
    make: Callable[[], nn.Module]
    shape: tuple[int, ...]
    output: tuple[int, ...]


# One block in a model: what several are is the Transformer's matter, and compilers take their time for each.
MODELS = [
    Model("Attention", lambda: Attention(12, 3, 5), (2, 7, 12), (2, 7, 12)),
    Model("FeedForward", lambda: FeedForward(12, 20), (2, 7, 12), (2, 7, 12)),
    Model("Transformer", lambda: Transformer(12, 2, 3, 5, 20), (2, 7, 12), (2, 7, 12)),
    Model("SimpleViT", lambda: SimpleViT((8, 12), 4, 5, 16, 1, 2, 20, dim_head=6), (2, 3, 8, 12), (2, 5)),
    Model("channel", lambda: FeatureViT((3, 4), 16, 1, 2, 20, 12, 6, group=2), (2, 12, 3, 4), (2,)),
    Model("space", lambda: FeatureViT((3, 4), 16, 1, 2, 20, 12, 6, tokens="space"), (2, 12, 3, 4), (2,)),
]  # fmt: skip
every_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)


@given(
    n=st.integers(1, 9),
    dim=st.integers(1, 13),
    heads=st.integers(1, 4),
    width=st.integers(1, 7),
)
@few
def test_forward_reweights_by_attention(n: int, dim: int, heads: int, width: int):
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float64, 1e-11)):
        module, x = Attention(dim, heads, width).to(dtype), torch.randn(2, n, dim, dtype=dtype)
        weights = module.attention(x)
        assert weights.shape == (2, heads, n, n) and (weights >= 0).all()
        assert_close(weights.sum(-1), torch.ones_like(weights[..., 0]))
        assert_close(module(x), module.reweight(x, weights), atol=tolerance, rtol=tolerance)


def test_gradients_of_forward_are_those_of_the_equation():
    module, x = Attention(12, 3, 5).double(), torch.randn(2, 7, 12).double().requires_grad_()
    wanted, toward = [x, *module.parameters()], torch.randn(2, 7, 12).double()
    fast = torch.autograd.grad((module(x) * toward).sum(), wanted)
    slow = torch.autograd.grad((module.reweight(x, module.attention(x)) * toward).sum(), wanted)
    assert_close(fast, slow, atol=1e-10, rtol=1e-10)


@every_model
def test_shapes_are_those_of_the_docstring(model: Model):
    assert model.make()(torch.randn(model.shape)).shape == model.output


@every_model
def test_every_parameter_learns(model: Model):
    module = model.make().double()
    y = module(torch.randn(model.shape).double())
    (y * torch.randn_like(y)).sum().backward()
    assert all(parameter.grad.abs().max() > 1e-10 for parameter in module.parameters())


@every_model
@pytest.mark.parametrize("mate", [torch.nan, torch.inf, 1e3])
def test_a_sample_does_not_see_its_batch_mates(model: Model, mate: float):
    module, x = model.make().eval(), torch.randn(model.shape)
    changed = x.clone()
    changed[1] = mate
    assert_close(module(changed)[0], module(x)[0], atol=1e-6, rtol=1e-6)
    assert_close(module(x[:1])[0], module(x)[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("model", MODELS[:3], ids=lambda model: model.name)
def test_the_order_of_tokens_is_the_order_of_outputs_and_no_more(model: Model):
    module, x, order = model.make(), torch.randn(model.shape), torch.randperm(7)
    assert_close(module(x[:, order]), module(x)[:, order], atol=1e-5, rtol=1e-5)


def regrouped(x: Tensor, group: int) -> Tensor:
    order = torch.arange(x.shape[1]).view(-1, group).flip(0).flatten()
    return x[:, order]


def test_channel_tokens_do_not_know_their_order_but_the_channels_inside_do():
    module, x = MODELS[4].make(), torch.randn(MODELS[4].shape)
    assert_close(module(regrouped(x, 2)), module(x), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(module(x.flip(1)), module(x), atol=1e-4)
    assert not torch.allclose(module(x.flip(3)), module(x), atol=1e-4)


def test_space_tokens_do_not_know_where_they_lie_but_the_channels_do():
    module, x = MODELS[5].make(), torch.randn(MODELS[5].shape)
    shuffled = x.flatten(2)[..., torch.randperm(12)].view_as(x)
    assert_close(module(shuffled), module(x), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(module(regrouped(x, 2)), module(x), atol=1e-4)


def test_simple_vit_knows_where_its_patches_lie_by_the_position_code_alone():
    module, x = MODELS[3].make(), torch.randn(MODELS[3].shape)
    moved = torch.cat([x[..., 4:], x[..., :4]], dim=-1)  # patches change places as wholes
    assert not torch.allclose(module(moved), module(x), atol=1e-4)
    module.positions.zero_()
    assert_close(module(moved), module(x), atol=1e-5, rtol=1e-5)


@given(
    h=st.integers(1, 3),
    w=st.integers(1, 3),
    p=st.integers(1, 3),
    q=st.integers(1, 3),
    c=st.integers(1, 4),
)
@few
def test_every_grid_of_patches_works(h: int, w: int, p: int, q: int, c: int):
    vit = SimpleViT((h * p, w * q), (p, q), 3, 8, 1, 2, 8, channels=c, dim_head=3)
    assert vit(torch.randn(2, c, h * p, w * q)).shape == (2, 3)
    for tokens in ("channel", "space"):
        head = FeatureViT(
            (h, w), 5, 1, 2, 4, channels=c * p, dim_head=3, group=p, tokens=tokens
        )
        assert head(torch.randn(2, c * p, h, w)).shape == (2,)


@every_model
@pytest.mark.parametrize(
    "dtype, tolerance", [(torch.bfloat16, 0.1), (torch.float16, 0.02)], ids=str
)
def test_mixed_precision_is_near_float32(model: Model, dtype: torch.dtype, tolerance: float):
    module, x = model.make(), torch.randn(model.shape)
    with torch.autocast("cpu", dtype):
        y = module(x)
    assert_close(y.float(), module(x), atol=tolerance, rtol=0)


def with_gradient(module, x: Tensor) -> tuple[Tensor, Tensor]:
    x = x.clone().requires_grad_()
    y = module(x)
    return y, torch.autograd.grad(y.square().sum(), x)[0]


@pytest.mark.slow
# These hold the others, and compiling takes seconds.
@pytest.mark.parametrize("model", MODELS[3:], ids=lambda model: model.name)
def test_compilation_in_one_graph_changes_nothing(model: Model, unchecked):
    torch._dynamo.reset()
    module, x = model.make(), torch.randn(model.shape)
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    assert_close(with_gradient(compiled, x), with_gradient(module, x), atol=1e-4, rtol=1e-4)


def dynamic(model: Model) -> dict:
    return {
        "x": {0: Dim.DYNAMIC, 1: Dim.DYNAMIC} if len(model.shape) == 3 else {0: Dim.DYNAMIC}
    }


def other_shapes(model: Model) -> list[tuple[int, ...]]:
    rest = model.shape[1:] if len(model.shape) == 4 else (11, model.shape[2])
    return [model.shape, (5, *rest)]


@pytest.mark.slow
@every_model
def test_an_exported_program_runs_at_other_sizes(model: Model, unchecked):
    module = model.make().eval()
    program = torch.export.export(
        module, (torch.randn(model.shape),), dynamic_shapes=dynamic(model)
    ).module()
    for shape in other_shapes(model):
        x = torch.randn(shape)
        assert_close(program(x), module(x), atol=1e-5, rtol=1e-5)


@pytest.mark.slow
# These hold the others, and writing a graph takes seconds.
@pytest.mark.parametrize("model", MODELS[3:], ids=lambda model: model.name)
def test_onnx_runtime_runs_it_at_other_sizes(model: Model, unchecked, tmp_path: Path):
    module, path = model.make().eval(), tmp_path / "module.onnx"
    example, sizes = (torch.randn(model.shape),), dynamic(model)
    torch.onnx.export(module, example, path, dynamic_shapes=sizes, dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(path)
    for shape in other_shapes(model):
        x = torch.randn(shape)
        (y,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        assert_close(torch.from_numpy(y), module(x).detach(), atol=1e-4, rtol=1e-4)


@every_model
def test_copies_and_state_dicts_carry_everything(model: Model):
    module, other, x = model.make(), model.make(), torch.randn(model.shape)
    twin, before = copy.deepcopy(module), module(x)
    assert torch.equal(twin(x), before) and not torch.equal(other(x), before)
    for parameter in twin.parameters():
        nn.init.zeros_(parameter)
    assert torch.equal(module(x), before)
    other.load_state_dict(module.state_dict())
    assert torch.equal(other(x), before)


@every_model
def test_shapes_come_out_on_the_meta_device(model: Model):
    with torch.device("meta"):
        module, x = model.make(), torch.randn(model.shape)
    y = module(x)
    assert y.is_meta and y.shape == model.output


@every_model
def test_an_empty_batch_gives_an_empty_batch(model: Model):
    assert model.make()(torch.randn(0, *model.shape[1:])).shape == (0, *model.output[1:])


ARGUMENTS = {
    "no heads": (lambda: Attention(8, 0), "dim=8, heads=0, dim_head=64"),
    "no hidden width": (lambda: FeedForward(8, 0), "dim=8, hidden_dim=0"),
    "a negative depth": (lambda: Transformer(8, -1, 2, 4, 8), "depth=-1"),
    "patches that do not fit": (lambda: SimpleViT(9, 2, 5, 8, 1, 2, 8), "image_size=9, patch_size=2"),
    "patches that do not fit one way": (lambda: SimpleViT((8, 9), 2, 5, 8, 1, 2, 8), "image_size=(8, 9)"),
    "no classes": (lambda: SimpleViT(8, 2, 0, 8, 1, 2, 8), "num_classes=0"),
    "odd positions": (lambda: SimpleViT(8, 2, 5, 10, 1, 2, 8), "multiples of 4, at least 8; got dim=10"),
    "too narrow for positions": (lambda: SimpleViT(8, 2, 5, 4, 1, 2, 8), "multiples of 4, at least 8; got dim=4"),
    "groups that do not fit": (lambda: FeatureViT(7, 8, 1, 2, 8, channels=48), "channels=48, group=32"),
    "no group": (lambda: FeatureViT(7, 8, 1, 2, 8, group=0), "group=0"),
    "other tokens": (lambda: FeatureViT(7, 8, 1, 2, 8, tokens="patch"), "'channel' or 'space'; got tokens='patch'"),
}  # fmt: skip

INPUTS = {
    "tokens of another width": (MODELS[0], (2, 7, 11), "tokens of shape (b, n, d=12) with n >= 1; got torch.float32 of shape (2, 7, 11)"),
    "no tokens": (MODELS[1], (2, 0, 12), "(2, 0, 12)"),
    "one axis too many": (MODELS[2], (2, 3, 4, 12), "(2, 3, 4, 12)"),
    "an image of another size": (MODELS[3], (2, 3, 12, 8), "made for features of 8×12; got (2, 3, 12, 8)"),
    "other channels": (MODELS[3], (2, 4, 8, 12), "(b, c=3, h, w) with h, w >= 1; got torch.float32 of shape (2, 4, 8, 12)"),
    "a larger feature map": (MODELS[4], (2, 12, 7, 7), "made for features of 3×4; got (2, 12, 7, 7)"),
    "a feature map turned": (MODELS[5], (2, 12, 4, 3), "made for features of 3×4; got (2, 12, 4, 3)"),
}  # fmt: skip


@pytest.mark.parametrize("call, says", ARGUMENTS.values(), ids=ARGUMENTS)
def test_bad_arguments_are_refused(call, says: str, unchecked):
    with pytest.raises(ValueError, match=re.escape(says)):
        call()


@pytest.mark.parametrize("model, shape, says", INPUTS.values(), ids=INPUTS)
def test_bad_inputs_are_refused(model: Model, shape: tuple, says: str, unchecked):
    with pytest.raises(ValueError, match=re.escape(says)):
        model.make()(torch.randn(shape))


def test_integers_are_refused(unchecked):
    with pytest.raises(ValueError, match=re.escape("got torch.int64 of shape (2, 7, 12)")):
        MODELS[0].make().attention(torch.ones(2, 7, 12, dtype=torch.int64))
