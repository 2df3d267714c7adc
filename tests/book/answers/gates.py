import torch
import torch.nn.functional as F
from einops import reduce

SAME = {"x - 5", "-x", "channel 0 times 100"}


def channel_by_channel(x, smooth):
    y = torch.empty_like(x)
    for image, result in zip(x, y, strict=True):
        for k, channel in enumerate(image):
            squares = (channel - channel.mean()) ** 2
            score = squares / (4 * squares.sum() / (channel.numel() - 1) + 4 * smooth) + 0.5
            result[k] = channel / (1 + (-score).exp())
    return y


def by_the_energy(x, smooth):
    """The least energy itself, and its inverse at the end."""
    mean = reduce(x, "b c h w -> b c 1 1", "mean")
    spread = 2 * (x.flatten(2).var(2)[..., None, None] + smooth)
    energy = 2 * spread / ((x - mean) ** 2 + spread)
    return x * F.sigmoid(energy.reciprocal())


def flattened(x, smooth):
    flat = x.flatten(2)
    squares = (flat - flat.mean(-1, keepdim=True)).pow(2)
    score = squares.div(squares.sum(-1, keepdim=True) / (flat.shape[-1] - 1) + smooth)
    return (flat * (score / 4 + 0.5).sigmoid()).view_as(x)


def simam(x, smooth, over=(2, 3), unbiased=True, half=0.5, four=4, gate=torch.sigmoid):
    """SimAM with something wrong."""
    squares = (x - x.mean(over, keepdim=True)) ** 2
    variance = x.var(over, keepdim=True, unbiased=unbiased)
    return x * gate(squares / (four * (variance + smooth)) + half)


def not_squared(x, smooth):
    away = (x - x.mean((2, 3), keepdim=True)).abs()
    return x * (away / (4 * (x.std((2, 3), keepdim=True) + smooth)) + 0.5).sigmoid()


def with_the_energy(x, smooth):
    return simam(x, smooth, gate=lambda inverse: (1 / inverse).sigmoid())


def two_sequences(x, squeeze, rows, columns):
    """Never put together."""
    of_rows, of_columns = squeeze(x.mean(3)), squeeze(x.mean(2))
    return torch.einsum("bch,bcw->bchw", rows(of_rows).sigmoid(), columns(of_columns).sigmoid())


def sliced(x, squeeze, rows, columns):
    h = x.shape[2]
    both = (reduce(x, f"b c h w -> b c {kept}", "mean") for kept in "hw")
    seen = squeeze(torch.cat(list(both), -1))
    down, across = rows(seen[..., :h]).unsqueeze(-1), columns(seen[..., h:]).unsqueeze(-2)
    return down.sigmoid() * across.sigmoid()


def columns_first(x, squeeze, rows, columns):
    """The order of the bug, and the split that belongs to it."""
    h, w = x.shape[2:]
    seen = squeeze(torch.cat([x.mean(2), x.mean(3)], dim=2))
    of_columns, of_rows = seen.split([w, h], dim=2)
    return rows(of_rows).sigmoid()[..., None] * columns(of_columns).sigmoid()[:, :, None]


def row_by_row(x, squeeze, rows, columns):
    down = torch.cat([rows(squeeze(row.mean(2)[..., None])) for row in x.unbind(2)], 2)
    across = torch.cat([columns(squeeze(of.mean(2)[..., None])) for of in x.unbind(3)], 2)
    return down.sigmoid()[..., None].mul(across.sigmoid()[:, :, None])


def gates_of(x, squeeze, rows, columns, pool=torch.mean, join=torch.mul, gate=torch.sigmoid):
    """Coordinate attention with something wrong."""
    h, w = x.shape[2:]
    seen = squeeze(torch.cat([pool(x, 3), pool(x, 2)], dim=2))
    of_rows, of_columns = seen.split([h, w], dim=2)
    return join(gate(rows(of_rows))[..., None], gate(columns(of_columns))[:, :, None])


def maximum(x, dim):
    return x.amax(dim)


def planted_in_a_loop(x, squeeze, rows, columns):
    h = x.shape[2]
    seen = torch.cat([squeeze(torch.cat([one.mean(2), one.mean(3)], 2)) for one in x.split(1)])
    return (
        rows(seen[..., :h]).sigmoid()[..., None] * columns(seen[..., h:]).sigmoid()[:, :, None]
    )


def one_direction(x, squeeze, rows, columns):
    return rows(squeeze(x.mean(3))).sigmoid()[..., None].expand_as(x)


def not_pooled(x, squeeze, rows, columns):
    seen = squeeze(x.flatten(2))
    return (rows(seen).sigmoid() * columns(seen).sigmoid()).view_as(x)


