"""Real labelled images, from a package of the system or by a download."""

import gzip
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from .located import LocatedImages
from .photographs import square

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
OFFLINE = (
    "Without a network, install the Debian package dataset-fashion-mnist for fashion_mnist, "
    "or use cluttered_digits, which needs no download"
)
_SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class RealSet:
    """What there is to know of a data set before taking it.

    Attributes:
        of: what the images show.
        train: how many images there are to train and to validate with.
        test: how many to test with.
        pixels: of a side, unless another size is asked for.
        classes: how many.
        licence: of the images.
        source: who made it.
        megabytes: of the download.
    """

    of: str
    train: int
    test: int
    pixels: int
    classes: int
    licence: str
    source: str
    megabytes: int


REAL = {
    "fashion_mnist": RealSet(
        of="clothes",
        train=60_000,
        test=10_000,
        pixels=28,
        classes=10,
        licence="MIT",
        source="Xiao, Rasul, Vollgraf, 2017",
        megabytes=31,
    ),
    "cifar100": RealSet(
        of="animals, plants, things",
        train=50_000,
        test=10_000,
        pixels=32,
        classes=100,
        licence="none stated; for research",
        source="Krizhevsky, 2009",
        megabytes=169,
    ),
    "oxford_pets": RealSet(
        of="photographs of cats and dogs, with masks",
        train=3_680,
        test=3_669,
        pixels=64,
        classes=37,
        licence="CC BY-SA 4.0",
        source="Parkhi, Vedaldi, Zisserman, Jawahar, CVPR 2012",
        megabytes=811,
    ),
    "imagenette": RealSet(
        of="photographs, ten classes of ImageNet",
        train=9_469,
        test=3_925,
        pixels=64,
        classes=10,
        licence="Apache-2.0; photographs as in ImageNet",
        source="fast.ai, 2019",
        megabytes=99,
    ),
}
"""What `real_images` knows, each by its name."""


@lru_cache(maxsize=3)
def real_images(
    name: str,
    split: str = "train",
    count: int | None = None,
    *,
    size: int | None = None,
    folder: str | Path = "~/.cache/attn_lib",
) -> LocatedImages:
    """A real data set, one of `REAL`, which says how large it is, whose, and under which licence.

    Fashion-MNIST comes from the Debian package `dataset-fashion-mnist` where that is installed. All others, and
    Fashion-MNIST elsewhere, torchvision downloads.

    Grey images get three equal channels. The central square of a photograph is cut out and resized. A
    tenth of the training images, drawn once, are the validation split. `oxford_pets` has boxes, those of the
    masks that come with it.

    Args:
        name: one of `REAL`.
        split: "train", "validation" or "test".
        count: take the first so many images of the split; None takes all.
        size: pixels of a side; None takes the set's own.
        folder: where downloads go.

    Raises:
        ValueError: an unknown name or split, or a count or size below 1.
        FileNotFoundError: the data set is not here and cannot be downloaded.
    """
    if name not in REAL or split not in _SPLITS:
        raise ValueError(
            f"no {split!r} of {name!r}; there are {', '.join(_SPLITS)} of {', '.join(REAL)}"
        )
    side = REAL[name].pixels if size is None else size
    if side < 1 or (count is not None and count < 1):
        raise ValueError(
            f"real_images wants size and count of at least 1; got {size=}, {count=}"
        )
    if name == "fashion_mnist" and DEBIAN.is_dir():
        pixels, labels = _debian("t10k" if split == "test" else "train")
        chosen = _part(len(labels), split, count)
        grey = pixels[chosen] / 255
        if side != 28:
            grey = F.interpolate(grey, (side, side), mode="bilinear", antialias=True)
        return LocatedImages(grey.expand(-1, 3, -1, -1), labels[chosen])
    rows = _torchvision(name, split != "test", Path(folder).expanduser())
    return _load(rows, _part(len(rows), split, count).tolist(), side)


def _part(length: int, split: str, count: int | None) -> Tensor:
    """The indices of a split among the images of training or test."""
    if split == "test":
        return torch.arange(length)[:count]
    order = torch.randperm(length, generator=torch.Generator().manual_seed(0))
    held_out = length // 10
    return (order[:held_out] if split == "validation" else order[held_out:])[:count]


def _debian(part: str) -> tuple[Tensor, Tensor]:
    """Grey bytes (b, 1, 28, 28) and labels, from IDX files: a header, then the bytes."""

    def unpacked(kind: str, header: int) -> Tensor:
        content = gzip.decompress((DEBIAN / f"{part}-{kind}-ubyte.gz").read_bytes())
        return torch.frombuffer(bytearray(content), dtype=torch.uint8, offset=header)

    return unpacked("images-idx3", 16).view(-1, 1, 28, 28), unpacked("labels-idx1", 8).long()


def _torchvision(name: str, training: bool, folder: Path) -> Any:
    """The data set of torchvision, downloaded where it is missing.

    Raises:
        FileNotFoundError: torchvision is missing, or the download fails.
    """
    try:
        from torchvision import datasets

        if name == "oxford_pets":
            return datasets.OxfordIIITPet(
                folder,
                split="trainval" if training else "test",
                target_types=("category", "segmentation"),
                download=True,
            )
        if name == "imagenette":
            part = "train" if training else "val"
            return datasets.Imagenette(
                folder, part, size="160px", download=not (folder / "imagenette2-160").is_dir()
            )
        kind = datasets.CIFAR100 if name == "cifar100" else datasets.FashionMNIST
        return kind(folder, train=training, download=True)
    except ImportError as error:
        raise FileNotFoundError(
            f"{name} is not here, and torchvision, which downloads it, is not installed: "
            f"pip install torchvision. {OFFLINE}"
        ) from error
    except (OSError, RuntimeError) as error:  # what the network and torchvision raise
        raise FileNotFoundError(
            f"{name} is not in {folder}, and torchvision could not download it: {error}. {OFFLINE}"
        ) from error


def _load(rows: Any, chosen: list[int], side: int) -> LocatedImages:
    images, labels, boxes = [], [], []
    for index in chosen:
        picture, target = rows[index]
        images.append(_square(torch.from_numpy(np.array(picture.convert("RGB"))), side))
        if isinstance(target, tuple):
            target, trimap = target
            outline = torch.from_numpy(np.array(trimap) != 2)[..., None]  # 2 is the background
            boxes.append(_box(_square(255 * outline.to(torch.uint8), side)[0] > 0.5))
        labels.append(target)
    return LocatedImages(
        torch.stack(images), torch.tensor(labels), torch.stack(boxes) if boxes else None
    )


def _square(pixels: Tensor, side: int) -> Float[Tensor, "c h w"]:
    """The middle of a picture (h, w, c) of bytes."""
    return square(pixels.permute(2, 0, 1) / 255, side)


def _box(mask: Tensor) -> Tensor:
    """Left, top, right and bottom of what is set; the whole image where nothing is."""
    if not mask.any():
        return torch.tensor([0, 0, mask.shape[1], mask.shape[0]])
    rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
    return torch.stack([columns[0, 0], rows[0, 0], columns[-1, 0] + 1, rows[-1, 0] + 1])
