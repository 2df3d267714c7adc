"""What a Playground draws before its script runs: as network_playground.js draws it."""

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw
from torch import Tensor

from ..base import to_picture
from ..colours import QUANTITIES, colour_table
from .view import View

SCALE = 5  # pixels of a map for one of the canvas


def draw_map(view: View, image: Float[Tensor, "3 h w"]) -> Image.Image:
    """The map over the image in grey, or the channels' gates as bars; around the digit, a line."""
    canvas = to_picture(image)
    size = canvas.width * SCALE, canvas.height * SCALE
    if view.kind in ("channels", "shares"):
        return _bars(view.weights, size)
    grey = 0.75 * _stretched(np.asarray(canvas.convert("L")), size)[..., None]
    if view.kind != "none":
        low, high = view.ends
        levels = np.sqrt((view.weights - low) / ((high - low) or 1)) * 255
        levels = levels.round().astype(np.uint8)
        table = np.frombuffer(colour_table(), np.uint8).reshape(256, 3)
        share = 0.9 * np.sqrt(_stretched(levels, size)[..., None] / 255)
        grey = grey * (1 - share) + _stretched(table[levels], size) * share
    picture = Image.fromarray(np.broadcast_to(grey, (*size[::-1], 3)).round().astype(np.uint8))
    pen = ImageDraw.Draw(picture)
    top, left, side, _, _ = (SCALE * length for length in view.box)
    pen.rectangle((left, top, left + side - 1, top + side - 1), outline="white", width=2)
    if view.query:
        h, w = size[1] / view.weights.shape[0], size[0] / view.weights.shape[1]
        y, x = view.query[0] * h, view.query[1] * w
        pen.rectangle((x, y, x + w - 1, y + h - 1), outline=QUANTITIES["query"][1], width=3)
    return picture


def _stretched(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.NEAREST), float)


def _bars(gates: np.ndarray, size: tuple[int, int]) -> Image.Image:
    picture = Image.new("RGB", size)
    pen, width = ImageDraw.Draw(picture), size[0] / len(gates)
    for i, gate in enumerate(gates):
        top = size[1] * (1 - float(gate))
        if top < size[1] - 1:
            pen.rectangle(
                (i * width + 1, top, (i + 1) * width - 1, size[1]), fill=QUANTITIES["weight"][1]
            )
    return picture
