"""Mechanisms by name, in the host's slot and behind the layers of networks that others wrote."""

import copy
import io
import re

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn
from torch.testing import assert_close

from attn_lib import (
    available,
    create,
    insert,
    record,
)
from attn_lib.lab.networks import HostCNN

every_name = pytest.mark.parametrize("name", available())
IMAGES = (2, 3, 64, 64)


def resnet(kind: str) -> nn.Module:
    if kind == "timm":
        return timm.create_model("resnet18", num_classes=10).eval()
    return getattr(torchvision.models, kind)(num_classes=10).eval()


every_resnet = pytest.mark.parametrize("kind", ["resnet18", "resnet50", "timm"])


@every_name
def test_create_keeps_the_shape(name: str):
    x = torch.randn(2, 32, 5, 7)
    assert create(name, 32)(x).shape == x.shape


@every_name
def test_the_host_takes_every_mechanism(name: str):
    host = HostCNN(name)
    host(torch.randn(2, 3, 40, 40)).sum().backward()
    learns = list(host.slot.parameters())
    assert not learns or any(parameter.grad is not None for parameter in learns)


@pytest.mark.slow
@every_name
@every_resnet
def test_every_mechanism_goes_into_every_resnet(name: str, kind: str):
    model, x = (
        insert(resnet(kind), name, after=["layer3.1", "layer4"]).eval(),
        torch.randn(IMAGES),
    )
    with record(model) as maps:
        model(x)
    roots = {f"layer3.1.{name}", f"layer4.{name}"}
    assert roots <= set(maps)
    assert torch.equal(
        maps[f"layer4.{name}"],
        model.get_submodule(f"layer4.{name}").attention(features(model, x)),
    )


def features(model: nn.Module, x: Tensor) -> Tensor:
    """What the mechanism behind layer4 gets."""
    got = []
    (mechanism,) = (part for name, part in model.layer4.named_children() if name in available())
    with mechanism.register_forward_pre_hook(lambda module, args: got.append(args[0])):
        model(x)
    return got[0]


@pytest.mark.slow
@every_resnet
@pytest.mark.parametrize(
    "after", ["conv1", "bn1", "layer1", "layer2.0", "layer3.0.bn2", "layer4.1"]
)
def test_what_starts_as_the_identity_changes_nothing(kind: str, after: str):
    model, x = resnet(kind), torch.randn(IMAGES)
    before = model(x)
    assert torch.equal(insert(model, "self_attention", after)(x), before)
    nn.init.ones_(model.get_submodule(f"{after}.self_attention").gamma)
    assert not torch.allclose(model(x), before)


@pytest.mark.parametrize("after, part", {"layer2": "layer2", "layer2.1": "layer2.1"}.items())
def test_the_layer_behind_gets_what_the_mechanism_gives(after: str, part: str):
    model, x, seen = resnet("resnet18"), torch.randn(IMAGES), {}
    plain = copy.deepcopy(model)
    plain.get_submodule(part).register_forward_hook(
        lambda module, args, y: seen.update(plain=y)
    )
    plain(x)
    insert(model, "squeeze_excitation", after)
    model.layer3.register_forward_pre_hook(lambda module, args: seen.update(behind=args[0]))
    model(x)
    mechanism = model.get_submodule(f"{after}.squeeze_excitation")
    assert_close(seen["behind"], mechanism(seen["plain"]))


@every_resnet
def test_weights_of_the_network_load_as_before(kind: str):
    model, donor = resnet(kind), resnet(kind)
    keys = set(model.state_dict())
    insert(model, "cbam", ["layer1", "layer2.0"])
    missing, unexpected = model.load_state_dict(donor.state_dict(), strict=False)
    assert not unexpected and not keys & set(missing)
    assert all(key.startswith(("layer1.cbam.", "layer2.0.cbam.")) for key in missing)


WIDTHS = {"resnet18": (64, 128), "resnet50": (256, 512), "timm": (64, 128)}


@every_resnet
def test_channels_are_those_that_the_layer_gives(kind: str):
    model = insert(
        resnet(kind), "squeeze_excitation", ["layer1.0", "layer2.0", "layer2.0.conv1"]
    )
    assert model.layer1[0].squeeze_excitation.channels == WIDTHS[kind][0]
    assert model.layer2[0].squeeze_excitation.channels == WIDTHS[kind][1]
    assert model.layer2[0].layer.conv1.squeeze_excitation.channels == 128


@pytest.mark.parametrize(
    "layer", [nn.BatchNorm2d(24), nn.GroupNorm(2, 24), nn.ConvTranspose2d(8, 24, 2)], ids=str
)
def test_a_layer_alone_tells_its_channels(layer: nn.Module):
    model = insert(nn.Sequential(layer), "channel_gate", "0")
    assert model[0].channel_gate.channels == 24


