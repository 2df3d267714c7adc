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

# Orange, blue, green, purple.
COLOURS = np.array(
    [[1.0, 0.55, 0.1], [0.2, 0.5, 1.0], [0.3, 0.9, 0.3], [0.9, 0.4, 0.9]], dtype=np.float32
)


@lru_cache(maxsize=4)
def cued_digits(split: str = "train", count: int = 12_000, *, seed: int = 0) -> LocatedImages:
    """What: a digit, and at the left edge a white bar or none, which says what of the digit to name.

    20×44 pixels. The digit is 0, 1, 2 or 3, 14 pixels high, in one of four colours. With the bar, the answer
    is its colour; without, its class. The bar is 4 pixels wide, and at least 24 pixels lie between: no
    position of the host sees the bar and more than a sliver of the digit. Which channels count depends on the
    cue, and the cue is elsewhere. Who adds up both answers is right more often than a quarter of the time:
    always where they agree, else one time in two. The box is that of the digit.

    Args and Raises: as for `cluttered_digits`.
    """
    require_split(split, count)
    digits, classes = enlarged_digits(split)
    few = np.flatnonzero(classes < len(COLOURS))
    rng = np.random.default_rng([seed, list(SPLITS).index(split), 1])
    images, boxes = canvases(rng, count, 20, 44), np.empty((count, 4), dtype=np.int64)
    chosen, colours = rng.choice(few, size=count), rng.integers(len(COLOURS), size=count)
    barred = rng.integers(2, size=count)
    for canvas, box, index, colour, bar in zip(
        images, boxes, chosen, colours, barred, strict=True
    ):
        if bar:
            canvas[:, :4] += 0.8
        ink = digits[14][index]
        place = int(rng.integers(7)), int(rng.integers(28, 31))
        box[:] = box_of(ink, *paint(canvas, ink, rng, place, COLOURS[colour]))
    return located(images, np.where(barred, colours, classes[chosen]), boxes)


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
