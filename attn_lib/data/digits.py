"""Handwritten digits on cluttered canvases, and the parts that other tasks are painted with."""

from functools import lru_cache

import numpy as np
import sklearn.datasets
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from .located import LocatedImages

SPLITS = {"train": (0.0, 0.6), "validation": (0.6, 0.8), "test": (0.8, 1.0)}


@lru_cache(maxsize=8)
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
    require_split(split, count)
    if size < 20 or fragments < 0:
        raise ValueError(
            f"cluttered_digits wants size >= 20 and fragments >= 0; got {size=}, {fragments=}"
        )
    digits, classes = enlarged_digits(split)
    rng = np.random.default_rng([seed, list(SPLITS).index(split), size, fragments])
    images = canvases(rng, count, size, size)
    chosen = rng.integers(len(classes), size=count)
    boxes = np.empty((count, 4), dtype=np.int64)
    for canvas, box, index in zip(images, boxes, chosen, strict=True):
        clutter(canvas, fragments, digits, rng)
        ink = digits[int(rng.integers(14, 21))][index]
        box[:] = box_of(ink, *paint(canvas, ink, rng))
    return located(images, classes[chosen], boxes)


def digit_examples(split: str = "test", each: int = 12) -> Float[Tensor, "10 {each} 8 8"]:
    """The first handwritten digits of every class, as they come: 8×8 pixels, values in [0, 1] in sixteenths.

    Args:
        split: "train", "validation" or "test".
        each: how many of every class.

    Raises:
        ValueError: an unknown split, or a class has fewer.
    """
    require_split(split, each)
    digits, classes = small_digits(split)
    if each > (fewest := min(np.bincount(classes))):
        raise ValueError(f"{split} has {fewest} digits of some class; got {each=}")
    return torch.stack([digits[classes == digit][:each, 0] for digit in range(10)])


def require_split(split: str, count: int) -> None:
    """Refuse a split that there is not, and no images.

    Raises:
        ValueError: with what came.
    """
    if split not in SPLITS:
        raise ValueError(f"no split {split!r}; there are {', '.join(SPLITS)}")
    if count < 1:
        raise ValueError(f"digits want a count of at least 1; got {count=}")


def canvases(rng: np.random.Generator, count: int, h: int, w: int) -> np.ndarray:
    """Dark noise, (count, h, w, 3)."""
    return rng.normal(0.1, 0.08, (count, h, w, 3)).astype(np.float32)


def clutter(
    canvas: np.ndarray, fragments: int, digits: dict[int, np.ndarray], rng: np.random.Generator
) -> None:
    """Paint coloured pieces of digits, 9×9 pixels each, at random places."""
    for _ in range(fragments):
        others = digits[int(rng.integers(14, 21))]
        other = others[rng.integers(len(others))]
        top, left = rng.integers(len(other) - 8, size=2)
        paint(canvas, other[top : top + 9, left : left + 9], rng)


def paint(
    canvas: np.ndarray,
    ink: np.ndarray,
    rng: np.random.Generator,
    place: tuple[int, int] | None = None,
    colour: np.ndarray | None = None,
) -> tuple[int, int]:
    """Cover a place of `canvas` with `ink`; place and bright colour are drawn where they are not given.

    Returns:
        the top left corner.
    """
    if place is None:
        top, left = rng.integers(np.array(canvas.shape[:2]) - len(ink) + 1)
    else:
        top, left = place
    if colour is None:
        colour = rng.uniform(0.35, 1.0, 3).astype(np.float32)
    patch = canvas[top : top + len(ink), left : left + len(ink)]
    patch += ink[..., None] * (colour - patch)
    return int(top), int(left)


def box_of(ink: np.ndarray, top: int, left: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what is inked, where the ink's corner is at (top, left)."""
    rows, columns = np.flatnonzero(ink.max(1) > 0.2), np.flatnonzero(ink.max(0) > 0.2)
    right, bottom = columns[-1] + 1, rows[-1] + 1
    return left + int(columns[0]), top + int(rows[0]), left + int(right), top + int(bottom)


def located(
    images: np.ndarray, labels: np.ndarray, boxes: np.ndarray | None = None
) -> LocatedImages:
    """Painted canvases (b, h, w, 3) as what networks take."""
    pixels = torch.from_numpy(images.clip(0, 1)).permute(0, 3, 1, 2).contiguous()
    where = None if boxes is None else torch.from_numpy(boxes)
    return LocatedImages(pixels, torch.from_numpy(labels), where)


def enlarge(small: Float[Tensor, "b 1 8 8"], side: int) -> np.ndarray:
    """Digits of 8×8 pixels brought to a side, (b, side, side)."""
    return F.interpolate(small, (side, side), mode="bicubic").clamp(0, 1)[:, 0].numpy()


@lru_cache(maxsize=3)
def small_digits(split: str) -> tuple[Float[Tensor, "b 1 8 8"], np.ndarray]:
    """The split's digits as they come, and their classes."""
    pixels, classes = sklearn.datasets.load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(classes))
    start, stop = (round(share * len(order)) for share in SPLITS[split])
    chosen = order[start:stop]
    return torch.from_numpy(pixels[chosen] / 16).float().view(-1, 1, 8, 8), classes[chosen]


@lru_cache(maxsize=3)
def enlarged_digits(split: str) -> tuple[dict[int, np.ndarray], np.ndarray]:
    """The split's digits enlarged to each side from 14 to 20 pixels, and their classes."""
    small, classes = small_digits(split)
    return {side: enlarge(small, side) for side in range(14, 21)}, classes
