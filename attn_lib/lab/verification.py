"""Is it the same digit? Losses that teach a network to compare, and transformers that judge two feature maps.

python -m attn_lib.lab.verification     makes evidence/verification.json, five seeds, and checkpoints from seed 0

Everything learns from pairs of the digits 0 to 6 alone, and is tested on new drawings of these and of 7 to 9.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from ..data import cluttered_digits
from ..vit import FeatureViT
from . import zoo
from .commands import add_folder, as_given, command
from .encoders import (
    GROUPS,
    LOSSES,
    TEMPERATURE,
    hard_share,
    train_encoder,
)
from .encoders import STEPS as ENCODER_STEPS
from .networks import HostCNN
from .pairs import (
    Pairs,
    area_under_curve,
    draw_groups,
    draw_pairs,
    retrieval,
)
from .runs import collect, machine
from .scoring import calibrate
from .tasks import CALIBRATED
from .training import fit

SEEN, HELD_OUT = range(7), range(7, 10)
KEPT = ("info_nce", "averaged", "classes")  # whose networks from seed 0 ship
CLASSES = {"seen": SEEN, "held out": HELD_OUT}
STEPS, BATCH, LEARNING_RATE = 1_000, 128, 1e-3  # of the heads


class DistanceHead(nn.Module):
    r"""The control: how far apart are the averages over positions, each channel with a weight of its own?

    $$ y = b - w^\top \Big| \tfrac1n \textstyle\sum_i x_i \Big| $$

    for the difference x of two feature maps. Without the absolute value it could tell nothing: swapping the two
    images would turn the sign of $w^\top x$.

    Shapes: (b, c, h, w) → (b,).
    """

    def __init__(self, channels: int):
        super().__init__()
        self.head = nn.Linear(channels, 1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
        return rearrange(self.head(-x.mean((2, 3)).abs()), "b 1 -> b")


VIT: dict[str, Any] = {
    "image_size": 5, "dim": 32, "depth": 2, "heads": 2, "mlp_dim": 64, "channels": 32, "dim_head": 16, "group": 1,
}  # fmt: skip
HEADS: dict[str, Callable[[], nn.Module]] = {
    "channel": lambda: FeatureViT(**VIT, tokens="channel"),
    "space": lambda: FeatureViT(**VIT, tokens="space"),
    "distance": lambda: DistanceHead(VIT["channels"]),
}


def same_or_not(model: nn.Module, batch: Pairs) -> Tensor:
    """Cross-entropy of a head's scores with whether the pairs are of one class."""
    return F.binary_cross_entropy_with_logits(model(batch.differences()), batch.same.float())


@torch.no_grad()
def features(encoder: HostCNN, split: str, count: int) -> dict[str, Tensor]:
    """What an encoder makes of cluttered digits: `vectors`, its `maps` averaged over 2×2 cells, and `labels`."""
    data = cluttered_digits(split, count, seed=0 if split == "train" else 1)
    maps = [encoder.features(images) for images in data.images.split(500)]
    return {
        "vectors": torch.cat([encoder.classifier(part.mean((2, 3))) for part in maps]),
        "maps": torch.cat([F.avg_pool2d(part, 2) for part in maps]),
        "labels": data.labels,
    }


@torch.no_grad()
def judge(head: nn.Module, pairs: Pairs) -> dict[str, float]:
    """ROC AUC on pairs: of their differences as they are, and with channels or positions in another order."""
    head.eval()
    x = pairs.differences()
    generator = torch.Generator().manual_seed(0)
    channels = torch.randperm(x.shape[1], generator=generator)
    positions = torch.randperm(x.shape[2] * x.shape[3], generator=generator)
    asked = {
        "auc": x,
        "channels shuffled": x[:, channels],
        "positions shuffled": x.flatten(2)[..., positions].view_as(x),
    }
    return {name: area_under_curve(head(y), pairs.same) for name, y in asked.items()}


def pair_sets(found: dict[str, Tensor]) -> dict[str, Pairs]:
    """20,000 pairs of the digits that were seen, and as many of those held out."""
    sets = {}
    for name, classes in CLASSES.items():
        chosen = torch.isin(found["labels"], torch.tensor(classes))
        sets[name] = draw_pairs(found["maps"][chosen], found["labels"][chosen], 20_000)
    return sets


