"""Photographs and labelled images that need no download: they come inside scikit-image and scikit-learn.

photographs        CC0 or public domain (scikit-image), CC BY 2.0 (scikit-learn); see `PHOTOGRAPHS`
cluttered digits   1,797 handwritten digits of 8×8 pixels (`sklearn.datasets.load_digits`, BSD; UCI
                   Optical Recognition of Handwritten Digits, CC BY 4.0), placed on canvases here
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import skimage.data
import sklearn.datasets
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

PHOTOGRAPHS = {
    "astronaut": "Eileen Collins, NASA; public domain; scikit-image",
    "cat": "Chelsea, by Stéfan van der Walt; CC0; scikit-image",
    "coffee": "by Rachel Michetti; CC0; scikit-image",
    "rocket": "Falcon 9 launch, by SpaceX; CC0; scikit-image",
    "china": "by Dan (danperry.com), CC BY 2.0; scikit-learn",
    "flower": "by dany13, CC BY 2.0; scikit-learn",
}


def photograph(name: str, size: int | None = None) -> Float[Tensor, "3 h w"]:
    """A colour photograph with values in [0, 1].

    Args:
        name: one of `PHOTOGRAPHS`, which also credits the photographer.
        size: pixels of a side; cuts the central square and resizes it. None leaves the picture whole.

    Raises:
        ValueError: the name is unknown, or the size is not positive.
    """
    if name not in PHOTOGRAPHS:
        raise ValueError(f"no photograph {name!r}; there are {', '.join(PHOTOGRAPHS)}")
    if size is not None and size < 1:
        raise ValueError(f"a photograph needs a size of at least 1 pixel; got {size}")
    if name in ("china", "flower"):
        pixels = sklearn.datasets.load_sample_image(f"{name}.jpg")
    else:
        pixels = getattr(skimage.data, "chelsea" if name == "cat" else name)()
    image = torch.from_numpy(np.array(pixels)).permute(2, 0, 1) / 255
    return image if size is None else _square(image, size)


def _square(image: Tensor, size: int) -> Tensor:
    h, w = image.shape[1:]
    side = min(h, w)
    top, left = (h - side) // 2, (w - side) // 2
    square = image[None, :, top : top + side, left : left + side]
    return F.interpolate(square, (size, size), mode="bilinear", antialias=True)[0].clamp(0, 1)


@dataclass(frozen=True)
class LocatedImages:
    """Images that know what is in them and where it is.

    Attributes:
        images: (b, 3, h, w), values in [0, 1].
        labels: (b,), the class of each image's object.
        boxes: (b, 4), the object's left, top, right and bottom in pixels; right and bottom are outside.
    """

    images: Float[Tensor, "b 3 h w"]
    labels: Int[Tensor, " b"]
    boxes: Int[Tensor, "b 4"]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, indices: Int[Tensor, " n"]) -> "LocatedImages":
        return LocatedImages(self.images[indices], self.labels[indices], self.boxes[indices])


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


SPLITS = {"train": (0.0, 0.6), "validation": (0.6, 0.8), "test": (0.8, 1.0)}


@lru_cache(maxsize=4)
def cluttered_digits(
    split: str = "train",
    count: int = 12_000,
    *,
    seed: int = 0,
    size: int = 40,
    fragments: int = 6,
) -> LocatedImages:
    """Handwritten digits at random places among pieces of other digits.

    Each canvas holds one digit, enlarged to 14-20 pixels and coloured, over `fragments` coloured pieces
    (9×9 pixels) of other digits and noise of σ = 0.08. The box is the bounding box of the digit's ink. The
    splits share no handwritten digit. Equal
    arguments give equal images; the last few results are kept.

    Args:
        split: "train", "validation" or "test".
        count: number of images.
        seed: of the places, sizes, colours, clutter and noise.
        size: pixels of a canvas's side, at least 20.
        fragments: pieces of clutter on a canvas.

    Raises:
        ValueError: an unknown split, a canvas smaller than a digit, a count below 1 or fragments below 0.
    """
    if split not in SPLITS:
        raise ValueError(f"no split {split!r}; there are {', '.join(SPLITS)}")
    if size < 20 or count < 1 or fragments < 0:
        raise ValueError(
            f"cluttered_digits wants size >= 20, count >= 1, fragments >= 0; got {size=}, {count=}, {fragments=}"
        )
    digits, classes = _digits(split)
    rng = np.random.default_rng([seed, list(SPLITS).index(split), size, fragments])
    images = rng.normal(0.1, 0.08, (count, size, size, 3)).astype(np.float32)
    chosen = rng.integers(len(classes), size=count)
    boxes = np.empty((count, 4), dtype=np.int64)
    for canvas, box, index in zip(images, boxes, chosen, strict=True):
        for _ in range(fragments):
            other = digits[int(rng.integers(14, 21))][rng.integers(len(classes))]
            top, left = rng.integers(len(other) - 8, size=2)
            _paint(canvas, other[top : top + 9, left : left + 9], rng)
        ink = digits[int(rng.integers(14, 21))][index]
        top, left = _paint(canvas, ink, rng)
        rows, columns = np.flatnonzero(ink.max(1) > 0.2), np.flatnonzero(ink.max(0) > 0.2)
        box[:] = left + columns[0], top + rows[0], left + columns[-1] + 1, top + rows[-1] + 1
    pixels = torch.from_numpy(images.clip(0, 1)).permute(0, 3, 1, 2).contiguous()
    return LocatedImages(pixels, torch.from_numpy(classes[chosen]), torch.from_numpy(boxes))


def _paint(canvas: np.ndarray, ink: np.ndarray, rng: np.random.Generator) -> tuple[int, int]:
    """Cover a random place of `canvas` with `ink` in a random bright colour; returns the top left corner."""
    top, left = rng.integers(len(canvas) - len(ink) + 1, size=2)
    colour = rng.uniform(0.35, 1.0, 3).astype(np.float32)
    patch = canvas[top : top + len(ink), left : left + len(ink)]
    patch += ink[..., None] * (colour - patch)
    return int(top), int(left)


@lru_cache(maxsize=3)
def _digits(split: str) -> tuple[dict[int, np.ndarray], np.ndarray]:
    """The split's digits enlarged to each side from 14 to 20 pixels, and their classes."""
    pixels, classes = sklearn.datasets.load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(classes))
    start, stop = (round(share * len(order)) for share in SPLITS[split])
    chosen = order[start:stop]
    small = torch.from_numpy(pixels[chosen] / 16).float().view(-1, 1, 8, 8)
    enlarged = {
        side: F.interpolate(small, (side, side), mode="bicubic").clamp(0, 1)[:, 0].numpy()
        for side in range(14, 21)
    }
    return enlarged, classes[chosen]
