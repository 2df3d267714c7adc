"""Held-out digits, each once, in scenes like those of the training: faults.js composes them alike."""

from dataclasses import dataclass, replace

import numpy as np

from .canvas import Canvas, Parts, make_parts

SCRAPS, NOISE, SCENE_SIDES = 6, 8, (14, 20)  # as `cluttered_digits` has them


@dataclass(frozen=True)
class Scene:
    """A canvas, what it is made of, and how far the common pattern of noise is rolled on it, down and right."""

    parts: Parts
    canvas: Canvas
    rolled: tuple[int, int]


def make_scenes(digits: np.ndarray, size: tuple[int, int], seed: int) -> list[Scene]:
    """A scene for each digit (count, 8, 8), in an order drawn by lot. All share one pattern of noise, rolled.

    Raises:
        ValueError: the largest digit has no room.
    """
    if min(size) < SCENE_SIDES[1]:
        raise ValueError(
            f"scenes have digits of up to {SCENE_SIDES[1]} pixels, and want as many at least; got {size=}"
        )
    rng = np.random.default_rng(seed)
    pattern = make_parts(digits, size, seed).pattern
    return [
        _scene(digits, int(digit), size, pattern, rng) for digit in rng.permutation(len(digits))
    ]


def _scene(
    digits: np.ndarray,
    digit: int,
    size: tuple[int, int],
    pattern: np.ndarray,
    rng: np.random.Generator,
) -> Scene:
    parts = make_parts(digits, size, int(rng.integers(2**31)))
    down, right = rng.integers(size).tolist()
    side = int(rng.integers(SCENE_SIDES[0], SCENE_SIDES[1] + 1))
    place = rng.integers(np.array(size) - side + 1).tolist()
    canvas = Canvas(digit, place, side, SCRAPS, parts.places[:SCRAPS], NOISE, paint="")
    rolled = np.roll(pattern, (down, right), (1, 2))
    shown = replace(
        parts, pattern=rolled, scraps=parts.scraps[:SCRAPS], places=parts.places[:SCRAPS]
    )
    return Scene(shown, canvas, (down, right))


def pack(scenes: list[Scene]) -> bytes:
    """A row of whole numbers of 16 bits for each: the digit, its side, place and colour, how far the noise is rolled;
    then of each scrap its digit, side, cut, colour and place."""
    rows = []
    for scene in scenes:
        parts, canvas = scene.parts, scene.canvas
        row = [canvas.digit, canvas.side, *canvas.place, *parts.colour, *scene.rolled]
        for scrap, place in zip(parts.scraps, parts.places, strict=True):
            row += [*scrap, *place]
        rows.append(row)
    return np.array(rows, "<u2").tobytes()