def run_heads(
    encoder: HostCNN, seed: int, test: dict[str, Pairs], steps: int = STEPS
) -> tuple[dict[str, nn.Module], dict[str, Any]]:
    """Train each of `HEADS` on an encoder's maps of the digits that were seen; the encoder stays as it is."""
    found = features(encoder, "train", 12_000)
    chosen = torch.isin(found["labels"], torch.tensor(SEEN))
    pairs = draw_pairs(found["maps"][chosen], found["labels"][chosen], steps * BATCH, seed)
    heads, scores = {}, {}
    for name, make in HEADS.items():
        torch.manual_seed(seed)
        heads[name] = head = make()
        start = time.process_time()
        fit(
            head, pairs, loss=same_or_not, steps=steps, batch_size=BATCH,
            learning_rate=LEARNING_RATE, seed=seed,
        )  # fmt: skip
        scores[name] = {"cpu_seconds": round(time.process_time() - start, 1)} | {
            of: judge(head, some) for of, some in test.items()
        }
    return heads, scores


def score(found: dict[str, Tensor]) -> dict[str, Any]:
    """How well vectors tell pairs of one class, by the cosine of the `outputs` and of the `pooled` features.

    `hard_share` is the mean over groups of the digits that were seen.
    """
    chosen = torch.isin(found["labels"], torch.tensor(SEEN))
    groups = draw_groups(found["vectors"][chosen], found["labels"][chosen])
    shares = [hard_share(vectors) for vectors in groups[torch.arange(len(groups))]]
    pooled = found["maps"].mean((2, 3))
    return {
        "outputs": _by_kind(found["vectors"], found["labels"]),
        "pooled": _by_kind(pooled, found["labels"]),
        "hard_share": {name: sum(s[name] for s in shares) / len(shares) for name in shares[0]},
    }


def _by_kind(vectors: Tensor, labels: Tensor) -> dict[str, dict[str, float]]:
    return {kind: retrieval(vectors, labels, classes) for kind, classes in CLASSES.items()}


def run(
    objective: str, seed: int, folder: Path, made: dict[str, Any], steps: int, head_steps: int
) -> dict[str, Any]:
    """Train an encoder by one of `LOSSES`, and for "classes" the heads on top of it; test them.

    Returns:
        what `score` has of the encoder, before training and after, and for "classes" the scores of its `heads`.
        Networks from seed 0 are kept in the folder.
    """
    train = cluttered_digits()
    chosen = torch.isin(train.labels, torch.tensor(SEEN))
    groups = draw_groups(train.images[chosen], train.labels[chosen], seed)
    untrained = train_encoder(objective, groups, seed, 0)
    calibrate(untrained, cluttered_digits("train", CALIBRATED))
    start = time.process_time()
    encoder = train_encoder(objective, groups, seed, steps)
    result: dict[str, Any] = {"cpu_seconds": round(time.process_time() - start, 1)}
    found = features(encoder, "test", 2_000)
    result |= score(found) | {"untrained": score(features(untrained, "test", 2_000))}
    arguments: dict[str, Any] = {"num_classes": encoder.classifier.out_features}
    kept: dict[str, tuple[nn.Module, dict[str, Any]]] = {
        "encoder_" + objective: (encoder, arguments)
    }
    if objective == "classes":
        heads, result["heads"] = run_heads(encoder, seed, pair_sets(found), head_steps)
        kept |= {
            f"verify_{name}": (heads[name], VIT | {"tokens": name})
            for name in ("channel", "space")
        }
    if seed == 0 and objective in KEPT:
        for name, (network, arguments) in kept.items():
            card = {"network": type(network).__name__, "arguments": arguments, "seed": seed}
            scores = result["heads"][arguments["tokens"]] if "tokens" in arguments else result
            zoo.save(network, folder / f"{name}.safetensors", card | made | scores)
    return result


def main() -> None:
    parser = command(__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="how many")
    parser.add_argument("--steps", type=int, default=ENCODER_STEPS, help="of the encoders")
    parser.add_argument("--head-steps", type=int, default=STEPS, help="of the heads")
    add_folder(parser)
    args = parser.parse_args()
    made = {
        "command": as_given("attn_lib.lab.verification"),
        "training": {
            "encoders": {"steps": args.steps, "groups": GROUPS, "temperature": TEMPERATURE},
            "heads": {
                "steps": args.head_steps,
                "batch_size": BATCH,
                "learning_rate": LEARNING_RATE,
            },
        },
    } | machine()
    collect(
        args.folder / "verification.json", made, LOSSES, args.seeds,
        lambda arm, seed: run(arm, seed, args.folder, made, args.steps, args.head_steps),
    )  # fmt: skip


if __name__ == "__main__":
    main()
