"""The mechanisms that every generic test runs on. A new one joins all of them with one entry in CASES."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from attn_lib import (
    CBAM,
    AttentionModule,
    AttentionPooling,
    ChannelGate,
    CoordinateAttention,
    CrossCovarianceAttention,
    EfficientChannelAttention,
    GlobalContext,
    LinearAttention,
    NonLocal,
    NonLocalMeans,
    SelectiveKernel,
    SelfAttention2d,
    SimAM,
    SpatialGate,
    SqueezeExcitation,
    WindowAttention,
)


@dataclass(frozen=True)
class Case:
    """A mechanism and what its mathematics promises.

    Attributes:
        name: as it stands in the test's id.
        make: builds it.
        small, large: shapes of an input; where `forward` takes another way for large maps, one for each way.
        kind: a relation's rows sum to 1, between positions, all or in windows, or between channels; scores are a relation's before any softmax; a gate lies in (0, 1);
            shares sum to 1 over the branches; a shared row is one for all positions, and sums to 1 over the
            image; so does a readout's, whose output has no positions.
        parameters: how many numbers it learns, written as the paper's formula.
        switch: the parameters that are 0 at first, make it the identity, and alone learn in the first step.
        dead: parameters whose gradient is 0 whatever the input.
        permutes: whether permuting the positions of the input permutes the output, and no more.
        smallest: the least height and width that it takes.
    """

    name: str
    make: Callable[[], AttentionModule]
    small: tuple[int, ...]
    large: tuple[int, ...]
    kind: Literal[
        "relation",
        "scores",
        "gate",
        "branch share",
        "channel relation",
        "windows",
        "shared row",
        "readout",
    ]
    parameters: int
    switch: tuple[str, ...] = ()
    dead: tuple[str, ...] = ()
    permutes: bool = False
    smallest: int = 1

    def build(self, dtype: torch.dtype = torch.float32) -> AttentionModule:
        """In evaluation mode, as it starts."""
        return self.make().to(dtype).eval()

    def awake(self, dtype: torch.dtype = torch.float32) -> AttentionModule:
        """With what starts at 0 moved away from it: an identity would pass most tests whatever it computes."""
        module = self.build(dtype)
        for parameter in module.parameters():
            if not parameter.any():
                nn.init.uniform_(parameter, 0.5, 1.0)
        for name, buffer in module.named_buffers():
            if name.endswith(("running_mean", "running_var")):
                nn.init.uniform_(buffer, 0.5, 1.5)
        return module

    def input(self, size: str = "small", dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.randn(getattr(self, size), dtype=dtype)

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape[:2] if self.kind == "readout" else shape


def _sagan(
    name: str, small: tuple, large: tuple, parameters: int, *, dead=(), permutes=True, **options
) -> Case:
    def make() -> SelfAttention2d:
        return SelfAttention2d(16, **options)

    return Case(name, make, small, large, "relation", parameters, ("gamma",), dead, permutes)


def _non_local(mode: str, parameters: int, *, small=(2, 16, 3, 5), large=(2, 16, 9, 11), dead=(), **options) -> Case:  # fmt: skip
    def make() -> NonLocal:
        return NonLocal(16, mode, **options)

    kind = "relation" if "gaussian" in mode else "scores"
    switch, permutes = ("norm.weight", "norm.bias"), not options.get("subsample")
    name = "-".join(["NonLocal", mode, *options])
    return Case(name, make, small, large, kind, parameters, switch, dead, permutes)


# A bias of the keys adds the same q·b to every score of a row, and softmax forgets it.
DEAD = ("key.bias",)
PAPER = {"value_reduction": 8, "spectral_norm": True}
RELEASED = {"value_reduction": 2, "subsample": True, "spectral_norm": True, "bias": False}

# fmt: off
CASES = [
    _sagan("SelfAttention2d", (2, 16, 3, 5), (2, 16, 9, 11), 2 * (16 * 2 + 2) + (16 * 16 + 16) + 1, dead=DEAD),
    _sagan("paper", (2, 16, 2, 3), (2, 16, 9, 11), 3 * (16 * 2 + 2) + (2 * 16 + 16) + 1, dead=DEAD, **PAPER),
    _sagan("released", (2, 16, 3, 5), (2, 16, 13, 11), 2 * 16 * 2 + 16 * 8 + 8 * 16 + 1, permutes=False, **RELEASED),
    _non_local("gaussian", (16 * 8 + 8) + 8 * 16 + 2 * 16),
    _non_local("embedded_gaussian", 3 * (16 * 8 + 8) + 8 * 16 + 2 * 16, dead=("phi.bias",)),
    _non_local("dot_product", 3 * (16 * 8 + 8) + 8 * 16 + 2 * 16, small=(2, 16, 1, 5)),
    _non_local("concatenation", 3 * (16 * 8 + 8) + 2 * 8 + 8 * 16 + 2 * 16),
    _non_local("embedded_gaussian", 3 * (16 * 8 + 8) + 8 * 16 + 2 * 16, large=(2, 16, 13, 11), dead=("phi.bias",), subsample=True, scaled=True, pool_first=True),
    _non_local("concatenation", 3 * (16 * 8 + 8) + 2 * 8 + 8 * 16 + 2 * 16, large=(2, 16, 13, 11), subsample=True),
    Case("GlobalContext", lambda: GlobalContext(16, 4), (2, 16, 3, 5), (2, 16, 9, 11), "shared row", (16 + 1) + (16 * 4 + 4) + 2 * 4 + (4 * 16 + 16), ("transform.3.weight", "transform.3.bias"), ("key.bias",), permutes=True),
    Case("SqueezeExcitation", lambda: SqueezeExcitation(14), (8, 14, 3, 5), (8, 14, 9, 11), "gate", 2 * 14 * 1, permutes=True),
    Case("SqueezeExcitation-bias", lambda: SqueezeExcitation(30, 4, bias=True), (2, 30, 3, 5), (2, 30, 9, 11), "gate", 2 * 30 * 7 + 7 + 30, permutes=True),
    Case("EfficientChannelAttention", lambda: EfficientChannelAttention(16), (2, 16, 3, 5), (2, 16, 9, 11), "gate", 3, permutes=True),
    Case("SelectiveKernel", lambda: SelectiveKernel(24, groups=4), (2, 24, 3, 5), (2, 24, 9, 11), "branch share", 2 * (24 * 24 * 9 // 4 + 2 * 24) + (24 * 32 + 2 * 32) + 32 * 2 * 24),
    Case("ChannelGate", lambda: ChannelGate(24, 5), (2, 24, 3, 5), (2, 24, 9, 11), "gate", 2 * 24 * 4 + 4 + 24, permutes=True),
    Case("SpatialGate", lambda: SpatialGate(), (2, 16, 3, 5), (2, 16, 17, 16), "gate", 2 * 7 * 7 + 2),
    Case("CBAM", lambda: CBAM(24, 4), (2, 24, 3, 5), (2, 24, 17, 16), "gate", (2 * 24 * 6 + 6 + 24) + 2 * 7 * 7 + 2),
    Case("CBAM-equation", lambda: CBAM(24, 4, 3, norm=False), (2, 24, 3, 5), (2, 24, 9, 11), "gate", (2 * 24 * 6 + 6 + 24) + 2 * 3 * 3 + 1),
    Case("SimAM", lambda: SimAM(), (2, 6, 3, 5), (2, 6, 9, 11), "gate", 0, permutes=True),
    Case("CoordinateAttention", lambda: CoordinateAttention(16), (2, 16, 3, 5), (2, 16, 9, 11), "gate", (16 * 8 + 8) + 2 * 8 + 2 * (8 * 16 + 16)),
    Case("CrossCovarianceAttention", lambda: CrossCovarianceAttention(16, 2), (2, 16, 3, 5), (2, 16, 9, 11), "channel relation", 4 * (16 * 16 + 16) + 2, permutes=True),
    Case("LinearAttention", lambda: LinearAttention(16, heads=2), (2, 16, 3, 5), (2, 16, 9, 11), "relation", 4 * (16 * 16 + 16), permutes=True),
    Case("LinearAttention-softmax", lambda: LinearAttention(16, "softmax", heads=2), (2, 16, 3, 5), (2, 16, 9, 11), "relation", 4 * (16 * 16 + 16), dead=("key.bias",), permutes=True),
    Case("WindowAttention", lambda: WindowAttention(16, 4, 1, heads=2), (2, 16, 3, 5), (2, 16, 8, 11), "windows", 4 * (16 * 16 + 16) + 7 * 7 * 2, dead=("key.bias",)),
    Case("AttentionPooling", lambda: AttentionPooling(16), (2, 16, 3, 5), (2, 16, 9, 11), "readout", 16, permutes=True),
    Case("NonLocalMeans", lambda: NonLocalMeans(3, 1.0), (2, 3, 2, 4), (2, 3, 7, 5), "relation", 0, smallest=2),
]
# fmt: on


def those(wanted: Callable[[Case], object]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "case", list(filter(wanted, CASES)), ids=lambda case: case.name
    )


every_case = those(lambda case: True)
# For what takes seconds a case: one of each class, and of the relation that has four equations, one of each.
FORMS = {
    (type(module := case.make()), module.mode if isinstance(module, NonLocal) else None): case
    for case in reversed(CASES)
}
every_form = those(lambda case: case in FORMS.values())
every_size = pytest.mark.parametrize("size", ["small", "large"])
