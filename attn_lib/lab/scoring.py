"""Score a network: what it gets right, and whether its attention lies on the object."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from ..data import LocatedImages
from ..instruments.localisation import coverage, localise, positional_maps
from ..instruments.recording import record
from ..module import AttentionModule
from .processes import Data, batched, loaded


def evaluate(
    model: nn.Module,
    data: Data | Dataset | DataLoader | Sequence,
    batch_size: int = 500,
    layer: str = "features",
) -> dict[str, Any]:
    """Accuracy and, where the boxes are known and the network has a map over positions, localisation.

    Args:
        model: gives a score for each class.
        data: to score it on, as for `fit`; those that know boxes are `LocatedImages`.
        batch_size: how many images at once.
        layer: the dotted name of the layer whose output (b, c, h, w) lies on the grid of the maps.

    Returns:
        `accuracy`, and the localisation of each of `positional_maps`.

    Raises:
        ValueError: as for `look`.
    """
    data = batched(data)
    attends = any(isinstance(module, AttentionModule) for module in model.modules())
    if not attends or not isinstance(data, LocatedImages) or data.boxes is None:
        return {"accuracy": accuracy(model, data, batch_size)}
    right, maps = look(model, data, batch_size, layer)
    image = tuple(data.images.shape[2:])
    scores = {name: asdict(localise(of, data.boxes, image)) for name, of in maps.items()}
    return {"accuracy": right.float().mean().item()} | scores


@torch.no_grad()
def accuracy(
    model: nn.Module,
    data: Data | Dataset | DataLoader | Sequence,
    batch_size: int = 500,
    workers: int = 0,
) -> float:
    """The share of right answers.

    Args:
        model: gives a score for each class.
        data: images and labels, as for `fit`.
        batch_size: how many images at once.
        workers: processes that read the data ahead.
    """
    device, data = next(model.parameters()).device, batched(data)
    model.eval()
    parts = torch.arange(len(data)).split(batch_size)
    right = [
        model(batch.images.to(device)).argmax(1).cpu() == batch.labels
        for batch in loaded(data, parts, workers)
    ]
    return torch.cat(right).float().mean().item()


@torch.no_grad()
def calibrate(
    model: nn.Module, data: Data | Dataset | Sequence, part: nn.Module | None = None
) -> nn.Module:
    """Give batch normalisation the statistics of the features that it meets, and return the model, in evaluation mode.

    A fresh network has those of no image, a mean of 0 and a variance of 1, under which its features all but
    vanish. Training never meets such features: it normalises by the batch from the first step on. So an untrained
    network is compared with a trained one as training found it. No weight changes.

    Args:
        model: as it starts.
        data: images of the training, as for `fit`; 128 at a time.
        part: of the model, where only its layers shall be calibrated; None takes all.
    """
    kind = nn.modules.batchnorm._BatchNorm
    norms = [layer for layer in (part or model).modules() if isinstance(layer, kind)]
    model.eval()
    if not norms:
        return model
    usual = [norm.momentum for norm in norms]
    for norm in norms:
        norm.train().reset_running_stats()
        norm.momentum = None  # of all batches alike
    device, data = next(model.parameters()).device, batched(data)
    try:
        for some in torch.arange(len(data)).split(128):
            model(data[some].images.to(device))
    finally:
        for norm, momentum in zip(norms, usual, strict=True):
            norm.momentum = momentum
        model.eval()
    return model


@torch.no_grad()
def look(
    model: nn.Module, data: LocatedImages, batch_size: int = 500, layer: str = "features"
) -> tuple[Bool[Tensor, " b"], dict[str, Float[Tensor, "b h w"]]]:
    """Which answers are right, and the network's `positional_maps` of every image.

    Args:
        model: gives a score for each class.
        data: that know where the objects are.
        batch_size: how many images at once.
        layer: the dotted name of the layer whose output (b, c, h, w) lies on the grid of the maps.

    Raises:
        ValueError: the model has no attention or no such layer, or the data no boxes.
    """
    if data.boxes is None:
        raise ValueError("look wants to know where the objects are; these data have no boxes")
    device = next(model.parameters()).device
    grid = _grid(model.eval(), layer, data.images[:1].to(device))
    inside = coverage(data.boxes, grid, tuple(data.images.shape[2:]))
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


def _grid(model: nn.Module, layer: str, image: Tensor) -> tuple[int, ...]:
    """Rows and columns of what a layer gives for an image, in a run of the model."""
    names = [name for name, _ in model.named_modules() if name]
    if layer not in names:
        some = ", ".join(name for name in names if "." not in name)
        raise ValueError(
            f"{type(model).__name__} has no layer {layer!r}: say evaluate(…, layer=…) whose output lies on the "
            f"grid of the maps; there are {some}, and what is in them"
        )
    given: list[Any] = []
    handle = model.get_submodule(layer).register_forward_hook(
        lambda *call: given.append(call[2])
    )
    try:
        model(image)
    finally:
        handle.remove()
    shapes = [tuple(x.shape) for x in given if isinstance(x, Tensor)]
    if not shapes or len(shapes[-1]) != 4:
        raise ValueError(
            f"the layer whose output lies on the maps' grid gives (b, c, h, w); {layer!r} gave {shapes}"
        )
    return shapes[-1][2:]