class Misleading(nn.Module):
    """Lists its parts in an order that is not that of their runs."""

    def __init__(self):
        super().__init__()
        self.widen = nn.Conv2d(8, 12, 1)
        self.narrow = nn.Conv2d(4, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.widen(self.narrow(x))


def test_the_order_of_registration_does_not_mislead():
    model = insert(nn.Sequential(Misleading()), "squeeze_excitation", "0")
    assert model[0].squeeze_excitation.channels == 12


class Takes(nn.Module):
    """A network that takes what no image is: a picture and the number of its class, the first of any width."""

    def __init__(self):
        super().__init__()
        self.relu, self.classes = nn.ReLU(), nn.Embedding(3, 1)

    def forward(self, image: Tensor, label: Tensor) -> Tensor:
        return self.relu(image) * self.classes(label)[..., None, None]


@pytest.mark.parametrize("several", ["tuple", "dict"])
def test_a_layer_that_does_not_tell_is_refused_unless_one_says(several: str):
    model, given = Takes().train(), (torch.randn(2, 8, 6, 6), torch.tensor([0, 2]))
    says = "cannot know how many channels 'relu', a ReLU, gives: pass channels=, or example="
    with pytest.raises(ValueError, match=re.escape(says)):
        insert(model, "squeeze_excitation", "relu")
    told = insert(copy.deepcopy(model), "squeeze_excitation", "relu", channels=8)
    example = given if several == "tuple" else {"image": given[0], "label": given[1]}
    shown = insert(model, "squeeze_excitation", "relu", example=example)
    assert told.relu.squeeze_excitation.channels == shown.relu.squeeze_excitation.channels == 8


def test_an_example_leaves_no_trace():
    model = resnet("resnet18").train()
    insert(model, "squeeze_excitation", "relu", example=torch.randn(IMAGES))
    assert all(module.training for module in model.modules())
    assert (model.bn1.running_mean == 0).all()


@pytest.mark.parametrize(
    "after, says", {"fc": r"gives \(1, 10\), not features", "0": "cannot know how many"}.items()
)
def test_what_gives_no_feature_map_is_refused(after: str, says: str):
    model = nn.Sequential(nn.Linear(3, 3)) if after == "0" else resnet("resnet18")
    with pytest.raises(ValueError, match=says):
        insert(model, "squeeze_excitation", after)


def test_a_layer_that_does_not_exist_is_refused_with_what_is_near():
    with pytest.raises(ValueError, match=r"ResNet has no layer 'layer5'; near it: layer"):
        insert(resnet("resnet18"), "squeeze_excitation", "layer5")


@pytest.mark.parametrize(
    "name, after, says",
    [
        ("squeeze_excitation", ["layer1", "layer9"], "no layer 'layer9'"),
        ("squeeze_excitation", ["layer1", "fc"], "not features"),
        ("attention", ["layer1"], "no mechanism 'attention'"),
        ("squeeze_excitation", [], "at least one layer"),
    ],
)
def test_a_refusal_leaves_the_model_as_it_was(name: str, after: list[str], says: str):
    model = resnet("resnet18")
    before = set(dict(model.named_modules()))
    with pytest.raises(ValueError, match=says):
        insert(model, name, after)
    assert set(dict(model.named_modules())) == before


def test_the_same_mechanism_twice_is_refused_and_two_follow_each_other():
    model = insert(resnet("resnet18"), "channel_gate", "layer1.0")
    with pytest.raises(ValueError, match=r"'layer1\.0' already has a 'channel_gate'"):
        insert(model, "channel_gate", "layer1.0")
    insert(model, "spatial_gate", "layer1.0")
    order = []
    for name in ("spatial_gate", "channel_gate"):
        part = model.get_submodule(f"layer1.0.{name}")
        part.register_forward_hook(lambda module, args, y, name=name: order.append(name))
    model(torch.randn(IMAGES))
    assert order == ["channel_gate", "spatial_gate"]


@pytest.mark.parametrize("after", ["layer1", "layer1.0"])
def test_a_copy_and_a_file_hold_a_mechanism_of_their_own(after: str):
    model, x = insert(resnet("resnet18"), "squeeze_excitation", after), torch.randn(IMAGES)
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    before = model(x)
    for twin in (copy.deepcopy(model), torch.load(file, weights_only=False)):
        assert torch.equal(twin(x), before)
        nn.init.zeros_(twin.get_submodule(f"{after}.squeeze_excitation").excite.weight)
        assert not torch.allclose(twin(x), before)
        assert torch.equal(model(x), before)


def test_the_mechanism_takes_the_precision_and_the_mode_of_its_layer():
    model = insert(
        resnet("resnet18").double().train(), "cbam", ["layer1.0", "relu"], channels=64
    )
    assert model.relu.cbam.training and model.layer1[0].cbam.training
    assert {p.dtype for p in model.parameters()} == {torch.float64}


@pytest.mark.slow
def test_a_network_with_mechanisms_compiles_in_one_graph(unchecked):
    model, x = (
        insert(resnet("resnet18"), "squeeze_excitation", ["layer1", "layer2.0"]),
        torch.randn(IMAGES),
    )
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    assert_close(compiled(x), model(x), atol=1e-4, rtol=1e-4)


def test_options_go_to_the_mechanism():
    model = insert(resnet("resnet18"), "squeeze_excitation", "layer1.0", reduction=4, bias=True)
    assert model.layer1[0].squeeze_excitation.squeeze.bias.shape == (16,)
