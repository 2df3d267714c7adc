"""The image under maps, out of what a network was given."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from .relations import Grid

LONGEST = 512  # pixels of the longer side
IMAGENET = "((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))"


def background(
    image: Tensor, index: int, normalised: tuple[Sequence[float], Sequence[float]] | None
) -> Float[Tensor, "3 h w"]:
    """One image in colour, values in [0, 1].

    Args:
        image: as for `show_maps`.
        index: which of the batch.
        normalised: the mean and the standard deviation of its channels, to be undone.

    Raises:
        ValueError: it is no such image, with what to do about it.
    """
    got = f"{image.dtype} of shape {tuple(image.shape)}"
    if not image.is_floating_point():
        raise ValueError(f"an image has floats from 0 to 1; got {got}: give image / 255")
    if image.ndim == 4 and 0 <= index < len(image):
        image = image[index]
    if image.ndim != 3 or image.shape[0] not in (1, 3):
        turned = image.ndim == 3 and image.shape[-1] in (1, 3)
        advice = (
            "give image.permute(2, 0, 1)" if turned else f"index={index} is to be in the batch"
        )
        raise ValueError(
            f"an image (3, h, w) or a batch (b, 3, h, w) is wanted; got {got}: {advice}"
        )
    image = image.detach().float().cpu()
    if normalised is not None:
        mean, std = (
            torch.tensor(each, dtype=torch.float32)[:, None, None] for each in normalised
        )
        image = (image * std + mean).clamp(0, 1)
    low, high = image.min().item(), image.max().item()
    if not 0 <= low <= high <= 1:
        raise ValueError(
            f"an image has values in [0, 1]; got {low:.3g} to {high:.3g}. One that was normalised for a network "
            f"wants normalised=(mean, std), of ImageNet {IMAGENET}; one from 0 to 255 wants image / 255"
        )
    return image.expand(3, -1, -1)


def fitted(image: Float[Tensor, "3 _h _w"], grid: Grid) -> Float[Tensor, "3 h w"]:
    """The image with at most `LONGEST` pixels a side, and no fewer than the grid has cells."""
    h, w = image.shape[1:]
    scale = min(1.0, LONGEST / max(h, w))
    size = max(round(h * scale), grid[0]), max(round(w * scale), grid[1])
    if size == (h, w):
        return image
    return interpolate(image[None], size, mode="bilinear", antialias=True)[0].clamp(0, 1)
