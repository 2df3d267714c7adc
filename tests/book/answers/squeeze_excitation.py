import torch
import torch.nn.functional as F
from einops import reduce
from torch import nn


def channel_by_channel(x, w_1, w_2):
    y = torch.empty_like(x)
    for i, image in enumerate(x):
        hidden = [max(0.0, float(row @ image.mean((1, 2)))) for row in w_1]
        for k, row in enumerate(w_2):
            score = sum(w * unit for w, unit in zip(row, hidden, strict=True))
            y[i, k] = image[k] / (1 + (-score).exp())
    return y


def with_convolutions(x, w_1, w_2):
    average = F.adaptive_avg_pool2d(x, 1)
    hidden = F.relu(F.conv2d(average, w_1[..., None, None]))
    return F.conv2d(hidden, w_2[..., None, None]).sigmoid() * x


def with_einsum(x, w_1, w_2):
    z = reduce(x, "b c h w -> b c", "mean")
    t = torch.einsum("cd,bd->bc", w_2, torch.einsum("dc,bc->bd", w_1, z).clamp(min=0))
    return torch.einsum("bc,bchw->bchw", t.sigmoid(), x)


def excites(x, w_1, w_2, squeeze=None, between=torch.relu, gate=torch.sigmoid):
    """Squeeze-and-excitation with something wrong."""
    z = squeeze(x) if squeeze else x.mean((2, 3))
    return x * gate(between(z @ w_1.T) @ w_2.T)[:, :, None, None]


