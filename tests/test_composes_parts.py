"""A part of a mechanism may be anything that does its work: what stands around it is neither passed by nor lost.

Each way of changing a layer comes with what it amounts to: other weights. A mechanism with the changed layer then
computes what it computes with a bare layer of those weights, in `forward` and in `attention`.
"""

import copy

import pytest
import torch
from accelerate import cpu_offload
from cases import CASES, Case
from torch import Tensor, nn
from torch.nn.utils import parametrize, prune
from torch.testing import assert_close

from attn_lib import CBAM, AttentionModule, NonLocal, SelfAttention2d, insert

EXACT = {"atol": 1e-10, "rtol": 1e-10}
BY = -2  # what brings features to length 1 would not see a 2
LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d)


class Multiplied(nn.Module):
    """As LoRA, observers and quantised layers stand: around the layer, with no weight of their own."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return BY * self.layer(x)


class Scaled(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return BY * weight


def equation(module: AttentionModule, x: Tensor) -> Tensor:
    return module.reweight(x, module.attention(x))


def multiply(layer: nn.Module, bias: bool = True) -> nn.Module:
    with torch.no_grad():
        layer.weight *= BY
        if bias and layer.bias is not None:
            layer.bias *= BY
    return layer


def surrounded(layer: nn.Module) -> tuple[nn.Module, nn.Module]:
    return Multiplied(layer), multiply(copy.deepcopy(layer))


def hooked(layer: nn.Module) -> tuple[nn.Module, nn.Module]:
    amounts = multiply(copy.deepcopy(layer))
    layer.register_forward_hook(lambda layer, args, y: BY * y)
    return layer, amounts


def hooked_before(layer: nn.Module) -> tuple[nn.Module, nn.Module]:
    amounts = multiply(copy.deepcopy(layer), bias=False)
    layer.register_forward_pre_hook(lambda layer, args: (BY * args[0],))
    return layer, amounts


def with_a_forward_of_its_own(layer: nn.Module) -> tuple[nn.Module, nn.Module]:
    amounts = multiply(copy.deepcopy(layer))
    forward = layer.forward
    layer.forward = lambda x: BY * forward(x)
    return layer, amounts


def subclassed(layer: nn.Module) -> tuple[nn.Module, nn.Module]:
    kind = type(layer)
    own = type("Own", (kind,), {"forward": lambda self, x: BY * kind.forward(self, x)})
    amounts = multiply(copy.deepcopy(layer))
    layer.__class__ = own
    return layer, amounts


def parametrised(layer: nn.Module) -> tuple[nn.Module, nn.Module]:
    amounts = multiply(copy.deepcopy(layer), bias=False)
    parametrize.register_parametrization(layer, "weight", Scaled())
    return layer, amounts


def with_old_spectral_norm(layer: nn.Module) -> tuple[nn.Module, nn.Module]:
    amounts = copy.deepcopy(layer)
    nn.utils.spectral_norm(layer, n_power_iterations=30)
    u, weight = layer.weight_u, layer.weight_orig.flatten(1)
    layer.eval()  # as trained: no more iterations
    v = nn.functional.normalize(weight.T @ u, dim=0)
    layer.weight_v.copy_(v)
    with torch.no_grad():
        amounts.weight /= u @ weight @ v
    return layer, amounts


def with_old_weight_norm(layer: nn.Module) -> tuple[nn.Module, nn.Module]:
    amounts = multiply(copy.deepcopy(layer), bias=False)
    with pytest.warns(FutureWarning, match="weight_norm"):
        nn.utils.weight_norm(layer)
    with torch.no_grad():
        layer.weight_g *= BY
    return layer, amounts


def pruned(layer: nn.Module) -> tuple[nn.Module, nn.Module]:
    amounts = copy.deepcopy(layer)
    prune.l1_unstructured(layer, "weight", amount=0.5)
    with torch.no_grad():
        amounts.weight *= layer.weight_mask
        layer.weight_orig += 1 - layer.weight_mask  # what the mask hides is not 0
    return layer, amounts


WAYS = (
    surrounded,
    hooked,
    hooked_before,
    with_a_forward_of_its_own,
    subclassed,
    parametrised,
    with_old_spectral_norm,
    with_old_weight_norm,
    pruned,
)
PARTS = [
    pytest.param(case, name, id=f"{case.name}-{name}")
    for case in CASES
    for name, part in case.make().named_modules()
    if type(part) in LAYERS
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("case, name", PARTS)
def test_composes_with_whatever_stands_around_a_part(case: Case, name: str, way):
    module, x = case.awake(torch.float64), case.input("small", torch.float64)
    untouched, expected = copy.deepcopy(module), copy.deepcopy(module)
    changed, amounts = way(module.get_submodule(name))
    module.set_submodule(name, changed)
    expected.set_submodule(name, amounts)
    assert not torch.equal(expected(x), untouched(x)), "the change is not to be seen"
    assert_close(module(x), expected(x), **EXACT)
    assert_close(module.attention(x), expected.attention(x), **EXACT)
    assert_close(equation(module, x), expected(x), **EXACT)


@pytest.mark.parametrize("case, name", PARTS)
def test_composes_with_hooks_that_look_at_a_part(case: Case, name: str):
    """As Grad-CAM does."""
    module, x = case.awake(), case.input("large").requires_grad_()
    seen, part = [], module.get_submodule(name)
    part.register_forward_hook(lambda part, args, y: seen.append("forward"))
    part.register_full_backward_hook(lambda part, of_inputs, of_y: seen.append("backward"))
    module(x).sum().backward()
    assert sorted(set(seen)) == ["backward", "forward"]
    assert seen.count("forward") == seen.count("backward")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_composes_with_offloading(case: Case):
    """Weights are on no device until their layer is called."""
    module, x = case.awake(), case.input("large")
    y, weights = module(x), module.attention(x)
    cpu_offload(module, execution_device=torch.device("cpu"))
    assert_close(module(x), y)
    # What is the module's own comes only when it is called. γ is not for the map.
    if module._parameters.keys() <= {"gamma"}:
        assert_close(module.attention(x), weights)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_composes_with_quantised_linears(case: Case):
    module, x = case.awake(), case.input("large")
    y = module(x)
    quantised = torch.ao.quantization.quantize_dynamic(module, {nn.Linear}, torch.qint8)
    assert_close(quantised(x), y, atol=0.05 * y.abs().max().item(), rtol=0)
    assert_close(quantised(x), equation(quantised, x))


class Quarter(AttentionModule):
    def attention(self, x: Tensor) -> Tensor:
        return x.new_full((1, x.shape[1], 1, 1), 0.25)


@pytest.mark.parametrize("part", ["query", "key", "value"])
def test_composes_with_a_mechanism_inserted_behind_a_part(part: str):
    model = nn.Sequential(nn.Conv2d(3, 8, 1), SelfAttention2d(8, 2)).eval()
    nn.init.ones_(model[1].gamma)
    quarter = copy.deepcopy(model)
    layer = quarter.get_submodule(f"1.{part}")
    with torch.no_grad():
        layer.weight /= 4
        layer.bias /= 4
    insert(model, Quarter, after=f"1.{part}")
    x = torch.randn(2, 3, 9, 7)
    assert_close(model(x), quarter(x))


def test_composes_with_a_mechanism_inserted_behind_a_gate_of_cbam():
    model = nn.Sequential(nn.Conv2d(3, 8, 1), CBAM(8, 2)).eval()
    x = torch.randn(2, 3, 9, 7)
    features = model[0](x)
    gated = model[1].channel(features) / 4
    spatial = model[1].spatial.attention(gated)
    insert(model, Quarter, after="1.channel")
    assert_close(model(x), spatial * gated)
    weights = model[1].attention(features)
    assert_close(weights, model[1].channel.layer.attention(features) * spatial)


SIZES = ("in_channels", "in_features", "out_channels", "out_features", "num_features")


def narrow(part: nn.Module, channels: int, kept: int) -> None:
    """Cut what a layer has for each of `channels` down to the first `kept`, as structural pruning does."""
    for size in SIZES:
        if getattr(part, size, None) == channels:
            setattr(part, size, kept)
            inputs = size.startswith("in_")
            for name, tensor in [*part.named_parameters(), *part.named_buffers()]:
                if inputs and name == "weight":
                    cut = tensor.detach()[:, :kept]
                elif not inputs and tensor.ndim:
                    cut = tensor.detach()[:kept]
                else:
                    continue
                holder = part._parameters if name in part._parameters else part._buffers
                holder[name] = nn.Parameter(cut) if name in part._parameters else cut


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.kind != "readout"], ids=lambda case: case.name
)
def test_composes_with_pruning_that_makes_layers_narrower(case: Case):
    """The sizes of the constructor do not count any more."""
    module, x = case.awake(), case.input("small")
    channels = x.shape[1]
    kept = channels - 2
    if any(getattr(part, "groups", 1) > 1 for part in module.modules()):
        pytest.skip("its kernels are in groups, which pruning would have to keep")
    if any(map(parametrize.is_parametrized, module.modules())):
        pytest.skip("its weights are parametrised: pruning would have to take that away first")
    before = sum(p.numel() for p in module.parameters())
    for name, part in module.named_modules():
        if not name.endswith("compare"):  # its two inputs are embeddings
            narrow(part, channels, kept)
    y = module(x[:, :kept])
    assert y.shape[1] == kept
    assert_close(y, equation(module, x[:, :kept]))
    if sum(p.numel() for p in module.parameters()) < before:
        with pytest.raises(ValueError, match=f"c={kept}"):
            module(x)


@pytest.mark.parametrize(
    "kind, names", [(SelfAttention2d, ("query", "key")), (NonLocal, ("theta", "phi"))]
)
def test_composes_with_weights_set_by_hand(kind: type, names: tuple[str, str]):
    """What a layer's `out_channels` says was once true."""
    module, x = kind(16).eval(), torch.randn(2, 16, 5, 3)
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    whole = module(x)
    for name in names:  # rows of zeros change no score
        part = getattr(module, name)
        for of_part, tensor in list(part.named_parameters()):
            wider = torch.cat([tensor, torch.zeros_like(tensor)]).detach()
            setattr(part, of_part, nn.Parameter(wider))
    assert_close(module(x), whole)


def gathers(case: Case) -> bool:
    """Whether its map weighs what one layer gives, and another leads that back to the features."""
    parts = case.make()._modules
    values = parts.get("value", parts.get("g"))
    return (
        isinstance(values, nn.Conv2d)
        and isinstance(parts.get("out"), nn.Conv2d)
        and case.kind != "channel relation"  # whose map is as large as its values are wide
    )


@pytest.mark.parametrize("case", filter(gathers, CASES), ids=lambda case: case.name)
def test_composes_with_values_of_another_width(case: Case):
    module, x = case.awake(), case.input("small")
    name = "value" if hasattr(module, "value") else "g"
    values = getattr(module, name)
    wide = 2 * values.out_channels
    setattr(module, name, nn.Conv2d(values.in_channels, wide, 1))
    module.out = nn.Conv2d(wide, module.out.out_channels, 1)
    y = module(x)
    assert y.shape == x.shape
    assert_close(y, equation(module, x), atol=1e-5, rtol=1e-5)
