"""Photographs that need no download: they come inside scikit-image and scikit-learn."""

import numpy as np
import skimage.data
import sklearn.datasets
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

PHOTOGRAPHS = {
    "astronaut": "Eileen Collins, NASA; public domain; scikit-image",
    "cat": "Chelsea, by Stéfan van der Walt; CC0; scikit-image",
    "coffee": "by Rachel Michetti; CC0; scikit-image",
    "rocket": "Falcon 9 launch, by SpaceX; CC0; scikit-image",
    "china": "by Dan (danperry.com), CC BY 2.0; scikit-learn",
    "flower": "by dany13, CC BY 2.0; scikit-learn",
}
"""Each by its name, with who made it, the licence, and the package that brings it."""


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
    return image if size is None else square(image, size)


def square(image: Float[Tensor, "c _h _w"], size: int) -> Float[Tensor, "c h w"]:
    """The middle of an image, as large as it can be, resized; values in [0, 1]."""
    h, w = image.shape[1:]
    side = min(h, w)
    top, left = (h - side) // 2, (w - side) // 2
    square = image[None, :, top : top + side, left : left + side]
    return F.interpolate(square, (size, size), mode="bilinear", antialias=True)[0].clamp(0, 1)
