"""What networks are compared on: data, how long to train, and what to measure besides accuracy.

Steps and the tasks' difficulty were chosen with seed 0 on the validation split.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ..data import LocatedImages, cluttered_digits, cued_digits, paired_digits, sized_digits
from ..recording import record
from .scoring import accuracy

TRAIN, TEST = 12_000, 2_000
CLUTTER = (0, 6, 12, 18, 24)
SIDES = (10, 16, 22, 28, 34)


@dataclass(frozen=True)
class Task:
    """One question for all networks.

    Attributes:
        data: the images of a split.
        classes: how many answers there are.
        steps: of training, in batches of 64.
        measure: of a trained network, besides what `evaluate` gives.
        keep: whether the networks of seed 0 are worth a checkpoint.
    """

    data: Callable[[str], LocatedImages]
    classes: int = 10
    steps: int = 700
    measure: Callable[[nn.Module], dict[str, Any]] = lambda model: {}
    keep: bool = False


def _digits(make: Callable[..., LocatedImages]) -> Callable[[str], LocatedImages]:
    return lambda split: make("train", TRAIN) if split == "train" else make(split, TEST, seed=1)


def growing_clutter(model: nn.Module) -> dict[str, Any]:
    """Where: accuracy on cluttered digits as the clutter grows; training saw six fragments.

    Returns:
        `clutter`, by the number of fragments.
    """
    data = {n: cluttered_digits("test", TEST, seed=1, fragments=n) for n in CLUTTER}
    return {"clutter": {str(n): accuracy(model, images) for n, images in data.items()}}


@torch.no_grad()
def growing_target(model: nn.Module) -> dict[str, Any]:
    """Scale: accuracy on the same digits as they grow and, of selective kernels, the large one's share.

    Returns:
        `sides`, by the digit's side in pixels; `large_share` alike, averaged over channels and images, where
        branches have shares. Source: the paper's figure 3, on ImageNet.
    """
    scores, shares = {}, {}
    for side in SIDES:
        data = sized_digits("test", 1_000, seed=1, side=side)
        scores[str(side)] = accuracy(model, data)
        if hasattr(model.slot, "branches"):
            with record(model) as recorded:
                model(data.images)
            shares[str(side)] = recorded["slot"][:, -1].mean().item()
    return {"sides": scores} | ({"large_share": shares} if shares else {})


TASKS: dict[str, Task] = {
    "digits": Task(_digits(cluttered_digits), steps=1_000, measure=growing_clutter, keep=True),
    "what": Task(_digits(cued_digits)),
    "scale": Task(_digits(sized_digits), steps=600, measure=growing_target),
    "long_range": Task(_digits(paired_digits), classes=2, steps=600),
}
