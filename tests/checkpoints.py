"""What well-known repositories name the parts of a mechanism, and the arithmetic of their papers with those parts."""

import torch
from torch import Tensor, nn


class SeLayer(nn.Module):
    """moskomule/senet.pytorch."""

    def __init__(self, channels: int, hidden: int, bias: bool):
        super().__init__()
        first, second = nn.Linear(channels, hidden, bias), nn.Linear(hidden, channels, bias)
        self.fc = nn.Sequential(first, nn.ReLU(), second, nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        return x * self.fc(x.mean((2, 3)))[..., None, None]


class EcaLayer(nn.Module):
    """BangguWu/ECANet."""

    def __init__(self, kernel_size: int):
        super().__init__()
        self.conv = nn.Conv1d(1, 1, kernel_size, padding=kernel_size // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        scores = self.conv(x.mean((2, 3))[:, None])
        return x * scores.sigmoid()[:, 0, :, None, None]


class GateOfChannels(nn.Module):
    def __init__(self, channels: int, hidden: int):
        super().__init__()
        first, second = nn.Linear(channels, hidden), nn.Linear(hidden, channels)
        self.mlp = nn.Sequential(nn.Flatten(), first, nn.ReLU(), second)

    def forward(self, x: Tensor) -> Tensor:
        scores = self.mlp(x.mean((2, 3))) + self.mlp(x.amax((2, 3)))
        return x * scores.sigmoid()[..., None, None]


class GateOfPositions(nn.Module):
    def __init__(self):
        super().__init__()
        self.spatial = nn.ModuleDict(
            {"conv": nn.Conv2d(2, 1, 7, padding=3, bias=False), "bn": nn.BatchNorm2d(1)}
        )

    def forward(self, x: Tensor) -> Tensor:
        pooled = torch.stack([x.amax(1), x.mean(1)], dim=1)
        return x * self.spatial["bn"](self.spatial["conv"](pooled)).sigmoid()


class GatedByBoth(nn.Module):
    """CBAM of Jongchan/attention-module."""

    def __init__(self, channels: int, hidden: int):
        super().__init__()
        self.ChannelGate = GateOfChannels(channels, hidden)
        self.SpatialGate = GateOfPositions()

    def forward(self, x: Tensor) -> Tensor:
        return self.SpatialGate(self.ChannelGate(x))


class SaganAttention(nn.Module):
    """heykeetae/Self-Attention-GAN."""

    def __init__(self, channels: int):
        super().__init__()
        self.query_conv = nn.Conv2d(channels, channels // 8, 1)
        self.key_conv = nn.Conv2d(channels, channels // 8, 1)
        self.value_conv = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (
            part(x).flatten(2) for part in (self.query_conv, self.key_conv, self.value_conv)
        )
        weights = (query.mT @ key).softmax(dim=-1)
        return self.gamma * (value @ weights.mT).view_as(x) + x


class NonLocalBlock(nn.Module):
    """AlexHex7/Non-local_pytorch."""

    def __init__(self, channels: int, mode: str, ndim: int, subsample: bool, norm: bool = True):
        super().__init__()
        convolution = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[ndim - 1]
        batch_norm = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)[ndim - 1]
        pool = (nn.MaxPool1d(2), nn.MaxPool2d(2), nn.MaxPool3d((1, 2, 2)))[ndim - 1]
        inner, self.mode = channels // 2, mode

        def others(part: nn.Module) -> nn.Module:
            return nn.Sequential(part, pool) if subsample else part

        self.g = others(convolution(channels, inner, 1))
        out = convolution(inner, channels, 1)
        self.W = nn.Sequential(out, batch_norm(channels)) if norm else out
        if mode == "gaussian":
            self.phi = pool if subsample else nn.Identity()
        else:
            self.theta = convolution(channels, inner, 1)
            self.phi = others(convolution(channels, inner, 1))
        if mode == "concatenation":
            compare = nn.Conv2d(2 * inner, 1, 1, bias=False)
            self.concat_project = nn.Sequential(compare, nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        theta = (x if self.mode == "gaussian" else self.theta(x)).flatten(2)
        phi, g = self.phi(x).flatten(2), self.g(x).flatten(2)
        n, m = theta.shape[2], phi.shape[2]
        if self.mode == "concatenation":
            pairs = theta[..., None].expand(-1, -1, n, m), phi[:, :, None].expand(-1, -1, n, m)
            weights = self.concat_project(torch.cat(pairs, dim=1))[:, 0] / m
        elif self.mode == "dot_product":
            weights = theta.mT @ phi / m
        else:
            weights = (theta.mT @ phi).softmax(dim=-1)
        return self.W((g @ weights.mT).unflatten(2, x.shape[2:])) + x