RIGHT = {
    "predict": {
        "a list": lambda: [1688, ["-x", "x - 5", "channel 0 times 100"]],
        "worked out": lambda: (
            64 * 8 + 8 + 2 * 8 + 2 * (8 * 64 + 64),
            SAME | {"x - 5"},
        ),
        "tensors": lambda: (torch.tensor(1688), frozenset(SAME)),
        "a float": lambda: (1688.0, tuple(SAME)),
    },
    "simam": {
        "channel by channel": channel_by_channel,
        "by the energy": by_the_energy,
        "flattened": flattened,
        "standard scores": lambda x, smooth: (
            x
            * torch.special.expit(
                0.5
                + (x - x.mean((3, 2), keepdim=True)).square()
                / 4
                / (x.std((3, 2), keepdim=True).square() + smooth)
            )
        ),
    },
    "gates_of": {
        "two sequences": two_sequences,
        "sliced": sliced,
        "columns first": columns_first,
        "row by row": row_by_row,
    },
    "ghost": {
        "the other way round": lambda a, b, g: b / g * a,
        "logarithms": lambda a, b, g: (a.log() + b.log() - g.log()).exp(),
        "powers": lambda a, b, g: a * b * g**-1,
        "one by one": lambda a, b, g: torch.stack(
            [p * q / r for p, q, r in zip(a, b, g, strict=True)]
        ),
    },
}
WRONG = {
    "predict": {
        "two hidden channels": lambda: (64 * 2 + 2 + 4 + 2 * (2 * 64 + 64), SAME),
        "no biases": lambda: (64 * 8 + 2 * 8 + 2 * 8 * 64, SAME),
        "no normalisation": lambda: (520 + 2 * 576, SAME),
        "one layer for both": lambda: (520 + 16 + 576, SAME),
        "SimAM's": lambda: (0, SAME),
        "not the sign": lambda: (1688, SAME - {"-x"}),
        "not the channel": lambda: (1688, SAME - {"channel 0 times 100"}),
        "the square too": lambda: (1688, SAME | {"x ** 2"}),
        "the brightest too": lambda: (1688, SAME | {"the brightest number doubled"}),
        "none": lambda: (1688, set()),
        "the number alone": lambda: 1688,
    },
    "simam": {
        "the identity": lambda x, smooth: x,
        "divided by n": lambda x, smooth: simam(x, smooth, unbiased=False),
        "over the channels too": lambda x, smooth: simam(x, smooth, over=(1, 2, 3)),
        "over the batch too": lambda x, smooth: simam(x, smooth, over=(0, 2, 3)),
        "over rows": lambda x, smooth: simam(x, smooth, over=(3,)),
        "no half": lambda x, smooth: simam(x, smooth, half=0),
        "no four": lambda x, smooth: simam(x, smooth, four=1),
        "two": lambda x, smooth: simam(x, smooth, four=2),
        "no sigmoid": lambda x, smooth: simam(x, smooth, gate=torch.clone),
        "no λ": lambda x, smooth: simam(x, 0),
        "the default λ": lambda x, smooth: simam(x, 1e-4),
        "the energy": with_the_energy,
        "not squared": not_squared,
        "the gates": lambda x, smooth: simam(x, smooth) / x,
        "x added": lambda x, smooth: x + simam(x, smooth),
    },
    "gates_of": {
        "the bug, image by image": planted_in_a_loop,
        "layers exchanged": lambda x, squeeze, rows, columns: gates_of(
            x, squeeze, columns, rows
        ),
        "rows alone": one_direction,
        "a sum": lambda *inputs: gates_of(*inputs, join=torch.add),
        "their mean": lambda *inputs: gates_of(*inputs, join=lambda r, c: (r + c) / 2),
        "a maximum": lambda *inputs: gates_of(*inputs, pool=maximum),
        "a sum of x": lambda *inputs: gates_of(*inputs, pool=torch.sum),
        "no sigmoid": lambda *inputs: gates_of(*inputs, gate=torch.clone),
        "softmax": lambda *inputs: gates_of(*inputs, gate=lambda t: t.softmax(2)),
        "one sigmoid": lambda *inputs: gates_of(*inputs, gate=torch.clone).sigmoid(),
        "not pooled": not_pooled,
        "the features": lambda x, *layers: x * gates_of(x, *layers),
        "halves": lambda x, *layers: torch.full_like(x, 0.5),
    },
    "ghost": {
        "shut": lambda a, b, g: 0 * a,
        "the same": lambda a, b, g: g,
        "the product": lambda a, b, g: a * b,
        "the sum": lambda a, b, g: a + b - g,
        "the mean": lambda a, b, g: (a + b) / 2,
        "upside down": lambda a, b, g: g / (a * b),
        "their roots": lambda a, b, g: (a * b).sqrt(),
        "the smaller": lambda a, b, g: torch.minimum(a, b),
    },
}
