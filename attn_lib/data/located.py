"""Labelled images that know where their objects are."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class LocatedImages:
    """Images that know what is in them and where it is.

    Attributes:
        images: (b, 3, h, w), values in [0, 1].
        labels: (b,), the class of each image's object.
        boxes: (b, 4), the object's left, top, right and bottom in pixels; right and bottom are outside.
            None where nobody knows, or where no one object decides.
    """

    images: Float[Tensor, "b 3 h w"]
    labels: Int[Tensor, " b"]
    boxes: Int[Tensor, "b 4"] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, chosen: Tensor | slice) -> "LocatedImages":
        """Some of the images."""
        boxes = None if self.boxes is None else self.boxes[chosen]
        return LocatedImages(self.images[chosen], self.labels[chosen], boxes)


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
