"""Train a network, score it, and ask whether its attention lies on the object.

python -m attn_lib.training checkpoint self_attention     makes weights/host_self_attention.*
python -m attn_lib.training compare self_attention none   makes weights/compare.json, five seeds each
"""

import argparse
import json
import platform
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import scipy.stats
import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn
from tqdm.auto import tqdm

from . import zoo
from .data import LocatedImages, cluttered_digits, coverage
from .networks import HostCNN
from .recording import record

STEPS = (
    1_400  # 15 passes over 12,000 images in batches of 128: gamma needs about that long to grow
)


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
    for _ in tqdm(range(steps), desc="training", disable=not progress):
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


@dataclass(frozen=True)
class Localisation:
    """How much of a map lies inside the objects' boxes.

    Attributes:
        mass: share of the map inside the box, averaged over images. A uniform map scores `area`.
        area: share of the image that the box covers.
        hit: share of images whose highest cell has its centre inside the box (the pointing game: Zhang
            et al., "Top-down Neural Attention by Excitation Backprop", ECCV 2016, section 4).
    """

    mass: float
    area: float
    hit: float


def localise(
    maps: Float[Tensor, "b h w"], boxes: Int[Tensor, "b 4"], image: tuple[int, ...]
) -> Localisation:
    """Score maps of non-negative weights against the boxes of the objects."""
    h, w = maps.shape[1:]
    maps = maps / maps.sum((1, 2), keepdim=True)
    inside = coverage(boxes, (h, w), image)
    peak = maps.flatten(1).argmax(1)
    x = (peak % w + 0.5) * image[1] / w
    y = (peak // w + 0.5) * image[0] / h
    left, top, right, bottom = boxes.unbind(1)
    hit = (left <= x) & (x < right) & (top <= y) & (y < bottom)
    return Localisation(
        mass=(maps * inside).sum((1, 2)).mean().item(),
        area=inside.mean().item(),
        hit=hit.float().mean().item(),
    )


def received(
    weights: Float[Tensor, "b n n"], queries: Float[Tensor, "b h w"]
) -> Float[Tensor, "b h w"]:
    """Where the queries look: the rows of a relation, averaged.

    Args:
        weights: a row for each query.
        queries: how much each query counts.

    Raises:
        ValueError: there are not as many queries as rows, or not as many keys as queries.
    """
    b, h, w = queries.shape
    if weights.shape != (b, h * w, h * w):
        raise ValueError(
            f"queries of shape {(b, h, w)} want weights of shape {(b, h * w, h * w)}; got {tuple(weights.shape)}"
        )
    share = rearrange(queries / queries.sum((1, 2), keepdim=True), "b h w -> b 1 (h w)")
    return rearrange(share @ weights, "b 1 (h w) -> b h w", h=h)


@torch.no_grad()
def evaluate(model: nn.Module, data: LocatedImages, batch_size: int = 500) -> dict[str, float]:
    """Accuracy and, where the model's slot relates positions, localisation.

    `received` is the localisation of the attention that all positions pay; `from_object` that of the
    queries inside the object's box alone, each weighed by the share of its cell inside.
    """
    model.eval()
    device = next(model.parameters()).device
    correct, maps = [], []
    has_map = not isinstance(model.slot, nn.Identity)
    for images, labels in zip(
        data.images.split(batch_size), data.labels.split(batch_size), strict=True
    ):
        if has_map:
            with record(model) as recorded:
                logits = model(images.to(device))
            maps.append(recorded["slot"].cpu())
        else:
            logits = model(images.to(device))
        correct.append(logits.argmax(1).cpu() == labels)
    scores: dict[str, Any] = {"accuracy": torch.cat(correct).float().mean().item()}
    if has_map:
        weights, image = torch.cat(maps), tuple(data.images.shape[2:])
        features = model.get_submodule("features")(data.images[:1].to(device))
        inside = coverage(data.boxes, tuple(features.shape[2:]), image)
        for name, queries in {
            "received": torch.ones_like(inside),
            "from_object": inside,
        }.items():
            scores[name] = asdict(localise(received(weights, queries), data.boxes, image))
    return scores


def run(slot: str, seed: int, steps: int = STEPS) -> tuple[HostCNN, dict]:
    """Train the host with `slot` from `seed` and score it on the test split, before and after.

    Returns:
        the network, and what it scored and how long it took.
    """
    torch.manual_seed(seed)
    model = HostCNN(slot)
    test = cluttered_digits("test", 2_000, seed=1)
    untrained = evaluate(model, test)
    start = time.perf_counter()
    gamma = fit(
        model,
        cluttered_digits(),
        steps=steps,
        seed=seed,
        watch=_gamma if slot == "self_attention" else None,
    )
    seconds = round(time.perf_counter() - start, 1)
    result = {"slot": slot, "seed": seed, "steps": steps, "seconds": seconds} | evaluate(
        model, test
    )
    result["untrained"] = untrained
    if slot == "self_attention":
        result["gamma"] = {"every": 10, "values": [round(value, 5) for value in gamma[::10]]}
    return model, result


def _gamma(model: nn.Module) -> float:
    return model.get_parameter("slot.gamma").item()


def interval(values: list[float]) -> tuple[float, float]:
    """The mean over seeds and the half-width of its 95 % confidence interval (Student's t)."""
    mean, error = float(np.mean(values)), scipy.stats.sem(values)
    return mean, float(error * scipy.stats.t.ppf(0.975, len(values) - 1))


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("task", choices=("checkpoint", "compare"))
    parser.add_argument("slots", nargs="+")
    parser.add_argument("--seeds", type=int, default=5, help="compare: how many")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--folder", type=Path, default=zoo.WEIGHTS, help="where the results go")
    args = parser.parse_args()
    command = shlex.join(["python", "-m", "attn_lib.training", *sys.argv[1:]])
    if args.task == "checkpoint":
        for slot in args.slots:
            model, result = run(slot, seed=0, steps=args.steps)
            card = {"network": "HostCNN", "arguments": {"slot": slot}, "command": command}
            zoo.save(model, args.folder / f"host_{slot}.safetensors", card | machine() | result)
    else:
        runs = [
            run(slot, seed, args.steps)[1] for seed in range(args.seeds) for slot in args.slots
        ]
        result = {"command": command} | machine() | {"runs": runs}
        (args.folder / "compare.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
