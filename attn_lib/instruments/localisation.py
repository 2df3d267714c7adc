"""Does a map lie on the object?"""

from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor


def coverage(
    boxes: Int[Tensor, "b 4"], grid: tuple[int, ...], image: tuple[int, ...]
) -> Float[Tensor, "b h w"]:
    """The share of each cell of a grid that lies inside a box of pixels.

    Args:
        boxes: left, top, right, bottom.
        grid: rows and columns of cells over the image.
        image: its height and width in pixels.

    Raises:
        ValueError: the image has fewer pixels than the grid has cells.
    """
    if image[0] < grid[0] or image[1] < grid[1]:
        raise ValueError(f"a grid of {grid} cells does not fit an image of {image} pixels")

    def along(start: Tensor, stop: Tensor, cells: int, pixels: int) -> Tensor:
        edges = torch.arange(cells + 1, device=boxes.device) * (pixels / cells)
        inside = edges[1:].minimum(stop[:, None]) - edges[:-1].maximum(start[:, None])
        return inside.clamp(min=0) * cells / pixels

    left, top, right, bottom = boxes.unbind(1)
    rows, columns = along(top, bottom, grid[0], image[0]), along(left, right, grid[1], image[1])
    return rows[:, :, None] * columns[:, None, :]


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
        for a gate over positions `gate`; for attention as a readout `pooling`. Nothing where there is none: channels and
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
            found["pooling"] = weights
    return found
