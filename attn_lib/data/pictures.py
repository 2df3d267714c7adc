"""Images of one's own: a folder of them, or any data set of (image, label) pairs, as batches to learn from."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from .files import open_picture
from .located import LocatedImages
from .photographs import square

WANTED = "(image, label) pairs are wanted, an image as floats (c, h, w) and a label as a whole number from 0"


@runtime_checkable
class Pairs(Protocol):
    """Anything with a length that gives (image, label) for a number: a Dataset of torch, a list."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


class Pictures:
    """(image, label) pairs as the batches that `fit` wants; each is read when it is asked for.

    Indexed with a number it gives a pair, so that `torch.utils.data.random_split` and a DataLoader take it; with
    a tensor of indices a batch, `LocatedImages` without boxes.

    Args:
        pairs: an image is floats (c, h, w), all of one size, a label a whole number from 0.
        classes: the names of the labels.
    """

    def __init__(self, pairs: Pairs, classes: Sequence[str] = ()):
        self.pairs, self.classes = pairs, list(classes)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, chosen: Tensor | int) -> Any:
        """A pair, or a batch.

        Raises:
            ValueError: what the batch is made of are no such pairs, or images of several sizes.
        """
        if not isinstance(chosen, Tensor):
            return self.pairs[chosen]
        images, labels = zip(*(_pair(self.pairs[i]) for i in chosen.tolist()), strict=True)
        if len(sizes := {tuple(image.shape) for image in images}) > 1:
            raise ValueError(
                f"images of one size make a batch; got {sorted(sizes)}: resize them, as "
                "attn_lib.data.folder(path, size=64) does"
            )
        return LocatedImages(torch.stack(images), torch.tensor(labels))


def _pair(pair: Any) -> tuple[Tensor, int]:
    """An image and its label, or a ValueError that says what else came."""
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise ValueError(f"{WANTED}; got {type(pair).__name__}")
    image, label = pair
    if not isinstance(image, Tensor):
        advice = "make it a tensor, with torchvision's ToTensor() for one"
        raise ValueError(f"{WANTED}; the image is a {type(image).__name__}: {advice}")
    if image.ndim != 3 or not image.is_floating_point():
        got = f"{image.dtype} of shape {tuple(image.shape)}"
        advice = "" if image.is_floating_point() else ": divide it by 255"
        raise ValueError(f"{WANTED}; the image is {got}{advice}")
    number = label.item() if isinstance(label, Tensor) and label.numel() == 1 else label
    if not isinstance(number, int | np.integer) or number < 0:
        raise ValueError(f"{WANTED}; the label is {label!r}")
    return image, int(number)


class _Files:
    """(image, label) pairs of files, read when they are asked for."""

    def __init__(self, files: list[tuple[Path, int]], size: int):
        self.files, self.size = files, size

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Float[Tensor, "3 h w"], int]:
        path, label = self.files[index]
        try:
            picture = open_picture(path)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        return square(
            torch.from_numpy(np.array(picture)).permute(2, 0, 1) / 255, self.size
        ), label


def folder(path: str | Path, size: int = 64) -> Pictures:
    """Pictures of one's own, a folder for each class: pictures/cat/1.jpg, pictures/dog/a.png.

        pictures = folder("pictures")
        pictures.classes                          # ["cat", "dog"]: the label 0 is a cat
        images = pictures[torch.arange(8)].images # (8, 3, 64, 64)

    Classes and files are in alphabetical order. Nothing is read before it is asked for.

    Args:
        path: of the folder that holds the classes' folders, however deep pictures lie in these.
        size: pixels of a side; the central square is cut out and resized.

    Returns:
        pairs of an image (3, size, size), values in [0, 1], and its label; what `fit` takes.

    Raises:
        ValueError: there is no such folder, no picture in a folder of it, or `size` is below 1; later, a picture
            that cannot be read.
    """
    root = Path(path).expanduser()
    if size < 1:
        raise ValueError(f"a picture needs a size of at least 1 pixel; got {size}")
    if not root.is_dir():
        raise ValueError(f"{root} is no folder")
    known = Image.registered_extensions()
    found = {
        place.name: [file for file in sorted(place.rglob("*")) if file.suffix.lower() in known]
        for place in sorted(root.iterdir())
        if place.is_dir() and not place.name.startswith(".")
    }
    if not found or not all(found.values()):
        empty = [name for name, files in found.items() if not files]
        got = f"no picture in {', '.join(empty)}" if empty else "no folder in it"
        raise ValueError(
            f"{root} wants a folder for each class with its pictures in it, such as {root}/cat/1.jpg; got {got}"
        )
    files = [(file, label) for label, each in enumerate(found.values()) for file in each]
    return Pictures(_Files(files, size), list(found))
