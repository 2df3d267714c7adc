"""A small network of YOLO's blocks, with mechanisms behind its layers."""

import pytest
from torch import Tensor, nn

from attn_lib import available, insert

every_name = pytest.mark.parametrize("name", available())
IMAGES = (2, 3, 16, 20)


class Block(nn.Module):
    """As in YOLO: a layer that knows its place, and fuses its parts."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.bn, self.act = nn.BatchNorm2d(outputs), nn.ReLU()
        self.f = -1

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(self.conv(x)))


def network() -> nn.Sequential:
    """stem, stage (two blocks), head; with running statistics of its own."""
    parts = {"stem": Block(3, 16), "stage": nn.Sequential(Block(16, 32), Block(32, 32))}
    head = {"pool": nn.AdaptiveAvgPool2d(1), "flat": nn.Flatten(), "fc": nn.Linear(32, 5)}
    model = nn.Sequential()
    for name, part in (parts | head).items():
        model.add_module(name, part)
    return awake(model)


def awake(model: nn.Module) -> nn.Module:
    """In evaluation mode, with what starts at 0 and what starts at 1 moved: each layer is seen in the output."""
    for parameter in model.parameters():
        if len(parameter.unique()) == 1:
            nn.init.uniform_(parameter, 0.5, 1.0)
    for name, buffer in model.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            nn.init.uniform_(buffer, 0.5, 1.5)
    return model.eval()


EVERYWHERE = ["stem.conv", "stem.bn", "stage.0.bn", "stage.1", "stage"]


def inserted(name: str, after: list[str] = EVERYWHERE, **options) -> nn.Sequential:
    return awake(insert(network(), name, after, **options))