class Layers(nn.Module):
    """The two layers, with a forward pass to be written."""

    def __init__(self, channels, reduction=4):
        super().__init__()
        self.squeeze = nn.LazyLinear(channels // reduction)
        self.excite = nn.LazyLinear(channels)


def module(forward):
    return type("Gated", (Layers,), {"forward": forward})


class Eager(nn.Module):
    def __init__(self, channels, reduction=4):
        super().__init__()
        self.squeeze = nn.Linear(channels, channels // reduction)
        self.excite = nn.Linear(channels // reduction, channels)

    def forward(self, x):
        return (
            F.sigmoid(self.excite(F.relu(self.squeeze(x.mean(2).mean(1)))))[:, None, None] * x
        )


class Sequence(Eager):
    def forward(self, x):
        path = nn.Sequential(self.squeeze, nn.ReLU(), self.excite, nn.Sigmoid())
        return torch.einsum("bhwc,bc->bhwc", x, path(x.flatten(1, 2).mean(1)))


class WithoutBiases(Layers):
    def __init__(self, channels, reduction=4):
        nn.Module.__init__(self)
        self.squeeze = nn.Linear(channels, channels // reduction, bias=False)
        self.excite = nn.Linear(channels // reduction, channels, bias=False)

    def forward(self, x):
        z = self.excite(self.squeeze(x.mean((1, 2), True)).clamp(min=0))
        return x / (1 + (-z).exp())


class Constant(Layers):
    def forward(self, x):
        self.excite(self.squeeze(x))
        return 0.5 * x


def middle(x):
    return x.mean((1, 2), keepdim=True)


RIGHT = {
    "predict": {
        "a list": lambda: [32768, 1 / 2],
        "worked out": lambda: (2 * 512 * 512 // 16, torch.tensor(0.0).sigmoid()),
        "counted": lambda: (
            sum(w.numel() for w in (torch.empty(512, 32), torch.empty(32, 512))),
            torch.full((1,), 0.5),
        ),
    },
    "squeeze_excite": {
        "channel by channel": channel_by_channel,
        "convolutions": with_convolutions,
        "einsum": with_einsum,
    },
    "Gated": {
        "eager layers": Eager,
        "a sequence": Sequence,
        "without biases": WithoutBiases,
        "one line": module(lambda s, x: x * s.excite(s.squeeze(middle(x)).relu()).sigmoid()),
    },
    "gate_of": {
        "fractions": lambda z, w_1, w_2: 1 / (1 + (-(z @ w_1.mT).relu() @ w_2.mT).exp()),
        "layers": lambda z, w_1, w_2: F.sigmoid(F.linear(F.relu(F.linear(z, w_1)), w_2)),
        "transposed": lambda z, w_1, w_2: (w_2 @ (w_1 @ z.T).clamp(min=0)).sigmoid().T,
        "two classes": lambda z, w_1, w_2: F.pad(
            ((z @ w_1.T).relu() @ w_2.T)[..., None], (0, 1)
        ).softmax(-1)[..., 0],
    },
}
WRONG = {
    "predict": {
        "with biases": lambda: (2 * 512 * 32 + 32 + 512, 0.5),
        "one matrix": lambda: (512 * 32, 0.5),
        "not reduced": lambda: (2 * 512 * 512, 0.5),
        "shut": lambda: (32768, 0),
        "open": lambda: (32768, 1.0),
        "exchanged": lambda: (0.5, 32768),
        "one number": lambda: 32768,
        "one off": lambda: (32769, 0.5),
        "nearly a half": lambda: (32768, 0.5001),
    },
    "squeeze_excite": {
        "the identity": lambda x, *w: x,
        "half of x": lambda x, *w: x / 2,
        "no ReLU": lambda *given: excites(*given, between=torch.clone),
        "a sigmoid between": lambda *given: excites(*given, between=torch.sigmoid),
        "GELU": lambda *given: excites(*given, between=F.gelu),
        "no sigmoid": lambda *given: excites(*given, gate=torch.clone),
        "softmax": lambda *given: excites(*given, gate=lambda t: t.softmax(1)),
        "softmax over the batch": lambda *given: excites(*given, gate=lambda t: t.softmax(0)),
        "ReLU of the scores": lambda *given: excites(*given, gate=lambda t: t.relu().sigmoid()),
        "maximum": lambda *given: excites(*given, squeeze=lambda x: x.amax((2, 3))),
        "sum": lambda *given: excites(*given, squeeze=lambda x: x.sum((2, 3))),
        "over the batch": lambda *given: excites(
            *given, squeeze=lambda x: x.mean((0, 2, 3))[None]
        ),
        "one row": lambda *given: excites(*given, squeeze=lambda x: x[:, :, 0].mean(2)),
        "x added": lambda x, *w: x + excites(x, *w),
        "the gates": lambda x, *w: excites(
            torch.ones_like(x), *w, squeeze=lambda _: x.mean((2, 3))
        )[..., :1, :1],
        "a gate a position": lambda x, w_1, w_2: (
            x * ((x.movedim(1, -1) @ w_1.T).relu() @ w_2.T).sigmoid().movedim(-1, 1)
        ),
    },
    "Gated": {
        "the stub": module(lambda s, x: x * s.excite(x + 0 * s.squeeze(x).sum()).sigmoid()),
        "a gate a position": module(lambda s, x: x * s.excite(s.squeeze(x).relu()).sigmoid()),
        "averaged after the sigmoid": module(
            lambda s, x: x * middle(s.excite(s.squeeze(x).relu()).sigmoid())
        ),
        "averaged after the second layer": module(
            lambda s, x: x * middle(s.excite(s.squeeze(x).relu())).sigmoid()
        ),
        "averaged after the ReLU": module(
            lambda s, x: x * s.excite(middle(s.squeeze(x).relu())).sigmoid()
        ),
        "averaged over the batch": module(
            lambda s, x: x * s.excite(s.squeeze(x.mean((0, 1, 2))).relu()).sigmoid()
        ),
        "averaged over rows": module(
            lambda s, x: x * s.excite(s.squeeze(x.mean(1, keepdim=True)).relu()).sigmoid()
        ),
        "no ReLU": module(lambda s, x: x * s.excite(s.squeeze(middle(x))).sigmoid()),
        "no sigmoid": module(lambda s, x: x * s.excite(s.squeeze(middle(x)).relu())),
        "the hidden layer left out": module(
            lambda s, x: x * s.excite(middle(x) + 0 * s.squeeze(x).sum()).sigmoid()
        ),
        "the gate alone": module(lambda s, x: s.excite(s.squeeze(middle(x)).relu()).sigmoid()),
        "the identity": module(lambda s, x: x + 0 * s.excite(s.squeeze(x))),
        "a constant": Constant,
        "maximum": module(
            lambda s, x: x * s.excite(s.squeeze(x.amax((1, 2), True)).relu()).sigmoid()
        ),
        "a softmax": module(
            lambda s, x: x * s.excite(s.squeeze(middle(x)).relu()).softmax(dim=-1)
        ),
    },
    "gate_of": {
        "scores": lambda z, w_1, w_2: (z @ w_1.T).relu() @ w_2.T,
        "clipped scores": lambda z, w_1, w_2: ((z @ w_1.T).relu() @ w_2.T).clamp(0, 1),
        "softmax times c": lambda z, w_1, w_2: (
            ((z @ w_1.T).relu() @ w_2.T).softmax(dim=1) * len(w_2)
        ),
        "over the batch": lambda z, w_1, w_2: ((z @ w_1.T).relu() @ w_2.T).softmax(dim=0),
        "no ReLU": lambda z, w_1, w_2: (z @ w_1.T @ w_2.T).sigmoid(),
        "sigmoids that sum to 1": lambda z, w_1, w_2: F.normalize(
            ((z @ w_1.T).relu() @ w_2.T).sigmoid(), 1, dim=1
        ),
        "divided by the largest": lambda z, w_1, w_2: (
            ((z @ w_1.T).relu() @ w_2.T).softmax(1)
            / ((z @ w_1.T).relu() @ w_2.T).softmax(1).amax(1, keepdim=True)
        ),
        "tanh": lambda z, w_1, w_2: ((z @ w_1.T).relu() @ w_2.T).tanh(),
        "halves": lambda z, w_1, w_2: torch.full_like(z, 0.5),
        "the averages": lambda z, w_1, w_2: z,
        "with two axes more": lambda z, w_1, w_2: ((z @ w_1.T).relu() @ w_2.T).sigmoid()[
            ..., None, None
        ],
    },
}
