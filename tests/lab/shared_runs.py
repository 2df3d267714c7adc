"""Short trainings for test_resuming.py, which makes them in one process; torchrun makes them here in several.

torchrun --standalone --nproc-per-node 2 tests/lab/shared_runs.py results.json
"""

import json
import sys
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import nn

from attn_lib import SimpleViT
from attn_lib.data import LocatedImages, cluttered_digits
from attn_lib.lab.networks import HostCNN
from attn_lib.lab.training import fit


def transformer() -> nn.Module:
    return SimpleViT(
        image_size=20,
        patch_size=5,
        num_classes=10,
        dim=16,
        depth=1,
        heads=2,
        mlp_dim=32,
        dim_head=8,
    )


def host() -> nn.Module:
    return HostCNN("self_attention", width=4)


def dropping() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Dropout(0.3), nn.Linear(3 * 20 * 20, 10))


class Noisy:
    """Images that are never twice the same, as with random crops."""

    def __init__(self, images: LocatedImages):
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, indices: torch.Tensor) -> LocatedImages:
        chosen = self.images[indices]
        return LocatedImages(
            chosen.images + 0.1 * torch.rand(chosen.images.shape), chosen.labels
        )


class Killed(Exception):
    """What stops a run in the middle."""


def run(
    make, *, noisy: bool = False, stop: int | None = None, **options
) -> tuple[nn.Module, list]:
    """Train what `make` makes for twelve steps; or raise `Killed` before step `stop`."""
    torch.manual_seed(0)
    model, seen = make(), []

    def watch(model: nn.Module) -> None:
        seen.append(model)
        if len(seen) == stop:
            raise Killed

    if stop:
        options["watch"] = watch
    data = cluttered_digits("train", 100, size=20, fragments=0)
    options = {
        "steps": 12,
        "batch_size": 32,
        "seed": 1,
        "every": 5,
        "progress": False,
    } | options
    return model, fit(model, Noisy(data) if noisy else data, **options)


def resumed(make, checkpoint: Path, **options) -> tuple[nn.Module, list]:
    """The same, stopped after the eighth step and begun again."""
    try:
        run(make, stop=9, checkpoint=checkpoint, **options)
    except Killed:
        return run(make, checkpoint=checkpoint, **options)
    raise AssertionError("nothing stopped the run")


def main() -> None:
    path, accelerator = Path(sys.argv[1]), Accelerator(cpu=True)
    found = {
        make.__name__: run(make, accelerator=accelerator)[1] for make in (transformer, host)
    }
    for name, train in {
        "whole": lambda **options: run(dropping, noisy=True, **options),
        "resumed": lambda **options: resumed(
            dropping, path.with_name("two"), noisy=True, **options
        ),
    }.items():
        model, losses = train(accelerator=accelerator)
        found[name] = [losses, model[-1].weight.tolist()]
    try:
        run(host, accelerator=accelerator, batch_size=31)
    except ValueError as error:
        found["uneven"] = str(error)
    found["processes"] = accelerator.num_processes
    if accelerator.is_main_process:
        path.write_text(json.dumps(found))
    accelerator.end_training()


if __name__ == "__main__":
    main()
