"""Patches against stem, for longer and with more scenes: what the two have learned as they learn it.

    python -m attn_lib.lab.vit_curves

makes evidence/vit_curves.json: accuracy on training and on test images, over four times the steps of `vit_digits`.
"""

from typing import Any

import torch
from torch import nn

from ..data import cluttered_digits
from .commands import add_folder, as_given, command
from .runs import collect, machine
from .scoring import accuracy
from .training import fit
from .vit_digits import BATCH, LEARNING_RATE, NETWORKS, STEPS

# Of each of the two, the scenes that it is trained on.
ARMS = {
    f"{network}, {scenes:,}": (network, scenes)
    for scenes in (12_000, 48_000)
    for network in ("patches", "stem")
}
LONGER, POINTS = 4 * STEPS, 14


def run(arm: str, seed: int, steps: int = LONGER, points: int = POINTS) -> dict[str, Any]:
    """Train one of `ARMS` and look at it as often as `points` says, at the end too.

    Returns:
        `steps`, and the accuracy there on 2,000 images of the training (`train`) and of the test (`test`).
    """
    network, scenes = ARMS[arm]
    torch.manual_seed(seed)
    model = NETWORKS[network]()
    train, test = (
        cluttered_digits("train", scenes),
        cluttered_digits("test", 2_000, seed=1),
    )
    data = {"train": train[torch.arange(2_000)], "test": test}
    curve: dict[str, list] = {"steps": [], "train": [], "test": []}
    step, every = 0, steps // points

    def look(model: nn.Module) -> float:
        nonlocal step
        if step % every == 0:
            curve["steps"].append(step)
            for name, images in data.items():
                curve[name].append(accuracy(model, images))
            model.train()
        step += 1
        return 0.0

    fit(
        model,
        train,
        steps=steps,
        batch_size=BATCH,
        learning_rate=LEARNING_RATE,
        seed=seed,
        watch=look,
        progress=False,
    )
    look(model)
    return curve


def main() -> None:
    parser = command(__doc__)
    parser.add_argument("--seeds", type=int, default=1, help="how many")
    parser.add_argument("--steps", type=int, default=LONGER, help="of training")
    add_folder(parser)
    args = parser.parse_args()
    made = {
        "command": as_given("attn_lib.lab.vit_curves"),
        "steps": args.steps,
        "batch_size": BATCH,
        "learning_rate": LEARNING_RATE,
    } | machine()
    path = args.folder / "vit_curves.json"
    collect(path, made, ARMS, args.seeds, lambda arm, seed: run(arm, seed, args.steps))


if __name__ == "__main__":
    main()
