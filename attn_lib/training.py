"""Train a network and score it: what it gets right, and whether its attention lies on the object."""

import platform
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn
from tqdm.auto import tqdm

from .data import LocatedImages, coverage
from .localisation import localise, positional_maps
from .localisation import received as received
from .module import AttentionModule
from .recording import record
from .statistics import interval as interval

STEPS = 1_400  # gamma needs about a thousand to grow


@runtime_checkable
class Data(Protocol):
    """Anything with a length that gives a batch for a tensor of indices."""

    def __len__(self) -> int: ...

    def __getitem__(self, indices: Tensor, /) -> Any: ...


def classify(model: nn.Module, batch: LocatedImages) -> Tensor:
    """Cross-entropy of the labels, smoothed by 0.05."""
    device = next(model.parameters()).device
    images = batch.images.to(device, memory_format=torch.channels_last)
    return F.cross_entropy(model(images), batch.labels.to(device), label_smoothing=0.05)


def fit(
    model: nn.Module,
    data: Data,
    *,
    loss: Callable[[nn.Module, Any], Tensor] = classify,
    steps: int = STEPS,
    batch_size: int = 128,
    learning_rate: float = 3e-3,
    seed: int = 0,
    progress: bool = True,
    watch: Callable[[nn.Module], float] | None = None,
) -> list[float]:
    """Train `model`: AdamW, one cosine from `learning_rate` to 0.

    Args:
        data: such as `LocatedImages`.
        loss: of the model on a batch of the data; without it, cross-entropy of the labels.
        steps: optimiser steps; never a time, so that a slow machine trains the same network.
        seed: of the order of the images.
        progress: whether to show a bar.
        watch: called with the model before each step; what it returns is collected.

    Returns:
        what `watch` returned, or the loss, for each step.

    Raises:
        ValueError: fewer images than one batch.
    """
    if len(data) < batch_size:
        raise ValueError(
            f"fit wants at least one batch of {batch_size} images; got {len(data)}"
        )
    model.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    generator = torch.Generator().manual_seed(seed)
    trace: list[float] = []
    order: Iterator[Tensor] = iter(())
    for _ in tqdm(range(steps), desc="training", leave=False, disable=not progress):
        indices = next(order, None)
        if indices is None or len(indices) < batch_size:
            order = iter(torch.randperm(len(data), generator=generator).split(batch_size))
            indices = next(order)
        seen = watch(model) if watch else None
        value = loss(model, data[indices])
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        schedule.step()
        trace.append(value.item() if seen is None else seen)
    model.eval()
    return trace


def evaluate(model: nn.Module, data: LocatedImages, batch_size: int = 500) -> dict[str, Any]:
    """Accuracy and, where the boxes are known and the network has a map over positions, localisation.

    Args:
        model: whose `features` lay the grid of the maps.
        data: to score it on.
        batch_size: how many images at once.

    Returns:
        `accuracy`, and the localisation of each of `positional_maps`.
    """
    if data.boxes is None or not any(isinstance(m, AttentionModule) for m in model.modules()):
        return {"accuracy": accuracy(model, data, batch_size)}
    right, maps = look(model, data, batch_size)
    image = tuple(data.images.shape[2:])
    scores = {name: asdict(localise(of, data.boxes, image)) for name, of in maps.items()}
    return {"accuracy": right.float().mean().item()} | scores


@torch.no_grad()
def accuracy(model: nn.Module, data: LocatedImages, batch_size: int = 500) -> float:
    """The share of right answers."""
    device = next(model.parameters()).device
    model.eval()
    batches = zip(data.images.split(batch_size), data.labels.split(batch_size), strict=True)
    right = [model(images.to(device)).argmax(1).cpu() == labels for images, labels in batches]
    return torch.cat(right).float().mean().item()


@torch.no_grad()
def look(
    model: nn.Module, data: LocatedImages, batch_size: int = 500
) -> tuple[Bool[Tensor, " b"], dict[str, Float[Tensor, "b h w"]]]:
    """Which answers are right, and the network's `positional_maps` of every image.

    Raises:
        ValueError: the model has no attention, or the data no boxes.
    """
    if data.boxes is None:
        raise ValueError("look wants to know where the objects are; these data have no boxes")
    device = next(model.parameters()).device
    features = model.eval().get_submodule("features")(data.images[:1].to(device))
    inside = coverage(data.boxes, tuple(features.shape[2:]), tuple(data.images.shape[2:]))
    right, maps = [], defaultdict(list)
    for part in torch.arange(len(data)).split(batch_size):
        batch = data[part]
        with record(model) as recorded:
            logits = model(batch.images.to(device))
        right.append(logits.argmax(1).cpu() == batch.labels)
        on_cpu = {name: weights.cpu() for name, weights in recorded.items()}
        for name, found in positional_maps(on_cpu, inside[part]).items():
            maps[name].append(found)
    return torch.cat(right), {name: torch.cat(found) for name, found in maps.items()}


def machine() -> dict[str, str]:
    """Where and with what a result was made."""
    device = (
        torch.cuda.get_device_name()
        if torch.cuda.is_available()
        else f"{torch.get_num_threads()} CPU threads"
    )
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "machine": f"{platform.machine()}, {device}",
    }
