"""Tasks that want one kind of attention each: which channels, which scale, which distant place.

The sizes of these canvases were chosen on the validation split with seed 0, so that the host alone learns
something and the mechanism the task was made for learns clearly more.
"""

from functools import lru_cache

import numpy as np

from .digits import (
    SPLITS,
    box_of,
    canvases,
    clutter,
    enlarge,
    enlarged_digits,
    located,
    paint,
    require_split,
    small_digits,
)
from .located import LocatedImages

CUES = np.array([[1.0, 0.55, 0.1], [0.2, 0.5, 1.0]], dtype=np.float32)  # orange and blue
COLOURS = np.concatenate([CUES, np.array([[0.3, 0.9, 0.3], [0.9, 0.4, 0.9]], dtype=np.float32)])


@lru_cache(maxsize=4)
def cued_digits(split: str = "train", count: int = 12_000, *, seed: int = 0) -> LocatedImages:
    """What: an orange and a blue digit, and a bar at the left edge that says which of them to name.

    28×40 pixels. The digits, 14 pixels high and of different classes, stand one above the other at the right;
    the bar is 2 pixels wide. At least 22 pixels lie between, so that no position of the host sees the bar and
    more than a sliver of a digit. Who ignores the bar can name one of the two: half of the answers are right.
    The box is that of the digit to name.

    Args and Raises: as for `cluttered_digits`.
    """
    require_split(split, count)
    digits, classes = enlarged_digits(split)
    rng = np.random.default_rng([seed, list(SPLITS).index(split), 1])
    images, boxes = canvases(rng, count, 28, 40), np.empty((count, 4), dtype=np.int64)
    labels = np.empty(count, dtype=np.int64)
    for i, canvas in enumerate(images):
        first, second = pair(rng, classes, same=False)
        colours = rng.permutation(2)
        named = int(rng.integers(2))
        canvas[:, :2] += CUES[colours[named]] - canvas[:, :2]
        for row, index in enumerate((first, second)):
            ink = digits[14][index]
            place = paint(
                canvas, ink, rng, (14 * row, int(rng.integers(24, 27))), CUES[colours[row]]
            )
            if row == named:
                boxes[i], labels[i] = box_of(ink, *place), classes[index]
    return located(images, labels, boxes)


@lru_cache(maxsize=16)
def sized_digits(
    split: str = "train",
    count: int = 12_000,
    *,
    seed: int = 0,
    side: int | None = None,
    fragments: int = 3,
) -> LocatedImages:
    """Scale: a digit of 10 to 36 pixels on a canvas of 40×40.

    Otherwise as `cluttered_digits`. With the same seed and another `side`, the same digits come.

    Args:
        side: of all digits; None draws one for each.
        fragments: pieces of clutter on a canvas.

    Raises:
        ValueError: an unknown split, a count below 1, fragments below 0 or a side that does not fit.
    """
    require_split(split, count)
    if fragments < 0 or not 8 <= (side or 8) <= 40:
        raise ValueError(
            f"sized_digits wants fragments >= 0 and a side from 8 to 40; got {fragments=}, {side=}"
        )
    digits, classes = enlarged_digits(split)
    small, _ = small_digits(split)
    rng = np.random.default_rng([seed, list(SPLITS).index(split), fragments, 2])
    images = canvases(rng, count, 40, 40)
    chosen, sides = rng.integers(len(classes), size=count), rng.integers(10, 37, size=count)
    boxes = np.empty((count, 4), dtype=np.int64)
    for canvas, box, index, drawn in zip(images, boxes, chosen, sides, strict=True):
        clutter(canvas, fragments, digits, rng)
        ink = enlarge(small[index : index + 1], side or int(drawn))[0]
        box[:] = box_of(ink, *paint(canvas, ink, rng))
    return located(images, classes[chosen], boxes)


@lru_cache(maxsize=4)
def paired_digits(split: str = "train", count: int = 12_000, *, seed: int = 0) -> LocatedImages:
    """Long range: two digits at the two ends of a canvas; have they the same colour (1) or not (0)?

    20×60 pixels. The digits are 14 pixels high, of any class, each in one of four colours. At least 28 pixels
    lie between them: no position of the host sees both. Half of the pairs are the same. There is no box: no
    one object decides.

    Args and Raises: as for `cluttered_digits`.
    """
    require_split(split, count)
    digits, classes = enlarged_digits(split)
    rng = np.random.default_rng([seed, list(SPLITS).index(split), 3])
    images, labels = canvases(rng, count, 20, 60), rng.integers(2, size=count)
    for canvas, same in zip(images, labels, strict=True):
        first, second = rng.choice(len(COLOURS), size=2, replace=False)
        for left, colour in zip((0, 44), (first, first if same else second), strict=True):
            ink = digits[14][rng.integers(len(classes))]
            place = int(rng.integers(7)), left + int(rng.integers(3))
            paint(canvas, ink, rng, place, COLOURS[colour])
    return located(images, labels)


def pair(rng: np.random.Generator, classes: np.ndarray, same: bool) -> tuple[int, int]:
    """Two different digits, of the same class or of two."""
    first = int(rng.integers(len(classes)))
    fits = (classes == classes[first]) == same
    fits[first] = False
    return first, int(rng.choice(np.flatnonzero(fits)))
