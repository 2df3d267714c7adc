"""How often a network is right, and whether its maps lie on the object."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from ..data import LocatedImages, coverage
from ..module import AttentionModule
from ..recording import record


@dataclass(frozen=True)
class Localisation:
    """How much of a map lies inside the objects' boxes.

    Attributes:
        mass: share of the map inside the box, averaged over images. A uniform map scores `area`.
        area: share of the image that the box covers.
        hit: share of images whose highest cell has its centre inside the box (the pointing game: Zhang
            et al., "Top-down Neural Attention by Excitation Backprop", ECCV 2016, section 4). Cells that
            are highest together share the point.
        correlation: Pearson's, over the cells of an image, of the map and the share of each cell in the
            box, averaged over images; below 0 the map is darker on the object. 0 for a uniform map.
    """

    mass: float
    area: float
    hit: float
    correlation: float


def localise(
    maps: Float[Tensor, "b h w"], boxes: Int[Tensor, "b 4"], image: tuple[int, ...]
) -> Localisation:
    """Score maps of non-negative weights against the boxes of the objects. A map of zeros has no mass."""
    h, w = maps.shape[1:]
    total = maps.sum((1, 2), keepdim=True)
    maps = maps / total.where(total > 0, 1)
    inside = coverage(boxes, (h, w), image)
    x = (torch.arange(w) + 0.5) * image[1] / w
    y = (torch.arange(h)[:, None] + 0.5) * image[0] / h
    left, top, right, bottom = boxes[:, :, None, None].unbind(1)
    centres = (left <= x) & (x < right) & (top <= y) & (y < bottom)
    peaks = maps == maps.amax((1, 2), keepdim=True)
    hit = (peaks & centres).sum((1, 2)) / peaks.sum((1, 2))
    return Localisation(
        mass=(maps * inside).sum((1, 2)).mean().item(),
        area=inside.mean().item(),
        hit=hit.mean().item(),
        correlation=_correlation(maps.flatten(1), inside.flatten(1)).mean().item(),
    )


def _correlation(x: Float[Tensor, "b n"], y: Float[Tensor, "b n"]) -> Float[Tensor, " b"]:
    x, y = (part - part.mean(1, keepdim=True) for part in (x, y))
    scale = x.norm(dim=1) * y.norm(dim=1)
    return (x * y).sum(1) / scale.where(scale > 1e-7, torch.inf)


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


def positional_maps(
    recorded: dict[str, Tensor], inside: Float[Tensor, "b h w"]
) -> dict[str, Float[Tensor, "b h w"]]:
    """The maps over positions among those recorded, as non-negative weights (b, h, w).

    Args:
        recorded: by `record`, of a network with one attention.
        inside: how much of each cell lies in the object's box.

    Returns:
        for a relation `received`, where all positions look, and `from_object`, where those in the box look;
        for a gate over positions `gate`; for pooling `pooled`. Nothing where there is none: channels and
        kernels have no place. A dot product's scores may be negative; then their size counts.
    """
    b, h, w = inside.shape
    found = {}
    for weights in recorded.values():
        if weights.shape == (b, h * w, h * w):
            found["received"] = received(weights.abs(), torch.ones_like(inside))
            found["from_object"] = received(weights.abs(), inside)
        elif weights.shape == (b, 1, h, w):
            found["gate"] = weights.squeeze(1)
        elif weights.shape == (b, h, w):
            found["pooled"] = weights
    return found


@torch.no_grad()
def evaluate(model: nn.Module, data: LocatedImages, batch_size: int = 500) -> dict[str, Any]:
    """Accuracy and, where the boxes are known and the network has a map over positions, localisation.

    Args:
        model: whose `features` lay the grid of the maps.

    Returns:
        `accuracy`, and the localisation of each of `positional_maps`.
    """
    model.eval()
    if data.boxes is None or not any(isinstance(m, AttentionModule) for m in model.modules()):
        return {"accuracy": accuracy(model, data, batch_size)}
    device, image = next(model.parameters()).device, tuple(data.images.shape[2:])
    grid = tuple(model.get_submodule("features")(data.images[:1].to(device)).shape[2:])
    correct, maps = [], defaultdict(list)
    for batch in _batches(data, batch_size):
        with record(model) as recorded:
            logits = model(batch.images.to(device))
        correct.append(logits.argmax(1).cpu() == batch.labels)
        on_cpu = {name: weights.cpu() for name, weights in recorded.items()}
        inside = coverage(batch.boxes, grid, image)
        for name, found in positional_maps(on_cpu, inside).items():
            maps[name].append(found)
    localised = {
        name: asdict(localise(torch.cat(found), data.boxes, image))
        for name, found in maps.items()
    }
    return {"accuracy": torch.cat(correct).float().mean().item()} | localised


@torch.no_grad()
def accuracy(model: nn.Module, data: LocatedImages, batch_size: int = 500) -> float:
    """The share of right answers."""
    model.eval()
    device = next(model.parameters()).device
    right = [
        model(batch.images.to(device)).argmax(1).cpu() == batch.labels
        for batch in _batches(data, batch_size)
    ]
    return torch.cat(right).float().mean().item()


def _batches(data: LocatedImages, size: int) -> Iterator[LocatedImages]:
    return (data[part] for part in torch.arange(len(data)).split(size))
