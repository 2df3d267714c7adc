"""How many channels a layer gives, in which layout, and how often: found out at two sizes, or refused."""

import re

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

from attn_lib import SpatialGate, SqueezeExcitation, available, insert

every_name = pytest.mark.parametrize("name", available())
SWINS = {
    "torchvision": (torchvision.models.swin_t, "features.1", 96),
    "timm": (lambda: timm.create_model("swin_tiny_patch4_window7_224"), "layers.0", 96),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", SWINS)
@pytest.mark.parametrize("shown", [False, True], ids=["guessed", "from an example"])
def test_composes_with_channels_that_come_last(kind: str, shown: bool):
    make, after, width = SWINS[kind]
    model, x = make().eval(), torch.randn(1, 3, 224, 224)
    example = x if shown else None
    with pytest.raises(ValueError, match=r"56, 56, 96\).*insert with channels_last=True"):
        insert(model, "squeeze_excitation", after, example=example)
    insert(model, "squeeze_excitation", after, example=example, channels_last=True)
    mechanism, got = model.get_submodule(f"{after}.squeeze_excitation"), []
    assert mechanism.channels == width
    mechanism.register_forward_hook(lambda module, args, y: got.append((args[0], y)))
    model.get_submodule(after).register_forward_hook(lambda module, args, y: got.append(y))
    model(x)
    (given, reweighted), last = got
    assert torch.equal(mechanism(given), reweighted)
    assert torch.equal(last, reweighted.movedim(1, -1)) and last.shape == (1, 56, 56, width)


@every_name
def test_composes_with_channels_that_come_last_whatever_the_mechanism(name: str):
    class Turned(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x).movedim(1, -1)

    model, x = nn.Sequential(Turned(3, 16, 1)).eval(), torch.randn(2, 3, 6, 8)
    before = model(x)
    insert(model, name, "0", channels_last=True).eval()
    mechanism = model[0].get_submodule(name)
    assert torch.equal(model(x), mechanism(before.movedim(-1, 1)).movedim(1, -1))


def test_channels_first_taken_for_last_is_refused():
    with pytest.raises(ValueError, match="insert without channels_last=True"):
        insert(torchvision.models.resnet18(), "cbam", "layer1", channels_last=True)


@pytest.mark.slow
def test_composes_with_videos():
    model, x = torchvision.models.video.r3d_18().eval(), torch.randn(1, 3, 4, 24, 24)
    with pytest.raises(ValueError, match=r"128, 4, 28, 28\).*not features \(b, c, h, w\)"):
        insert(model, "squeeze_excitation", "layer2", example=torch.randn(1, 3, 8, 112, 112))
    before = model(x)
    insert(model, "non_local", "layer2", ndim=3)
    insert(model, "non_local", "layer1", ndim=3, example=x)
    assert model.layer2.non_local.channels == 128 and model.layer1.non_local.channels == 64
    assert torch.equal(model.eval()(x), before)


@pytest.mark.parametrize("shown", [False, True], ids=["guessed", "from an example"])
def test_composes_with_sequences(shown: bool):
    model, x = nn.Sequential(nn.Conv1d(4, 8, 3), nn.ReLU()), torch.randn(2, 4, 20)
    insert(model, "non_local", "1", ndim=1, example=x if shown else None)
    assert model[1].non_local.channels == 8 and model(x).shape == (2, 8, 18)


class Pair(nn.Module):
    """Two images in, two out of one encoder."""

    def __init__(self):
        super().__init__()
        self.encode = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU())
        self.compare = nn.Bilinear(8, 8, 1)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return self.compare(*(self.encode(image).mean((2, 3)) for image in (left, right)))


@every_name
@pytest.mark.parametrize("several", ["tuple", "dict"])
def test_composes_with_several_inputs_and_a_layer_that_runs_twice(name: str, several: str):
    model, left, right = Pair(), torch.randn(2, 3, 9, 9), torch.randn(2, 3, 9, 9)
    example = (left, right) if several == "tuple" else {"left": left, "right": right}
    with pytest.raises(ValueError, match="'encode' runs 2 times in one pass.* shared=True"):
        insert(model, name, "encode", example=example)
    insert(model, name, "encode", example=example, shared=True)
    ran = []
    model.encode.get_submodule(name).register_forward_hook(lambda *args: ran.append(1))
    model(left, right)
    assert len(ran) == 2


@pytest.mark.parametrize(
    "known",
    [{}, {"channels": 64}, {"example": torch.zeros(1, 3, 64, 64)}],
    ids=["nothing", "channels", "an example"],
)
def test_composes_with_no_shared_relu(known: dict):
    with pytest.raises(ValueError, match=r"'layer1\.0\.relu' runs 2 times in one pass"):
        insert(torchvision.models.resnet18(), "cbam", "layer1.0.relu", **known)


def test_a_layer_in_two_places_is_refused_or_served_in_both():
    layer = nn.Conv2d(4, 4, 3, padding=1)
    model, x = nn.Sequential(layer, nn.ReLU(), layer), torch.randn(1, 4, 8, 8)
    with pytest.raises(ValueError, match=r"'0' .*shared=True \(places: 0, 2\)"):
        insert(model, "channel_gate", "2")
    insert(model, "channel_gate", "2", shared=True)
    gate = model[0].channel_gate
    assert model[0] is model[2]
    assert torch.equal(model(x), gate(layer(gate(layer(x)).relu())))


ANY_WIDTH = {
    "a spatial gate, whose convolution wants 2": SpatialGate(),
    "an efficient gate, whose convolution wants 1": timm.layers.EcaModule(kernel_size=3),
}


@pytest.mark.parametrize("layer", ANY_WIDTH)
def test_a_layer_that_takes_any_width_tells_nothing(layer: str):
    with pytest.raises(ValueError, match="cannot know how many channels '0'"):
        insert(nn.Sequential(ANY_WIDTH[layer]), "squeeze_excitation", "0")


def test_channels_that_the_layer_does_not_give_are_refused():
    says = "channels=64, but 'layer2', a Sequential, gives 128, in (1, 128, 28, 28) and"
    with pytest.raises(ValueError, match=re.escape(says)):
        insert(torchvision.models.resnet18(), "cbam", "layer2", channels=64)


def test_tokens_are_no_features():
    model = timm.create_model("vit_tiny_patch16_224")
    with pytest.raises(ValueError, match=r"'blocks\.0'.* gives \(1, 197, 192\), not features"):
        insert(model, "cbam", "blocks.0")


def test_what_never_runs_is_refused():
    class Listed(nn.Module):
        def __init__(self):
            super().__init__()
            self.parts = nn.ModuleList([nn.Conv2d(3, 3, 1)])

    with pytest.raises(ValueError, match="'parts', a ModuleList, never runs: name the parts"):
        insert(Listed(), "cbam", "parts", channels=3)


@pytest.mark.parametrize("kind", ["a name", "a class"])
def test_a_layer_is_found_whatever_stands_around_it(kind: str):
    model = torchvision.models.resnet18()
    insert(model, SqueezeExcitation, "layer1" if kind == "a name" else nn.Sequential)
    insert(model, "cbam", "layer1.0.bn2")
    assert model.layer1.layer[0].bn2.cbam.channel.channels == 64
