"""Train a network."""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm.auto import tqdm

from ..data import LocatedImages
from .checkpoint import Checkpoint
from .processes import WANTED, Alone, Data, Shares, batched, loaded, shuffled

BATCH = 128
STEPS = 1_400  # gamma needs about a thousand to grow


def classify(model: nn.Module, batch: LocatedImages, smoothing: float = 0.05) -> Tensor:
    """Cross-entropy of the labels, smoothed: so much of each goes to all classes alike.

    Raises:
        ValueError: the batch has no images and labels.
    """
    if not (hasattr(batch, "images") and hasattr(batch, "labels")):
        raise ValueError(f"{WANTED}; got batches of {type(batch).__name__}")
    device = next(model.parameters()).device
    images = batch.images.to(device, memory_format=torch.channels_last)
    return F.cross_entropy(model(images), batch.labels.to(device), label_smoothing=smoothing)


def adamw(
    model: nn.Module, learning_rate: float, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """AdamW with a weight decay of 0.01, and one cosine from `learning_rate` to 0."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=1e-2)
    return optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)


def fit(
    model: nn.Module,
    data: Data | Dataset | DataLoader | Sequence,
    *,
    loss: Callable[[nn.Module, Any], Tensor] = classify,
    optimise: Callable[[nn.Module, float, int], tuple] = adamw,
    steps: int = STEPS,
    batch_size: int | None = None,
    learning_rate: float = 3e-3,
    seed: int = 0,
    workers: int = 0,
    progress: bool = True,
    watch: Callable[[nn.Module], float] | None = None,
    accelerator: Accelerator | None = None,
    checkpoint: str | Path | None = None,
    every: int = 500,
) -> list[float]:
    """Train `model`, in this process where it lies, or wherever an `Accelerator` says.

    A script that passes `accelerator=Accelerator()` runs as it is with `python` on one CPU or GPU, with
    `torchrun` on many, and with `accelerate launch` on many GPUs. Each process then takes its share of every batch, and the
    gradients are averaged: the same steps as with one process, but for what looks at several images at once.
    Batch normalisation is that. Its statistics are those of each share, and the running ones the first
    process's; on GPUs, `torch.nn.SyncBatchNorm.convert_sync_batchnorm(model)` makes them those of the
    batch. A network without it, such as `SimpleViT`, trains alike however many processes there are.

    Args:
        model: it is trained in place, and afterwards lies where it was trained.
        data: `LocatedImages`, `attn_lib.data.folder(path)`, a Dataset (a TensorDataset, torchvision's) or list of
            (image, label) pairs; or, with a loss of your own, anything with a length that gives a batch for a
            tensor of indices. Of a DataLoader its dataset, batch size and workers are taken; the order is `seed`'s.
        loss: of the model on a batch of the data, averaged over its images; without it, cross-entropy of the
            labels. With many processes, it may only call the model, which is wrapped, and a parameter
            without a gradient stops the run.
        optimise: gives the optimiser and the schedule of its rate, of the model, `learning_rate` and `steps`.
        steps: optimiser steps; never a time, so that a slow machine trains the same network.
        batch_size: images a step, of all processes together. None takes 128, or a DataLoader's own; where
            there are fewer images, all of them, with a warning.
        learning_rate: at its highest.
        seed: of the order of the images, and of what the data draw at random.
        workers: processes that read the data ahead, for each process that trains.
        progress: whether to show a bar; of many processes, the first shows it.
        watch: called with the model before each step; what it returns is collected.
        accelerator: where, in how many processes and in what precision to train; its memory is freed at the end.
        checkpoint: a file. Where it exists, the run goes on from it, and ends with the same numbers as one
            that was never stopped. A finished run goes on if it is asked for more steps and its rate does
            not depend on how many (stairs do not; the default, one cosine, does).
        every: how many steps lie between two checkpoints; the last step always is one.

    Returns:
        what `watch` returned, or the loss of the whole batch, for each step.

    Raises:
        ValueError: data of another kind (the message says which), fewer images than one batch, a batch that the processes cannot share evenly, `every` below
            1, or a checkpoint that is damaged or of a run with other settings.
    """
    run = accelerator or Alone()
    if isinstance(data, DataLoader):
        batch_size, workers = batch_size or data.batch_size, workers or data.num_workers
    data = batched(data)
    batch_size = batch_size or _usual_batch(len(data), run.num_processes)
    if len(data) < batch_size:
        raise ValueError(
            f"fit wants at least one batch of {batch_size} images; got {len(data)}"
        )
    if batch_size % run.num_processes or every < 1:
        raise ValueError(
            "fit wants a batch size that its processes share evenly and every >= 1; got "
            f"{batch_size=}, {run.num_processes} processes, {every=}"
        )
    model.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer, schedule = optimise(model, learning_rate, steps)
    wrapped, optimizer = run.prepare(model, optimizer)
    kept = Checkpoint(
        checkpoint,
        run,
        {"model": model, "optimizer": optimizer, "schedule": schedule},
        steps=steps,
        batch_size=batch_size,
        learning_rate=learning_rate,
        seed=seed,
        images=len(data),
    )
    trace = kept.resume()
    shares = Shares(data, seed, run.process_index, run.num_processes)
    batches = loaded(shares, shuffled(len(data), batch_size, seed, len(trace), steps), workers)
    hidden = not (progress and run.is_main_process)
    bar = tqdm(batches, "training", steps, initial=len(trace), leave=False, disable=hidden)
    try:
        for batch in bar:
            seen = watch(model) if watch else None
            value = loss(wrapped, batch)
            optimizer.zero_grad()
            run.backward(value)
            optimizer.step()
            schedule.step()
            whole = run.reduce(value.detach(), "mean").item() if seen is None else seen
            trace.append(whole)
            if len(trace) % every == 0 or len(trace) == steps:
                kept.save(trace)
    finally:
        run.unwrap_model(wrapped, keep_fp32_wrapper=False)
        run.free_memory()
    model.eval()
    return trace


def _usual_batch(images: int, processes: int) -> int:
    """How many images a step has where nobody says so: `BATCH`, or as many as there are."""
    if images >= BATCH:
        return BATCH
    size = max(images - images % processes, 1)
    warnings.warn(
        f"there are {images} images: fit takes {size} a step, not {BATCH}", stacklevel=3
    )
    return size
