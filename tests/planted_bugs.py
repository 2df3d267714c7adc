"""Bugs that lived for years in public code, or in the notes behind this book, each planted in a copy of a module."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attn_lib import (
    CBAM,
    ChannelGate,
    EfficientChannelAttention,
    NonLocal,
    SelectiveKernel,
    SelfAttention2d,
    SpatialGate,
    SqueezeExcitation,
)
from attn_lib.lab.controls import Parallel as Parallel
from attn_lib.lab.controls import PositionsFirst as PositionsFirst


class SoftmaxOverQueries(SelfAttention2d):
    def attention(self, x: Tensor) -> Tensor:
        query, key = self.query(x).flatten(2), self.pool(self.key(x)).flatten(2)
        return (query.mT @ key).softmax(dim=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.reweight(x, self.attention(x))


class DividedByRoot(SelfAttention2d):
    def attention(self, x: Tensor) -> Tensor:
        query, key = self.query(x).flatten(2), self.pool(self.key(x)).flatten(2)
        return (query.mT @ key / query.shape[1] ** 0.5).softmax(dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        return self.reweight(x, self.attention(x))


class Tuple(SelfAttention2d):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return super().forward(x), self.attention(x)


class GammaOne(SelfAttention2d):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        nn.init.ones_(self.gamma)


class NoQueryChannels(SelfAttention2d):
    def __init__(self, channels: int, reduction: int = 8, **options):
        try:
            super().__init__(channels, reduction, **options)
        except ValueError:
            super().__init__(channels, 1)
            self.query = self.key = nn.Conv2d(channels, channels // max(reduction, 1), 1)


class NoMapWhereFused(SelfAttention2d):
    def attention(self, x: Tensor) -> Tensor:
        weights = super().attention(x)
        return weights if weights.shape[-1] <= 64 else weights[:, :0, :0]


class BufferOfMaps(SelfAttention2d):
    def forward(self, x: Tensor) -> Tensor:
        self.last_map = self.attention(x)
        return super().forward(x)


class LogitsDividedByInverseRoot(NonLocal):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.scale = 1 / self.scale


class OverTheBatch(NonLocal):
    def attention(self, x: Tensor) -> Tensor:
        theta, phi = self.theta(x).flatten(2), self._others(self.phi, x)
        return (phi @ theta).mT.softmax(dim=0)

    def forward(self, x: Tensor) -> Tensor:
        return self.reweight(x, self.attention(x))


class ScrambledPositions(NonLocal):
    def reweight(self, x: Tensor, weights: Tensor) -> Tensor:
        g = self._others(self.g, x)
        # No transpose before the view.
        gathered = (weights @ g).reshape(len(x), self.inner, *x.shape[2:])
        return x + self.norm(self.out(gathered))

    def forward(self, x: Tensor) -> Tensor:
        return self.reweight(x, self.attention(x))


class NotDividedByN(NonLocal):
    def attention(self, x: Tensor) -> Tensor:
        weights = super().attention(x)
        return weights if "gaussian" in self.mode else weights * weights.shape[-1]

    def forward(self, x: Tensor) -> Tensor:
        return self.reweight(x, self.attention(x))


class FullWidth(NonLocal):
    def __init__(self, *args, **options):
        super().__init__(*args, **options | {"reduction": 1})


class NoZeroInitialisation(NonLocal):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        nn.init.ones_(self.norm.weight)


class NoNormalisation(NonLocal):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.norm = nn.Identity()


class SameAsSelfAttention(SelfAttention2d):
    """What the notes say of it: "same as above"."""

    def __init__(
        self, channels: int, mode: str = "embedded_gaussian", ndim: int = 2, **options
    ):
        super().__init__(channels)
        self.norm, self.out = nn.Identity(), nn.Identity()


class NoHiddenUnit(SqueezeExcitation):
    def __init__(self, channels: int, reduction: int = 16, bias: bool = False):
        super().__init__(channels, reduction, bias)
        hidden = channels // reduction
        self.squeeze = nn.Linear(channels, hidden, bias=bias)
        self.excite = nn.Linear(hidden, channels, bias=bias)


class DotProduct(SqueezeExcitation):
    """The notes' word for the last step."""

    def reweight(self, x: Tensor, weights: Tensor) -> Tensor:
        return (x * weights).sum(1, keepdim=True)


class SevenBySevenOnly(SqueezeExcitation):
    def attention(self, x: Tensor) -> Tensor:
        average = F.avg_pool2d(x, 7).flatten(1)
        return self.excite(self.squeeze(average).relu()).sigmoid()[..., None, None]


class NoSigmoid(EfficientChannelAttention):
    def attention(self, x: Tensor) -> Tensor:
        return self.conv(x.mean((2, 3))[:, None]).mT[..., None]


class BuiltInForward(EfficientChannelAttention):
    def __init__(self, channels: int, kernel_size: int | None = None):
        super().__init__(channels, kernel_size)
        self.options, self.conv = {"kernel_size": self.conv.kernel_size[0]}, nn.Identity()

    def attention(self, x: Tensor) -> Tensor:
        k = self.options["kernel_size"]
        conv = nn.Conv1d(1, 1, k, padding=k // 2, bias=False)
        return conv(x.mean((2, 3))[:, None]).sigmoid().mT[..., None]


class OverChannels(SelectiveKernel):
    def _share(self, seen: list[Tensor]) -> Tensor:
        average = sum(features.mean((2, 3)) for features in seen)
        scores = self.select(self.norm(self.squeeze(average)).relu())
        return scores.unflatten(1, (len(seen), self.channels)).softmax(dim=2)


class NoGroups(SelectiveKernel):
    def __init__(self, channels: int, branches: int = 2, reduction: int = 16, groups: int = 32):
        super().__init__(channels, branches, reduction, groups=1)


class BranchesSwapped(SelectiveKernel):
    def reweight(self, x: Tensor, weights: Tensor) -> Tensor:
        return super().reweight(x, weights.flip(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.reweight(x, self.attention(x))


class AverageIsMaximum(ChannelGate):
    def attention(self, x: Tensor) -> Tensor:
        return (2 * self.mlp(x.amax((2, 3)))).sigmoid()[..., None, None]


class UnsharedMLP(ChannelGate):
    def __init__(self, channels: int, reduction: int = 16, bias: bool = True):
        super().__init__(channels, reduction, bias)
        self.other = ChannelGate(channels, reduction, bias).mlp

    def attention(self, x: Tensor) -> Tensor:
        return (self.mlp(x.mean((2, 3))) + self.other(x.amax((2, 3)))).sigmoid()[
            ..., None, None
        ]


class MeanBeforeMaximum(SpatialGate):
    def attention(self, x: Tensor) -> Tensor:
        pooled = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], dim=1)
        return self.norm(self.conv(pooled)).sigmoid()


class ShrunkToAConstant(SpatialGate):
    def attention(self, x: Tensor) -> Tensor:
        return super().attention(x).mean((2, 3), keepdim=True)


class OneByOne(SpatialGate):
    def __init__(self, kernel_size: int = 7, norm: bool = True):
        super().__init__(1, norm)


class DeadChannelGate(CBAM):
    """The notes': the spatial gate is computed from x, and multiplies x."""

    def attention(self, x: Tensor) -> Tensor:
        return self.spatial.attention(x).expand_as(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.spatial(x)


class NoBatchNorm(CBAM):
    def __init__(
        self, channels: int, reduction: int = 16, kernel_size: int = 7, norm: bool = True
    ):
        super().__init__(channels, reduction, kernel_size, norm=False)
