"""Fit a network to data."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm.auto import tqdm

from ..data import LocatedImages

STEPS = 1_400  # gamma needs about a thousand to grow


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
