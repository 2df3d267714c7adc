"""Mechanisms by their names and classes, and what is said of a name, a place or an option that is none."""

import re

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from attn_lib import (
    CBAM,
    AttentionPooling,
    SpatialGate,
    SqueezeExcitation,
    available,
    create,
    insert,
    remove,
)

MEANT = {
    "CBAM": "cbam", "se": "squeeze_excitation", "SENet": "squeeze_excitation", "SELayer": "squeeze_excitation",
    "SqueezeExcitation": "squeeze_excitation", "squeeze_excite": "squeeze_excitation", "SK": "selective_kernel",
    "eca": "efficient_channel", "ECA-Net": "efficient_channel", "nonlocal": "non_local", "NonLocal": "non_local",
    "sagan": "self_attention", "self-attention": "self_attention", "SpatialGate": "spatial_gate",
}  # fmt: skip


@pytest.mark.parametrize("said", MEANT)
def test_a_name_that_is_none_brings_what_may_be_meant(said: str):
    meant = re.escape(f"no mechanism {said!r} (did you mean {MEANT[said]!r}")
    with pytest.raises(ValueError, match=meant):
        create(said, 8)
    with pytest.raises(ValueError, match=meant):
        insert(nn.Sequential(nn.Conv2d(3, 8, 1)), said, "0")


def test_a_name_like_none_brings_all():
    with pytest.raises(
        ValueError, match=r"no mechanism 'xyz'; there are cbam, .*, squeeze_exc"
    ):
        create("xyz", 8)


@pytest.mark.parametrize("name", available())
def test_a_class_works_like_its_name(name: str):
    torch.manual_seed(0)
    by_name, kind = create(name, 16), type(create(name, 16))
    torch.manual_seed(0)
    by_class, x = create(kind, 16), torch.randn(2, 16, 5, 5)
    assert type(by_class) is kind and torch.equal(by_class.eval()(x), by_name.eval()(x))
    model = insert(nn.Sequential(nn.Conv2d(3, 16, 1)), kind, "0")
    assert type(model[0].get_submodule(name)) is kind
    assert type(remove(model, kind)[0]) is nn.Conv2d


class MyGate(nn.Module):
    def __init__(self, channels: int, sharpness: float = 1.0):
        super().__init__()
        self.score = nn.Conv2d(channels, 1, 1)
        self.sharpness = sharpness

    def forward(self, x: Tensor) -> Tensor:
        return x * (self.sharpness * self.score(x)).sigmoid()


def test_a_class_of_one_s_own_goes_in():
    model = insert(torchvision.models.resnet18(), MyGate, "layer2", sharpness=2.0)
    assert model.layer2.my_gate.score.in_channels == 128 and model.layer2.my_gate.sharpness == 2


@pytest.mark.parametrize(
    "kind, says",
    {
        "cbam": "CBAM has no option ratio; it has reduction, kernel_size, norm, released_start",
        SpatialGate: "SpatialGate has no option ratio; it has kernel_size, norm",
        SqueezeExcitation: "SqueezeExcitation has no option ratio; it has reduction, bias",
    }.items(),
)
def test_an_unknown_option_brings_those_that_there_are(kind, says: str):
    with pytest.raises(ValueError, match=says):
        create(kind, 16, ratio=4)
    with pytest.raises(ValueError, match=says):
        insert(nn.Sequential(nn.Conv2d(3, 16, 1)), kind, "0", ratio=4)


@pytest.mark.parametrize("kind", ["attention_pooling", AttentionPooling])
def test_attention_pooling_stands_in_place_of_a_layer(kind):
    net = torchvision.models.resnet18()
    says = re.escape("net.avgpool = AttentionPooling(512)")
    with pytest.raises(ValueError, match=says):
        insert(net, kind, "layer4")
    with pytest.raises(ValueError, match=says):
        create(kind, 512)
    net.avgpool = AttentionPooling(512)
    assert net(torch.randn(2, 3, 64, 64)).shape == (2, 1000)


WHERE = {
    "layer[34]": (["layer3", "layer4"], "layer[34]"),
    "every block": ([f"layer{i}.{j}" for i in range(1, 5) for j in range(2)], BasicBlock),
    "every block by its name": ([f"layer{i}.{j}" for i in range(1, 5) for j in range(2)], "layer*.*"),
    "several": (["layer1.0.bn2", "layer1.1.bn2", "layer4"], ["layer1.?.bn2", "layer4"]),
    "one twice": (["layer4"], ["layer4", "layer[45]"]),
}  # fmt: skip


@pytest.mark.parametrize("where", WHERE)
def test_places_by_pattern_and_by_class(where: str):
    names, after = WHERE[where]
    model = insert(torchvision.models.resnet18(), CBAM, after)
    found = [name for name, part in model.named_modules() if isinstance(part, CBAM)]
    assert found == [f"{name}.cbam" for name in names]
    assert not [part for part in remove(model, after=after).modules() if isinstance(part, CBAM)]


@pytest.mark.parametrize(
    "after, says",
    [
        ("layer[56]", "ResNet has no layer 'layer[56]'; near it: layer"),
        ("avgpol", "ResNet has no layer 'avgpol'; near it: avgpool"),
        (Bottleneck, "ResNet has no layer of the class Bottleneck"),
        ("", "ResNet itself stands in no place: use nn.Sequential(model, create(...))"),
    ],
)
def test_a_place_that_is_none_brings_what_is_near(after, says: str):
    with pytest.raises(ValueError, match=re.escape(says)):
        insert(torchvision.models.resnet18(), "cbam", after)
