"""Modules for the third exercise on CBAM: mended rightly, and wrongly."""

import torch
import torch.nn.functional as F
from einops import reduce
from torch import nn


class Start(nn.Module):
    """The layers of the notes."""

    def __init__(self, channels, reduction=16):
        super().__init__()
        hidden = channels // reduction
        self.fc = nn.Sequential(
            nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels)
        )
        self.conv = nn.Conv2d(2, 1, kernel_size=1)

    def what(self, x):
        scores = self.fc(x.amax((2, 3))) + self.fc(x.mean((2, 3)))
        return scores.sigmoid()[:, :, None, None]

    def where(self, x):
        return self.conv(torch.stack([x.amax(1), x.mean(1)], 1)).sigmoid()


class Mended(Start):
    def forward(self, x):
        x = self.what(x) * x
        return x * self.where(x)


class OneCall(Start):
    def forward(self, x):
        readings = torch.stack([x.flatten(2).amax(2), x.flatten(2).mean(2)])
        gate = self.fc(readings).sum(0).sigmoid()
        x = torch.einsum("bc, bchw -> bchw", gate, x)
        pooled = torch.cat([reduce(x, "b c h w -> b 1 h w", how) for how in ("max", "mean")], 1)
        return torch.sigmoid(self.conv(pooled)) * x


class OtherOrderOfLayers(nn.Module):
    def __init__(self, channels, reduction=16):
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 1)
        sizes = channels, channels // reduction
        self.fc = nn.Sequential(
            nn.Linear(*sizes), nn.ReLU(inplace=True), nn.Linear(*sizes[::-1])
        )

    def forward(self, x):
        avg_pool = F.adaptive_avg_pool2d(x, 1).squeeze((2, 3))
        max_pool = F.adaptive_max_pool2d(x, 1).squeeze((2, 3))
        scores = (self.fc(avg_pool) + self.fc(max_pool)).unsqueeze(-1).unsqueeze(-1)
        out = x * torch.sigmoid(scores)
        maximum, _ = out.max(dim=1, keepdim=True)
        pooled = torch.cat((maximum, out.mean(dim=1, keepdim=True)), dim=1)
        return out * torch.sigmoid(self.conv(pooled))


class DeadCode(Start):
    def forward(self, x):
        _out = self.what(x) * x
        return x * self.where(x)


class MaximumTwice(Start):
    def forward(self, x):
        x = x * (2 * self.fc(x.amax((2, 3)))).sigmoid()[..., None, None]
        return x * self.where(x)


class AverageTwice(Start):
    def forward(self, x):
        x = x * (2 * self.fc(x.mean((2, 3)))).sigmoid()[..., None, None]
        return x * self.where(x)


class SumRead(Start):
    def forward(self, x):
        x = x * self.fc(x.mean((2, 3)) + x.amax((2, 3))).sigmoid()[..., None, None]
        return x * self.where(x)


class SideBySide(Start):
    def forward(self, x):
        return x * self.what(x) * self.where(x)


class GateOfWhatIsLeft(Start):
    def forward(self, x):
        return x * self.where(x * self.what(x))


class PositionsFirst(Start):
    def forward(self, x):
        x = x * self.where(x)
        return x * self.what(x)


class NoSigmoid(Start):
    def forward(self, x):
        scores = self.fc(x.amax((2, 3))) + self.fc(x.mean((2, 3)))
        x = x * scores[:, :, None, None]
        return x * self.where(x)


class GateOfPositionsNotSquashed(Start):
    def forward(self, x):
        x = x * self.what(x)
        return x * self.conv(torch.stack([x.amax(1), x.mean(1)], 1))


class AverageOfGates(Start):
    def forward(self, x):
        gates = [self.fc(s).sigmoid() for s in (x.amax((2, 3)), x.mean((2, 3)))]
        x = x * (sum(gates) / 2)[..., None, None]
        return x * self.where(x)


class ReadsMaximumTwiceAtPositions(Start):
    def forward(self, x):
        x = x * self.what(x)
        return x * self.conv(torch.stack([x.amax(1), x.amax(1)], 1)).sigmoid()


class WithTheInput(Start):
    def forward(self, x):
        y = x * self.what(x)
        return x + y * self.where(y)


class NoReLU(Mended):
    def __init__(self, channels, reduction=16):
        super().__init__(channels, reduction)
        self.fc[1] = nn.Identity()


class WideKernel(Mended):
    def __init__(self, channels, reduction=16):
        super().__init__(channels, reduction)
        self.conv = nn.Conv2d(2, 1, kernel_size=7, padding=3)
