import torch
import torch.nn.functional as F
from answers.cbam_modules import (
    AverageOfGates,
    AverageTwice,
    DeadCode,
    GateOfPositionsNotSquashed,
    GateOfWhatIsLeft,
    MaximumTwice,
    Mended,
    NoReLU,
    NoSigmoid,
    OneCall,
    OtherOrderOfLayers,
    PositionsFirst,
    ReadsMaximumTwiceAtPositions,
    SideBySide,
    Start,
    SumRead,
    WideKernel,
    WithTheInput,
)
from einops import reduce


def stacked_readings(x, w_0, w_1, f):
    both = torch.stack([reduce(x, "b c h w -> b c", how) for how in ("mean", "max")])
    scores = F.linear(F.linear(both, w_0).relu(), w_1).sum(0)
    x = torch.einsum("bchw, bc -> bchw", x, torch.sigmoid(scores))
    pooled = torch.cat([x.amax(1, keepdim=True), x.mean(1, keepdim=True)], 1)
    return torch.sigmoid(F.conv2d(pooled, f, padding="same")) * x


def image_by_image(x, w_0, w_1, f):
    results = []
    for image in x:
        flat = image.flatten(1)
        average, highest = flat.sum(1) / flat.shape[1], flat.max(1).values
        scores = w_1 @ (w_0 @ average).clamp(min=0) + w_1 @ (w_0 @ highest).clamp(min=0)
        image = image / (1 + (-scores).exp())[:, None, None]
        edged = F.pad(torch.stack([image.max(0).values, image.mean(0)]), (3, 3, 3, 3))
        windows = edged.unfold(1, 7, 1).unfold(2, 7, 1)  # (2, h, w, 7, 7)
        at = torch.einsum("ihwkl, ikl -> hw", windows, f[0])
        results.append(image / (1 + (-at).exp()))
    return torch.stack(results)


def by_unfolding(x, w_0, w_1, f):
    hidden = (F.adaptive_avg_pool2d(x, 1).flatten(1) @ w_0.mT).relu()
    hidden = hidden + (F.adaptive_max_pool2d(x, 1).flatten(1) @ w_0.mT).relu()
    x = x.mul((hidden @ w_1.mT).sigmoid()[..., None, None])
    columns = F.unfold(torch.stack((x.amax(1), x.mean(1)), 1), 7, padding=3)
    return x * (f.flatten() @ columns).sigmoid().view(len(x), 1, *x.shape[2:])


def block(
    x,
    w_0,
    w_1,
    f,
    read=lambda x: (x.mean((2, 3)), x.amax((2, 3))),
    hidden=torch.relu,
    of_channels=torch.sigmoid,
    pool=lambda x: (x.amax(1), x.mean(1)),
    of_positions=torch.sigmoid,
    order="channels first",
    kernel=None,
):
    """CBAM with something wrong."""

    def what(x):
        scores = sum(hidden(reading @ w_0.T) @ w_1.T for reading in read(x))
        return of_channels(scores)[:, :, None, None]

    def where(x):
        pooled = torch.stack(pool(x), 1)
        return of_positions(F.conv2d(pooled, f if kernel is None else kernel(f), padding=3))

    if order == "side by side":
        return what(x) * where(x) * x
    if order == "positions first":
        x = where(x) * x
        return what(x) * x
    x = what(x) * x
    return x * where(x)


def wrong_block(**wrong):
    return lambda x, w_0, w_1, f: block(x, w_0, w_1, f, **wrong)


def stacked(average, highest, mlp):
    return mlp(torch.stack([average, highest])).sum(0).sigmoid()


def joined(average, highest, mlp):
    scores = mlp(torch.cat([average, highest])).chunk(2)
    return 1 / (1 + torch.exp(-scores[0] - scores[1]))


