"""What a function may draw for `explore`: a matplotlib figure, an image, or several images by name."""

import textwrap
from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from PIL import Image
from torch import Tensor

from ..base import to_data_url
from ..static import STYLE, to_svg


def common_window(results: list) -> Bbox | None:
    """What of plots is not empty margin, in inches: the same of all, so that their axes stay in place."""
    boxes = []
    for figure in results:
        if isinstance(figure, Figure):
            with mpl.rc_context(STYLE):
                figure.draw_without_rendering()
                boxes.append(figure.get_tightbbox())
    return Bbox.union(boxes).padded(0.1) if boxes else None


def to_pictures(result, words: str, window: Bbox | None) -> dict[str, str]:
    """The pictures of a frame, by panel: SVG or the URL of an image."""
    if isinstance(result, Figure):
        return {"": to_svg(result, words, window)}
    return {name: to_data_url(_to_image(image)) for name, image in _images(result).items()}


def _images(result) -> Mapping[str, Tensor]:
    images = {"": result} if isinstance(result, Tensor) else result
    if not isinstance(images, Mapping) or not images:
        raise ValueError(
            "a frame is a matplotlib figure, an image (3, h, w), or images by name; got "
            f"{type(result).__name__}"
        )
    for name, image in images.items():
        if not isinstance(image, Tensor) or image.ndim != 3 or image.shape[0] != 3:
            got = tuple(image.shape) if isinstance(image, Tensor) else type(image).__name__
            raise ValueError(f"an image (3, h, w) is wanted for panel {name!r}; got {got}")
        if not torch.isfinite(image).all():
            raise ValueError(f"the image for panel {name!r} has values that are not finite")
    return images


def plot(result, words: str) -> Figure:
    """A frame as one matplotlib figure: itself, or its images side by side under their names."""
    if isinstance(result, Figure):
        return result
    images = _images(result)
    with mpl.rc_context(STYLE):
        fig = Figure((3.2 * len(images), 3.6), layout="constrained")
        for axis, (name, image) in zip(
            fig.subplots(1, len(images), squeeze=False)[0], images.items(), strict=True
        ):
            axis.imshow(_to_image(image))
            axis.set_title(name, parse_math=False)
            axis.set_axis_off()
        fig.supxlabel(textwrap.fill(words, 44 * len(images)), size=8, parse_math=False)
    return fig


def size_of(result) -> Any:
    """The size of a frame: inches of a plot, pixels of each image."""
    if isinstance(result, Figure):
        return tuple(float(inches) for inches in result.get_size_inches())
    return {name: tuple(image.shape[1:]) for name, image in _images(result).items()}


def _to_image(image: Tensor) -> Image.Image:
    pixels = image.detach().cpu().float().clamp(0, 1).permute(1, 2, 0).numpy()
    return Image.fromarray((pixels * 255).round().astype(np.uint8))
