import torch
import torch.nn.functional as F
from einops import einsum, reduce
from torch import nn


def layer_by_layer(m):
    side, step = 1, 1
    for width, stride in (3, 2), (3, 1), (3, 2), (3, 1), (3, 1), (2 * m + 1, 1):
        side, step = side + (width - 1) * step, step * stride
    return side


def branch_by_branch(seen, w, normalise, v):
    average = torch.stack([features.mean((2, 3)) for features in seen.unbind(1)]).sum(0)
    z = F.relu(normalise(F.linear(average, w)))
    scores = torch.stack([F.linear(z, matrix) for matrix in v], dim=1)
    return scores.exp() / scores.exp().sum(1, keepdim=True)


def with_einsum(seen, w, normalise, v):
    total = reduce(seen, "b m c h w -> b c", "sum") / seen[0, 0, 0].numel()
    z = normalise(einsum(total, w, "b c, d c -> b d")).clamp(min=0)
    return einsum(z, v, "b d, m c d -> b m c").softmax(1)


def with_one_matrix(seen, w, normalise, v):
    z = torch.relu(normalise((w @ seen.mean((3, 4)).sum(1).T).T))
    return (z @ v.flatten(0, 1).T).unflatten(1, v.shape[:2]).softmax(dim=-2)


def selects(seen, w, normalise, v, squeeze=None, between=torch.relu, share=None):
    """Fuse and select with something wrong."""
    average = squeeze(seen) if squeeze else seen.sum(1).mean((2, 3))
    scores = torch.einsum("mcd,bd->bmc", v, between(normalise(average @ w.T)))
    return share(scores) if share else scores.softmax(1)


def sum_of(seen, shares):
    return (seen * shares[..., None, None]).sum(1)


def first_by_difference(seen, scores):
    first, *others = seen.unbind(1)
    shares = scores.softmax(1)
    y = first
    for i, other in enumerate(others, start=1):
        y = y + shares[:, i, :, None, None] * (other - first)
    return y


def by_exponentials(seen, scores):
    e = scores.exp()
    return torch.einsum("bmchw,bmc->bchw", seen, e) / e.sum(1)[:, :, None, None]


def channel_by_channel(seen, scores):
    y = torch.zeros_like(seen[:, 0])
    for i in range(len(seen)):
        for c in range(seen.shape[2]):
            y[i, c] = torch.tensordot(scores[i, :, c].softmax(0), seen[i, :, c], 1)
    return y