RIGHT = {
    "predict": {
        "a list": lambda: [33_412, 100, ["channel"]],
        "added up": lambda: (
            512 * 32 + 32 + 32 * 512 + 512 + 2 * 7 * 7 + 2,
            2 * 49 + 2,
            ("channel",),
        ),
        "counted without the library": lambda: (
            sum(p.numel() for p in Start(512).fc.parameters()) + 100,
            100,
            {"channel"},
        ),
    },
    "block": {
        "stacked readings": stacked_readings,
        "image by image": image_by_image,
        "unfolded": by_unfolding,
    },
    "Notes": {
        "both mended": Mended,
        "one call of the MLP": OneCall,
        "another order of layers": OtherOrderOfLayers,
    },
    "gate_of": {
        "stacked": stacked,
        "joined": joined,
        "odds": lambda average, highest, mlp: (
            (mlp(average).exp() * mlp(highest).exp()).reciprocal().add(1).reciprocal()
        ),
        "half a tanh": lambda average, highest, mlp: (
            (1 + torch.tanh((mlp(highest) + mlp(average)) / 2)) / 2
        ),
    },
}
WRONG = {
    "predict": {
        "no biases": lambda: (32_768 + 98, 98, {"channel"}),
        "no biases of the MLP": lambda: (32_868, 100, {"channel"}),
        "the channel gate's": lambda: (33_312, 100, {"channel"}),
        "one too many": lambda: (33_413, 100, {"channel"}),
        "98": lambda: (33_412, 98, {"channel"}),
        "a bias for the batch normalisation": lambda: (33_413, 101, {"channel"}),
        "both stay": lambda: (33_412, 100, {"channel", "spatial"}),
        "the spatial one": lambda: (33_412, 100, {"spatial"}),
        "neither": lambda: (33_412, 100, set()),
        "exchanged": lambda: (100, 33_412, {"channel"}),
        "no sets": lambda: (33_412, 100),
    },
    "block": {
        "the identity": lambda x, w_0, w_1, f: x,
        "a quarter": lambda x, w_0, w_1, f: x / 4,
        "channels alone": wrong_block(of_positions=torch.ones_like),
        "positions alone": wrong_block(of_channels=torch.ones_like),
        "side by side": wrong_block(order="side by side"),
        "positions first": wrong_block(order="positions first"),
        "average first": wrong_block(pool=lambda x: (x.mean(1), x.amax(1))),
        "maximum twice": wrong_block(pool=lambda x: (x.amax(1), x.amax(1))),
        "no average": wrong_block(read=lambda x: (x.amax((2, 3)),)),
        "no maximum": wrong_block(read=lambda x: (x.mean((2, 3)),)),
        "the MLP reads a sum": wrong_block(read=lambda x: (x.mean((2, 3)) + x.amax((2, 3)),)),
        "no ReLU": wrong_block(hidden=lambda s: s),
        "GELU": wrong_block(hidden=F.gelu),
        "softmax over channels": wrong_block(of_channels=lambda s: s.softmax(1)),
        "no sigmoid": wrong_block(of_channels=lambda s: s),
        "no sigmoid of positions": wrong_block(of_positions=lambda s: s),
        "two sigmoids": wrong_block(of_channels=lambda s: s.sigmoid().sigmoid()),
        "a turned kernel": wrong_block(kernel=lambda f: f.flip(2, 3)),
        "a transposed kernel": wrong_block(kernel=lambda f: f.mT),
        "residual": lambda *given: given[0] + block(*given),
    },
    "Notes": {
        "the average mended": DeadCode,
        "the dead code mended": MaximumTwice,
        "the average twice": AverageTwice,
        "the MLP reads the sum": SumRead,
        "side by side": SideBySide,
        "the gate of what is left": GateOfWhatIsLeft,
        "positions first": PositionsFirst,
        "no sigmoid": NoSigmoid,
        "no sigmoid of positions": GateOfPositionsNotSquashed,
        "average of gates": AverageOfGates,
        "maximum twice at positions": ReadsMaximumTwiceAtPositions,
        "with the input": WithTheInput,
        "no ReLU": NoReLU,
        "a wide kernel": WideKernel,
    },
    "gate_of": {
        "no sigmoid": lambda average, highest, mlp: mlp(average) + mlp(highest),
        "sigmoid within": lambda average, highest, mlp: (
            mlp(average).sigmoid() + mlp(highest).sigmoid()
        ),
        "average of sigmoids": lambda average, highest, mlp: (
            (mlp(average).sigmoid() + mlp(highest).sigmoid()) / 2
        ),
        "product of sigmoids": lambda average, highest, mlp: (
            mlp(average).sigmoid() * mlp(highest).sigmoid()
        ),
        "no maximum": lambda average, highest, mlp: mlp(average).sigmoid(),
        "no average": lambda average, highest, mlp: mlp(highest).sigmoid(),
        "average twice": lambda average, highest, mlp: (mlp(average) + mlp(average)).sigmoid(),
        "the MLP reads the sum": lambda average, highest, mlp: mlp(average + highest).sigmoid(),
        "the MLP's mean": lambda average, highest, mlp: (
            (mlp(average) + mlp(highest)) / 2
        ).sigmoid(),
        "rescaled": lambda average, highest, mlp: (
            ((mlp(average) + mlp(highest)).sigmoid().sigmoid() - 0.5) / 0.2311
        ),
        "clamped": lambda average, highest, mlp: (mlp(average) + mlp(highest)).clamp(0, 1),
        "hard": lambda average, highest, mlp: (mlp(average) + mlp(highest) > 0).float(),
        "hardsigmoid": lambda average, highest, mlp: F.hardsigmoid(mlp(average) + mlp(highest)),
        "softmax": lambda average, highest, mlp: (mlp(average) + mlp(highest)).softmax(1),
        "shut is open": lambda average, highest, mlp: (-mlp(average) - mlp(highest)).sigmoid(),
        "half": lambda average, highest, mlp: torch.full_like(average, 0.5),
        "the average": lambda average, highest, mlp: average,
    },
}
