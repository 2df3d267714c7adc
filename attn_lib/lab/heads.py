"""What makes a judge of pairs good: the cut into tokens, attention among them, the length of the features, the loss?

python -m attn_lib.lab.heads     makes evidence/heads.json, five seeds of each

The encoder names the digits 0 to 6, as `encoder_classes` does. The heads learn from its maps of the validation split,
whose digits it has not seen, and are tested on the test split.
"""

import time
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ..contrastive import averaged_contrast
from ..data import cluttered_digits
from ..vit import FeatureViT
from .commands import add_folder, as_given, command
from .encoders import STEPS as ENCODER_STEPS
from .encoders import train_encoder
from .networks import HostCNN
from .pairs import Pairs, area_under_curve, draw_groups, draw_pairs
from .runs import collect, machine
from .tasks import TESTED, TRAINED
from .training import fit
from .verification import (
    BATCH,
    HEADS,
    LEARNING_RATE,
    SEEN,
    STEPS,
    VIT,
    features,
    pair_sets,
    same_or_not,
)


class Nothing(nn.Module):
    """In place of attention: nothing is exchanged, and what is added to each token is 0."""

    def forward(self, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        return torch.zeros_like(x)


def without_attention(head: FeatureViT) -> FeatureViT:
    """Take a transformer's attention out: its feed-forward layers stay, and the average of all tokens."""
    for layer in head.transformer.layers:
        layer.register_module("0", Nothing())
    return head


def unit_length(maps: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """Feature maps, each divided by the length of its average over positions, as the cosine of averages has them."""
    return maps / maps.mean((2, 3), keepdim=True).norm(dim=1, keepdim=True)


def averaged(model: nn.Module, batch: Pairs) -> Tensor:
    """The notes' loss where the notes have it: on the scores of pairs."""
    return averaged_contrast(model(batch.differences()), batch.same)


def _vit(**options) -> Callable[[], nn.Module]:
    return lambda: FeatureViT(**VIT | options)


def _plain(**options) -> Callable[[], nn.Module]:
    return lambda: without_attention(FeatureViT(**VIT | options))


Loss = Callable[[nn.Module, Pairs], Tensor]
# The head, whether features have unit length, and the loss.
_CUTS: dict[str, tuple[Callable[[], nn.Module], bool, Loss]] = {
    f"{tokens}{', no attention' * bare}{', unit length' * unit}": (
        (_plain if bare else _vit)(tokens=tokens),
        unit,
        same_or_not,
    )
    for tokens in ("channel", "space")
    for bare in (False, True)
    for unit in (False, True)
}
ARMS = _CUTS | {
    "channel, groups of 8": (_vit(group=8), False, same_or_not),
    "channel, one group": (_vit(group=32), False, same_or_not),
    "channel, averaged loss": (_vit(), False, averaged),
    "distance": (HEADS["distance"], False, same_or_not),
    "distance, unit length": (HEADS["distance"], True, same_or_not),
}


@cache
def _encoder(seed: int, steps: int) -> HostCNN:
    train = cluttered_digits()
    chosen = torch.isin(train.labels, torch.tensor(SEEN))
    return train_encoder(
        "classes", draw_groups(train.images[chosen], train.labels[chosen], seed), seed, steps
    )


@cache
def _maps(seed: int, steps: int, split: str, count: int) -> dict[str, Tensor]:
    return features(_encoder(seed, steps), split, count)


def run(
    arm: str, seed: int, steps: int = STEPS, encoder_steps: int = ENCODER_STEPS
) -> dict[str, Any]:
    """Train one of `ARMS` on an encoder's maps; the AUC of its scores on pairs of seen and of held out digits.

    `cosine` is what the averages over positions give on the same pairs, with nothing to learn.
    """
    make, unit, loss = ARMS[arm]
    length = unit_length if unit else lambda maps: maps
    found = _maps(seed, encoder_steps, "validation", TRAINED)
    chosen = torch.isin(found["labels"], torch.tensor(SEEN))
    maps, labels = length(found["maps"][chosen]), found["labels"][chosen]
    torch.manual_seed(seed)
    head = make()
    start = time.process_time()
    fit(
        head, draw_pairs(maps, labels, steps * BATCH, seed), loss=loss, steps=steps,
        batch_size=BATCH, learning_rate=LEARNING_RATE, seed=seed, progress=False,
    )  # fmt: skip
    result: dict[str, Any] = {"cpu_seconds": round(time.process_time() - start, 1)}
    test = _maps(seed, encoder_steps, "test", TESTED)
    for kind, pairs in pair_sets(test | {"maps": length(test["maps"])}).items():
        pooled = pairs.features.mean((2, 3))
        cosine = F.cosine_similarity(pooled[pairs.first], pooled[pairs.second])
        with torch.no_grad():
            scores = head.eval()(pairs.differences())
        result[kind] = {
            "auc": area_under_curve(scores, pairs.same),
            "cosine": area_under_curve(cosine, pairs.same),
        }
    return result


def main() -> None:
    parser = command(__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="how many")
    parser.add_argument("--steps", type=int, default=STEPS, help="of the heads")
    parser.add_argument(
        "--encoder-steps", type=int, default=ENCODER_STEPS, help="of the encoders"
    )
    add_folder(parser)
    args = parser.parse_args()
    made = {
        "command": as_given("attn_lib.lab.heads"),
        "training": {
            "encoder": {"steps": args.encoder_steps, "images": "train"},
            "heads": {
                "steps": args.steps, "batch_size": BATCH, "learning_rate": LEARNING_RATE, "images": "validation",
            },
        },
    } | machine()  # fmt: skip
    collect(
        args.folder / "heads.json", made, ARMS, args.seeds,
        lambda arm, seed: run(arm, seed, args.steps, args.encoder_steps),
    )  # fmt: skip


if __name__ == "__main__":
    main()
