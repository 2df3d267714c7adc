"""The canvas that a reader plays with, and how it is painted: canvas.js paints it alike."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

MOST_SCRAPS, SCRAP = 12, 9  # pieces of other digits, and pixels of their sides
SIDES, NOISES = (10, 30), (0, 30)  # of the digit, in pixels; of the noise's σ, in hundredths
GROUND, PAINT = 0.1, 0.9  # brightness of the empty canvas, and of paint
PATTERN = 32  # steps of the noise's pattern in one σ


@dataclass(frozen=True)
class Parts:
    """What canvases are made of: the same whatever the reader does.

    Attributes:
        digits: (count, 8, 8), 0 to 16.
        size: height and width of a canvas.
        colour: of the digit, red, green and blue of 0 to 255.
        scraps: a row each: the digit it is cut from, the side to which that is enlarged, the row and the column of the
            cut in it, and red, green and blue.
        places: of the scraps before they are moved, (top, left) each.
        pattern: (3, h, w), the noise in steps of σ / 32, int8.
    """

    digits: np.ndarray
    size: tuple[int, int]
    colour: list[int]
    scraps: list[list[int]]
    places: list[list[int]]
    pattern: np.ndarray


@dataclass(frozen=True)
class Canvas:
    """What a reader has made of it: see the traits of `Playground`."""

    digit: int
    place: Sequence[int]
    side: int
    scraps: int
    scrap_places: Sequence[Sequence[int]]
    noise: int
    paint: str


def make_parts(digits: np.ndarray, size: tuple[int, int], seed: int) -> Parts:
    """Draw what is left to chance: colours, scraps, noise."""
    rng = np.random.default_rng(seed)

    def colour() -> list[int]:
        return rng.integers(90, 256, 3).tolist()

    room = np.array(size) - SCRAP + 1
    scraps, places = [], []
    for _ in range(MOST_SCRAPS):
        side = int(rng.integers(14, 21))
        cut = rng.integers(side - SCRAP + 1, size=2).tolist()
        scraps.append([int(rng.integers(len(digits))), side, *cut, *colour()])
        places.append(rng.integers(room).tolist())
    pattern = (rng.normal(0, PATTERN, (3, *size))).clip(-127, 127).round().astype(np.int8)
    return Parts(digits, size, colour(), scraps, places, pattern)


def paint(parts: Parts, canvas: Canvas) -> Float[Tensor, "3 h w"]:
    """The image: noise, scraps, the digit, over it the scraps that were moved, and over all the paint."""
    image = GROUND + canvas.noise / 100 / PATTERN * parts.pattern.astype(np.float64)
    given = list(zip(parts.scraps, canvas.scrap_places, parts.places, strict=True))
    shown = [(scrap, list(place), list(place) != first) for scrap, place, first in given][
        : canvas.scraps
    ]
    for scrap, place, moved in shown:
        if not moved:
            _paint_scrap(image, parts, scrap, place)
    _cover(image, enlarge(parts.digits[canvas.digit], canvas.side), canvas.place, parts.colour)
    for scrap, place, moved in shown:
        if moved:
            _paint_scrap(image, parts, scrap, place)
    image[:, painted(canvas.paint, parts.size)] = PAINT
    return torch.from_numpy(image.clip(0, 1)).float()


def enlarge(digit: np.ndarray, side: int) -> np.ndarray:
    """A digit of 8×8 pixels, 0 to 16, brought to a side, 0 to 1."""
    small = torch.from_numpy(digit / 16.0)[None, None]
    return F.interpolate(small, (side, side), mode="bicubic").clamp(0, 1)[0, 0].numpy()


def painted(code: str, size: tuple[int, int]) -> np.ndarray:
    """Which pixels bear paint (h, w): a bit each, the highest of a byte first, in base64 for URLs; "" for none.

    Raises:
        ValueError: the code is of another size, or none.
    """
    count = size[0] * size[1]
    bits = np.unpackbits(np.frombuffer(base64.urlsafe_b64decode(code), np.uint8))
    if code and len(bits) != -(-count // 8) * 8:
        raise ValueError(f"paint on {size} is a bit a pixel; got {len(bits)} for {count}")
    return bits[:count].astype(bool).reshape(size) if code else np.zeros(size, bool)


def _paint_scrap(image: np.ndarray, parts: Parts, scrap: list[int], place: list[int]) -> None:
    digit, side, row, column, *colour = scrap
    ink = enlarge(parts.digits[digit], side)[row : row + SCRAP, column : column + SCRAP]
    _cover(image, ink, place, colour)


def _cover(
    image: np.ndarray, ink: np.ndarray, place: Sequence[int], colour: Sequence[int]
) -> None:
    top, left = place
    patch = image[:, top : top + len(ink), left : left + len(ink)]
    patch += ink * (np.array(colour)[:, None, None] / 255 - patch)
