"""Labelled images that know where their objects are."""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class LocatedImages:
    """Images that know what is in them and where it is.

    Attributes:
        images: (b, c, h, w); those of this library have c = 3 and values in [0, 1].
        labels: (b,), the class of each image's object.
        boxes: (b, 4), the object's left, top, right and bottom in pixels; right and bottom are outside.
            None where nobody knows, or where no one object decides.
    """

    images: Float[Tensor, "b c h w"]
    labels: Int[Tensor, " b"]
    boxes: Int[Tensor, "b 4"] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, chosen: Tensor | slice) -> "LocatedImages":
        """Some of the images."""
        boxes = None if self.boxes is None else self.boxes[chosen]
        return LocatedImages(self.images[chosen], self.labels[chosen], boxes)
