import torch
import torch.nn.functional as F
from answers.efficient_channel_modules import (
    Convolved,
    Frozen,
    NeverLearned,
    TwoAxes,
    Weights,
    fresh,
    module,
    with_windows,
)
from torch import nn


def channel_by_channel(x, w):
    c, half = x.shape[1], len(w) // 2
    y = torch.empty_like(x)
    for j in range(c):
        score = torch.zeros(len(x))
        for a in range(-half, half + 1):
            if 0 <= j + a < c:
                score = score + w[half + a] * x[:, j + a].mean((1, 2))
        y[:, j] = x[:, j] * score.sigmoid()[:, None, None]
    return y


def with_a_matrix(x, w):
    c, half = x.shape[1], len(w) // 2
    band = torch.zeros(c, c)
    for a, weight in enumerate(w.tolist(), start=-half):
        band += weight * torch.diag(torch.ones(c - abs(a)), a)
    gates = 1 / (1 + (-(x.mean((2, 3)) @ band.T)).exp())
    return torch.einsum("bc,bchw->bchw", gates, x)


def efficient(x, w, squeeze=None, pad=None, gate=torch.sigmoid):
    """Efficient channel attention with something wrong."""
    average = squeeze(x) if squeeze else x.mean((2, 3))
    k = len(w)
    padded = pad(average, k // 2) if pad else F.pad(average, (k // 2, k // 2))
    return x * gate(F.conv1d(padded[:, None], w[None, None])[:, 0])[..., None, None]


def filled(mode):
    """Padding of some kind."""
    return lambda z, half: F.pad(z[:, None], (half, half), mode=mode)[:, 0]


def ring_by_rolls(average, w):
    half = len(w) // 2
    turned = torch.stack([average.roll(half - a, dims=1) for a in range(len(w))])
    return torch.tensordot(w, turned, 1).sigmoid()


def ring_by_index(average, w):
    c, k = average.shape[1], len(w)
    near = (torch.arange(c)[:, None] + torch.arange(k) - k // 2) % c
    return F.sigmoid(average[:, near] @ w)


def ring_by_layer(average, w):
    k = len(w)
    conv = nn.Conv1d(1, 1, k, padding=k // 2, padding_mode="circular", bias=False)
    conv.weight.data = w.view(1, 1, k)
    return conv(average.unsqueeze(1)).squeeze(1).sigmoid()


def ring_by_hand(average, w):
    half = len(w) // 2
    ends = [average[:, average.shape[1] - half :], average, average[:, :half]]
    return F.conv1d(torch.cat(ends, dim=1)[:, None], w.view(1, 1, -1)).squeeze(1).sigmoid()


def ring(average, w, pad="circular", gate=torch.sigmoid):
    """A ring with something wrong."""
    half = len(w) // 2
    closed = F.pad(average[:, None], (half, half), mode=pad)
    return gate(F.conv1d(closed, w[None, None])[:, 0])


RIGHT = {
    "predict": {
        "a list": lambda: [3, 5, ["k = 1", "none"]],
        "worked out": lambda: (
            *(int((c.bit_length() - 1) / 2 + 0.5) // 2 * 2 + 1 for c in (64, 128)),
            {"none", "k = 1", "k = 3"} - {"k = 3"},
        ),
        "tensors": lambda: (torch.tensor(3), 5.0, ("none", "k = 1")),
    },
    "efficient": {
        "channel by channel": channel_by_channel,
        "a matrix": with_a_matrix,
        "windows": with_windows,
        "conv1d after all": lambda x, w: (
            x
            * F.conv1d(x.mean((3, 2))[:, None], w[None, None], padding="same")
            .sigmoid()
            .mT[..., None]
        ),
    },
    "Listing": {
        "a layer of its own": Convolved,
        "weights of its own": Weights,
        "a convolution of two axes": TwoAxes,
    },
    "gate_of": {
        "unsqueezed": lambda z, conv: conv(z.unsqueeze(1)).squeeze(1).sigmoid(),
        "one image at a time": lambda z, conv: torch.cat(
            [F.sigmoid(conv(one[None])) for one in z]
        ),
        "by its weights": lambda z, conv: (
            F.pad(z, conv.padding * 2).unfold(1, conv.weight.numel(), 1) @ conv.weight.flatten()
        ).sigmoid(),
    },
    "ring": {
        "rolls": ring_by_rolls,
        "indices": ring_by_index,
        "a layer": ring_by_layer,
        "ends put on": ring_by_hand,
    },
}
WRONG = {
    "predict": {
        "both 3": lambda: (3, 3, {"none", "k = 1"}),
        "both 5": lambda: (5, 5, {"none", "k = 1"}),
        "rounded": lambda: (3, 4, {"none", "k = 1"}),
        "not odd": lambda: (3.5, 4.0, {"none", "k = 1"}),
        "all": lambda: (3, 5, {"none", "k = 1", "k = 3"}),
        "none alone": lambda: (3, 5, {"none"}),
        "the wrong one": lambda: (3, 5, {"k = 3"}),
        "no network": lambda: (3, 5, set()),
        "two numbers": lambda: (3, 5),
        "a word": lambda: (3, 5, "none"),
    },
    "efficient": {
        "the identity": lambda x, w: x,
        "half of x": lambda x, w: 0.5 * x,
        "no sigmoid": lambda x, w: efficient(x, w, gate=torch.clone),
        "softmax": lambda x, w: efficient(x, w, gate=lambda t: t.softmax(1)),
        "turned round": lambda x, w: efficient(x, w.flip(0)),
        "a ring": lambda x, w: efficient(x, w, pad=filled("circular")),
        "ends repeated": lambda x, w: efficient(x, w, pad=filled("replicate")),
        "mirrored": lambda x, w: efficient(x, w, pad=filled("reflect")),
        "padded on one side": lambda x, w: efficient(
            x, w, pad=lambda z, half: F.pad(z, (2 * half, 0))
        ),
        "only itself": lambda x, w: efficient(x, w[len(w) // 2, None]),
        "maximum": lambda x, w: efficient(x, w, squeeze=lambda x: x.amax((2, 3))),
        "sum": lambda x, w: efficient(x, w, squeeze=lambda x: x.sum((2, 3))),
        "over the batch": lambda x, w: efficient(
            x, w, squeeze=lambda x: x.mean((0, 2, 3))[None]
        ),
        "over rows": lambda x, w: efficient(x, w, squeeze=lambda x: x.mean(2)[..., 0]),
        "images for neighbours": lambda x, w: (
            x
            * F.conv1d(x.mean((2, 3)).T[:, None], w[None, None], padding=len(w) // 2)[
                :, 0
            ].T.sigmoid()[..., None, None]
        ),
        "x added": lambda x, w: x + efficient(x, w),
        "the mean of w": lambda x, w: efficient(x, w.mean().expand_as(w)),
        "a gate a position": lambda x, w: (
            x
            * F.conv1d(
                x.permute(0, 2, 3, 1).reshape(-1, 1, x.shape[1]), w[None, None], padding="same"
            )
            .sigmoid()
            .reshape(len(x), *x.shape[2:], -1)
            .permute(0, 3, 1, 2)
        ),
    },
    "Listing": {
        "no sigmoid": module(lambda s, x: x * s.conv(x.mean((2, 3))[:, None]).mT[..., None]),
        "a bias": module(Convolved.forward, bias=True),
        "always 3": module(Convolved.forward, k=3),
        "always 5": module(Convolved.forward, k=5),
        "hidden from the optimiser": NeverLearned,
        "learns what it does not use": Frozen,
        "fresh in every call": module(fresh),
        "a gate a position": module(
            lambda s, x: (
                x
                * s.conv(x.permute(0, 2, 3, 1).flatten(0, 2)[:, None])
                .sigmoid()
                .view(len(x), *x.shape[2:], -1)
                .permute(0, 3, 1, 2)
            )
        ),
        "a softmax": module(
            lambda s, x: x * s.conv(x.mean((2, 3))[:, None]).softmax(-1).mT[..., None]
        ),
        "clipped": module(
            lambda s, x: x * s.conv(x.mean((2, 3))[:, None]).clamp(0.01, 0.99).mT[..., None]
        ),
        "the gates": module(
            lambda s, x: s.conv(x.mean((2, 3))[:, None]).sigmoid().mT[..., None]
        ),
        "over the batch": module(
            lambda s, x: x * s.conv(x.mean((0, 2, 3))[None, None]).sigmoid().mT[..., None]
        ),
        "maximum": module(
            lambda s, x: x * s.conv(x.amax((2, 3))[:, None]).sigmoid().mT[..., None]
        ),
        "a constant": module(lambda s, x: 0.5 * x),
        "two convolutions": module(
            lambda s, x: x * s.conv(s.conv(x.mean((2, 3))[:, None])).sigmoid().mT[..., None]
        ),
    },
    "gate_of": {
        "the bug in a loop": lambda z, conv: torch.cat(
            [conv(one[None].T[:, None])[:, 0].T.sigmoid() for one in z]
        ),
        "a channel alone": lambda z, conv: (z * conv.weight[0, 0, conv.padding[0]]).sigmoid(),
        "no sigmoid": lambda z, conv: conv(z[:, None])[:, 0],
        "the mean of the batch": lambda z, conv: (
            conv(z.mean(0)[None, None])[0].sigmoid().expand_as(z)
        ),
        "softmax": lambda z, conv: conv(z[:, None])[:, 0].softmax(dim=1),
        "all in one row": lambda z, conv: conv(z.view(1, 1, -1)).view_as(z).sigmoid(),
        "backwards": lambda z, conv: conv(z.flip(1)[:, None])[:, 0].flip(1).sigmoid(),
        "halves": lambda z, conv: torch.full_like(z, 0.5),
        "the averages": lambda z, conv: z.sigmoid(),
        "an axis left": lambda z, conv: conv(z[:, None]).sigmoid(),
        "the bug, backwards": lambda z, conv: conv(z.T.flip(0)[:, None])[:, 0].T.sigmoid(),
    },
    "ring": {
        "ends repeated": lambda z, w: ring(z, w, pad="replicate"),
        "mirrored": lambda z, w: ring(z, w, pad="reflect"),
        "no sigmoid": lambda z, w: ring(z, w, gate=torch.clone),
        "turned round": lambda z, w: ring(z, w.flip(0)),
        "a step aside": lambda z, w: ring(z, w).roll(1, dims=1),
        "only the last hears the first": lambda z, w: F.conv1d(
            F.pad(torch.cat([z, z[:, : len(w) // 2]], 1), (len(w) // 2, 0))[:, None],
            w[None, None],
        )[:, 0].sigmoid(),
        "the sum of all": lambda z, w: (
            (w.sum() * z.sum(1, keepdim=True)).expand_as(z).sigmoid()
        ),
        "the mean of all": lambda z, w: z.mean(1, keepdim=True).expand_as(z).sigmoid(),
        "over the batch": lambda z, w: ring(z.T, w[: 2 * (len(z) > 2) + 1]).T,
        "the ends exchanged": lambda z, w: F.conv1d(
            torch.cat([z[:, : len(w) // 2], z, z[:, z.shape[1] - len(w) // 2 :]], 1)[:, None],
            w[None, None],
        )[:, 0].sigmoid(),
        "a row longer": lambda z, w: ring(z, w)[:, [*range(z.shape[1]), 0]],
        "halves": lambda z, w: torch.full_like(z, 0.5),
    },
}