class Padded(nn.Module):
    """Zeros around, then a convolution that adds none."""

    def __init__(self, c, m, groups):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(c, c // groups, 3, 3))
        self.m, self.groups = m, groups

    def forward(self, x):
        x = F.pad(x, [self.m] * 4)
        return F.conv2d(x, self.weight, dilation=self.m, groups=self.groups)


def kernel(c, m, groups, size=3, **more):
    more.setdefault("padding", m)
    more = {"dilation": m, "bias": False} | more
    return nn.Conv2d(c, c, size, groups=groups, **more)


RIGHT = {
    "pixels_seen": {
        "from the table of the page": lambda m: {1: 35, 2: 43, 3: 51, 5: 67}[m],
        "from the middle": lambda m: 2 * (13 + 4 * m) + 1,
        "side by side": lambda m: len({4 * i + j for i in (-m, 0, m) for j in range(27)}),
        "layer by layer": layer_by_layer,
    },
    "select": {
        "branch by branch": branch_by_branch,
        "einsum": with_einsum,
        "one matrix": with_one_matrix,
    },
    "mix": {
        "by differences from the first": first_by_difference,
        "exponentials": by_exponentials,
        "channel by channel": channel_by_channel,
    },
    "convolutions": {
        "a tuple": lambda c, branches, groups: tuple(
            nn.Conv2d(c, c, (3, 3), 1, 1 + m, 1 + m, groups, False) for m in range(branches)
        ),
        "a list of modules": lambda c, branches, groups: nn.ModuleList(
            nn.Conv2d(
                c,
                c,
                3,
                padding="same",
                dilation=m + 1,
                groups=groups,
                bias=False,
                padding_mode="zeros",
            )
            for m in range(branches)
        ),
        "padded first": lambda c, branches, groups: [
            nn.Sequential(nn.ZeroPad2d(m), kernel(c, m, groups, padding=0))
            for m in range(1, branches + 1)
        ],
        "by hand": lambda c, branches, groups: [
            Padded(c, m + 1, groups) for m in range(branches)
        ],
        "one after the other": lambda c, branches, groups: (
            kernel(c, m, groups) for m in range(1, 1 + branches)
        ),
    },
}
WRONG = {
    "pixels_seen": {
        "what one position has seen": lambda m: 27,
        "the kernel's positions": lambda m: 2 * m + 1,
        "without the distance of 4": lambda m: 27 + 2 * m,
        "one side only": lambda m: 27 + 4 * m,
        "a constant": lambda m: 35,
        "times 4": lambda m: 4 * (2 * m + 1),
        "times 27": lambda m: 27 * (2 * m + 1),
        "an even number": lambda m: 28 + 8 * m,
        "the gap between": lambda m: 27 + 8 * (m - 1),
        "the dilation doubled": lambda m: 27 + 8 * 2 ** (m - 1),
    },
    "select": {
        "even": lambda seen, w, norm, v: torch.full((len(seen), *v.shape[:2]), 1 / len(v)),
        "over the channels": lambda *given: selects(*given, share=lambda s: s.softmax(2)),
        "over the batch": lambda *given: selects(*given, share=lambda s: s.softmax(0)),
        "over branches and channels": lambda *given: selects(
            *given, share=lambda s: s.flatten(1).softmax(1).view_as(s)
        ),
        "a sigmoid": lambda *given: selects(*given, share=torch.sigmoid),
        "scores": lambda *given: selects(*given, share=torch.clone),
        "the branches exchanged": lambda *given: selects(
            *given, share=lambda s: s.softmax(1).flip(1)
        ),
        "the mean of the branches": lambda *given: selects(
            *given, squeeze=lambda seen: seen.mean((1, 3, 4))
        ),
        "the first branch": lambda *given: selects(
            *given, squeeze=lambda seen: seen[:, 0].mean((2, 3))
        ),
        "the maximum": lambda *given: selects(
            *given, squeeze=lambda seen: seen.sum(1).amax((2, 3))
        ),
        "the sum over positions": lambda *given: selects(
            *given, squeeze=lambda seen: seen.sum((1, 3, 4))
        ),
        "no ReLU": lambda *given: selects(*given, between=torch.clone),
        "no normalisation": lambda seen, w, norm, v: selects(seen, w, torch.clone, v),
        "ReLU before the normalisation": lambda seen, w, norm, v: selects(
            seen, w, lambda z: norm(z.relu()), v, between=torch.clone
        ),
        "each branch alone": lambda seen, w, norm, v: torch.stack(
            [
                norm(u.mean((2, 3)) @ w.T).relu() @ m.T
                for u, m in zip(seen.unbind(1), v, strict=True)
            ],
            1,
        ).softmax(1),
        "the other way round": lambda *given: selects(*given).mT,
    },
    "mix": {
        "the mean of the branches": lambda seen, scores: seen.mean(1),
        "the shares exchanged": lambda seen, scores: sum_of(seen, scores.softmax(1).flip(1)),
        "the branches turned by one": lambda seen, scores: sum_of(
            seen.roll(1, 1), scores.softmax(1)
        ),
        "over the batch": lambda seen, scores: sum_of(seen, scores.softmax(0)),
        "over the batch and put right": lambda seen, scores: (
            sum_of(seen, scores.softmax(0)) / scores.softmax(0).sum(1)[..., None, None]
        ),
        "over the channels and put right": lambda seen, scores: (
            sum_of(seen, scores.softmax(2)) / scores.softmax(2).sum(1)[..., None, None]
        ),
        "the first branch": lambda seen, scores: seen[:, 0],
        "the best branch": lambda seen, scores: sum_of(
            seen, F.one_hot(scores.argmax(1), scores.shape[1]).mT.float()
        ),
        "a sigmoid": lambda seen, scores: sum_of(seen, scores.sigmoid()),
        "sigmoids put right": lambda seen, scores: sum_of(
            seen, F.normalize(scores.sigmoid(), 1, 1)
        ),
        "one share for all channels": lambda seen, scores: sum_of(
            seen, scores.mean(2, keepdim=True).softmax(1)
        ),
        "one share for all images": lambda seen, scores: sum_of(
            seen, scores.mean(0, keepdim=True).softmax(1)
        ),
        "the sum": lambda seen, scores: seen.sum(1),
        "scores": lambda seen, scores: sum_of(seen, scores),
        "minus": lambda seen, scores: sum_of(seen, (-scores).softmax(1)),
    },
    "convolutions": {
        "dilation alone": lambda c, branches, groups: [
            kernel(c, m, 1) for m in range(1, branches + 1)
        ],
        "groups alone": lambda c, branches, groups: [
            kernel(c, 1, groups, size=2 * m + 1, padding=m) for m in range(1, branches + 1)
        ],
        "biases": lambda c, branches, groups: [
            kernel(c, m, groups, bias=True) for m in range(1, branches + 1)
        ],
        "no dilation": lambda c, branches, groups: [kernel(c, 1, groups)] * branches,
        "always two": lambda c, branches, groups: [kernel(c, m, groups) for m in (1, 2)],
        "always 32 groups": lambda c, branches, groups: [
            kernel(c, m, 32 if c % 32 == 0 else 1) for m in range(1, branches + 1)
        ],
        "depthwise": lambda c, branches, groups: [
            kernel(c, m, c) for m in range(1, branches + 1)
        ],
        "dilation 1, 3, 5": lambda c, branches, groups: [
            kernel(c, 2 * m + 1, groups) for m in range(branches)
        ],
        "dilation from 0": lambda c, branches, groups: [
            kernel(c, max(m, 1), groups) for m in range(branches)
        ],
        "backwards": lambda c, branches, groups: [
            kernel(c, m, groups) for m in range(branches, 0, -1)
        ],
        "a row of nine": lambda c, branches, groups: [
            kernel(c, m, groups, size=(1, 9), padding=(0, 4 * m))
            for m in range(1, branches + 1)
        ],
        "unpadded": lambda c, branches, groups: [
            kernel(c, m, groups, padding=0) for m in range(1, branches + 1)
        ],
        "closed to a ring": lambda c, branches, groups: [
            kernel(c, m, groups, padding_mode="circular") for m in range(1, branches + 1)
        ],
        "none": lambda c, branches, groups: [],
    },
}
