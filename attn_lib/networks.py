"""The host: one small CNN with one slot, so that mechanisms are compared with everything else equal."""

from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from .mechanisms import create
from .vit import Transformer, position_code


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


class Encoder(nn.Module):
    """Five convolutions, an average over positions, one linear layer: an image as a vector.

    A 40×40 image becomes 2·width features on a 10×10 grid, each position having seen 27×27 pixels.

    Args:
        outputs: length of the vector.
        width: channels of the first convolutions.

    Shapes: (b, 3, h, w) → (b, outputs).
    """

    def __init__(self, outputs: int = 32, width: int = 16):
        super().__init__()
        self.features = nn.Sequential(
            _block(3, width, stride=2),
            _block(width, width),
            _block(width, 2 * width, stride=2),
            _block(2 * width, 2 * width),
            _block(2 * width, 2 * width),
        )
        self.head = nn.Linear(2 * width, outputs)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b outputs"]:
        return self.head(self.features(images).mean((2, 3)))


class StemViT(nn.Module):
    r"""A vision transformer whose tokens are made by convolutions in place of one cut into patches.

    $$ z_i = \mathrm{stem}(x)_i + \mathrm{code}_i, \qquad
       y = W_y\, \tfrac1n \textstyle\sum_i \mathrm{Transformer}(z)_i + b_y $$

    The stem is three convolutions, of strides 2, 1 and 2: a token for every 4×4 pixels, made from the 11×11
    around them. Everything after it is `SimpleViT`.

    Args:
        image_size: height and width of the images; a multiple of 4.
        num_classes: outputs of the classifier.
        dim: d, the features of a token; a multiple of 4, at least 8.
        depth, heads, mlp_dim, dim_head: see `Transformer`.
        positions: False leaves out the position code.

    Shapes: (b, 3, h, w) → (b, num_classes); each layer's weights are (b, heads, n, n), n = h/4 · w/4.

    Raises:
        ValueError: the image size is no positive multiple of 4, or `dim` takes no position code.

    Source: Xiao, Singh, Mintun, Darrell, Dollár, Girshick, "Early Convolutions Help Transformers See Better",
    NeurIPS 2021, section 4. Its stem has a 1×1 convolution at the end, and one transformer layer is dropped for it.
    """

    def __init__(
        self, image_size: int = 40, num_classes: int = 10, dim: int = 64, depth: int = 2,
        heads: int = 2, mlp_dim: int = 128, dim_head: int = 32, *, positions: bool = True,
    ):  # fmt: skip
        super().__init__()
        if image_size < 4 or image_size % 4:
            raise ValueError(f"StemViT wants an image_size in multiples of 4; got {image_size}")
        self.stem = nn.Sequential(
            _block(3, dim // 4, stride=2),
            _block(dim // 4, dim // 2),
            _block(dim // 2, dim, stride=2),
        )
        code = position_code(image_size // 4, image_size // 4, dim)
        self.register_buffer("positions", code if positions else 0 * code, persistent=False)
        self.transformer = Transformer(dim, depth, heads, dim_head, mlp_dim)
        self.classifier = nn.Linear(dim, num_classes)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b classes"]:
        tokens = rearrange(self.stem(images), "b d h w -> b (h w) d")
        tokens = self.transformer(tokens + self.positions)
        return self.classifier(tokens.mean(dim=1))
