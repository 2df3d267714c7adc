"""The host: one small CNN with one slot, so that mechanisms are compared with everything else equal."""

from jaxtyping import Float
from torch import Tensor, nn

from .mechanisms import create


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class HostCNN(nn.Module):
    """Five convolutions, one slot, an average over positions, a linear classifier.

    A 40×40 image reaches the slot as 2·width channels on a 10×10 grid, each position having seen 21×21
    pixels. The slot is made last: with one seed, all else starts equal whatever the slot holds.

    Args:
        slot: the name of a mechanism (`available()`), or "none".
        num_classes: outputs of the classifier.
        width: channels of the first convolutions.
        options: go to the mechanism.

    Shapes: (b, 3, h, w) → (b, num_classes).

    Raises:
        ValueError: no mechanism has that name.
    """

    def __init__(self, slot: str = "none", num_classes: int = 10, width: int = 16, **options):
        super().__init__()
        self.features = nn.Sequential(
            _block(3, width),
            _block(width, width, stride=2),
            _block(width, 2 * width),
            _block(2 * width, 2 * width, stride=2),
            _block(2 * width, 2 * width),
        )
        self.classifier = nn.Linear(2 * width, num_classes)
        self.slot = nn.Identity() if slot == "none" else create(slot, 2 * width, **options)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b classes"]:
        features = self.slot(self.features(images))
        return self.classifier(features.mean((2, 3)))
