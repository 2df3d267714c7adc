"""Vision transformers on cluttered digits: how often they are right, and which of their maps find the digit.

python -m attn_lib.lab.vit_digits     makes evidence/vit.json, five seeds of each, and the checkpoint vit_digits
"""

import copy
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..data import LocatedImages, cluttered_digits
from ..instruments.localisation import localise, received
from ..instruments.recording import record
from ..instruments.rollout import rollout
from ..module import AttentionModule
from ..vit import SimpleViT
from . import zoo
from .commands import add_folder, as_given, command
from .networks import StemViT
from .runs import collect, machine
from .scoring import accuracy, calibrate
from .tasks import CALIBRATED
from .training import fit

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "stem": StemViT,
    "stem, no positions": lambda: StemViT(positions=False),
    "stem alone": lambda: StemViT(depth=0),
    "patches": lambda: SimpleViT(
        image_size=40, patch_size=5, num_classes=10, dim=64, depth=2, heads=2, mlp_dim=128, dim_head=32
    ),
}  # fmt: skip
STEPS, BATCH, LEARNING_RATE = 1_400, 64, 2e-3  # chosen on the validation split


def gradient_attention(
    model: nn.Module, layer: AttentionModule, images: Float[Tensor, "b 3 h w"]
) -> Float[Tensor, "b heads n n"]:
    r"""A layer's weights, each times what a little more of it would add to the score of the answer.

    $$ \bar A = \Big(A \odot \frac{\partial y_c}{\partial A}\Big)^+, \qquad c = \mathrm{argmax}\ y $$

    Args:
        model: a classifier, in evaluation mode.
        layer: one of its attentions, whose weights are (b, heads, n, n).

    Source: Chefer, Gur, Wolf, "Generic Attention-model Explainability for Interpreting Bi-Modal and
    Encoder-Decoder Transformers", ICCV 2021, section 3.1, eq. 5, there averaged over heads.
    """
    held: list[Tensor] = []

    def slowly(module: AttentionModule, args: tuple[Tensor], y: Tensor) -> Tensor:
        held.append(module.attention(*args))  # forward, fused, has no weights to differentiate
        return module.reweight(*args, held[0])

    hook = layer.register_forward_hook(slowly)
    try:
        answers = model(images).amax(1)
    finally:
        hook.remove()
    (gradient,) = torch.autograd.grad(answers.sum(), held[0])
    return (held[0] * gradient).clamp(min=0).detach()


def maps_of(
    model: nn.Module, images: Float[Tensor, "b 3 h w"]
) -> tuple[Float[Tensor, "b classes"], dict[str, Float[Tensor, "b _h _w"]]]:
    """The logits of a digits transformer, and where its tokens look, by each way to say it.

    The classifier averages all tokens, so a relation's map is what all queries together look at.

    Returns:
        the logits; and "layer 1, head 1", …, "layer 2" (its mean over heads), "rollout", "gradient × attention".
    """
    with record(model) as recorded, torch.no_grad():
        logits = model(images)
    relations = {}
    for depth, weights in enumerate(recorded.values(), 1):
        relations[f"layer {depth}"] = weights.mean(1)
        for head in range(weights.shape[1]):
            relations[f"layer {depth}, head {head + 1}"] = weights[:, head]
    relations["rollout"] = rollout(list(recorded.values()))
    last = model.get_submodule(list(recorded)[-1])
    assert isinstance(last, AttentionModule)
    relations["gradient × attention"] = gradient_attention(model, last, images).mean(1)
    side = int(relations["rollout"].shape[1] ** 0.5)
    everyone = torch.ones(len(images), side, side)
    return logits, {name: received(relation, everyone) for name, relation in relations.items()}


def evaluate(model: nn.Module, data: LocatedImages, batch_size: int = 500) -> dict:
    """Accuracy, and the localisation of each of `maps_of`; none where no layer has a map.

    Raises:
        ValueError: nobody knows where the objects are.
    """
    if data.boxes is None:
        raise ValueError(
            "evaluate wants to know where the objects are; these data have no boxes"
        )
    if not any(isinstance(module, AttentionModule) for module in model.modules()):
        return {"accuracy": accuracy(model, data, batch_size), "maps": {}}
    model.eval()
    right, maps = [], defaultdict(list)
    for part in torch.arange(len(data)).split(batch_size):
        batch = data[part]
        logits, found = maps_of(model, batch.images)
        right.append(logits.argmax(1) == batch.labels)
        for name, of in found.items():
            maps[name].append(of)
    image = tuple(data.images.shape[2:])
    scores = {
        name: localise(torch.cat(parts), data.boxes, image) for name, parts in maps.items()
    }
    return {
        "accuracy": torch.cat(right).float().mean().item(),
        "maps": {name: asdict(score) for name, score in scores.items()},
    }


def run(arm: str, seed: int, folder: Path, made: dict, steps: int = STEPS) -> dict:
    """Train one of `NETWORKS` and score it on the test split, before and after; "stem" from seed 0 is kept."""
    torch.manual_seed(seed)
    model = NETWORKS[arm]()
    test = cluttered_digits("test", 2_000, seed=1)
    fresh = calibrate(copy.deepcopy(model), cluttered_digits("train", CALIBRATED))
    untrained = evaluate(fresh, test)
    start, worked = time.perf_counter(), time.process_time()
    fit(
        model,
        cluttered_digits(),
        steps=steps,
        batch_size=BATCH,
        learning_rate=LEARNING_RATE,
        seed=seed,
    )
    result = {
        "seconds": round(time.perf_counter() - start, 1),
        "cpu_seconds": round(time.process_time() - worked, 1),
        "parameters": sum(part.numel() for part in model.parameters()),
    }
    result |= evaluate(model, test) | {"untrained": untrained}
    if (arm, seed) == ("stem", 0):
        card = {"network": "StemViT", "arguments": {}, "seed": seed} | made
        zoo.save(model, folder / "vit_digits.safetensors", card | result)
    return result


def main() -> None:
    parser = command(__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="how many")
    parser.add_argument("--steps", type=int, default=STEPS, help="of training")
    add_folder(parser)
    args = parser.parse_args()
    made = {
        "command": as_given("attn_lib.lab.vit_digits"),
        "steps": args.steps,
        "batch_size": BATCH,
        "learning_rate": LEARNING_RATE,
    } | machine()
    collect(
        args.folder / "vit.json",
        made,
        NETWORKS,
        args.seeds,
        lambda arm, seed: run(arm, seed, args.folder, made, args.steps),
    )


if __name__ == "__main__":
    main()
