"""Networks to train: a small CNN with a slot for any mechanism, and a transformer on the same convolutions."""

from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from ..foundations import AttentionPooling
from ..mechanisms import available, create
from ..vit import Transformer, position_code
from .controls import CONTROLS


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def _convolutions(width: int) -> nn.Sequential:
    """(b, 3, h, w) → (b, 2·width, h/4, w/4); each position has seen 27×27 pixels."""
    return nn.Sequential(
        _block(3, width, stride=2),
        _block(width, width),
        _block(width, 2 * width, stride=2),
        _block(2 * width, 2 * width),
        _block(2 * width, 2 * width),
    )


class HostCNN(nn.Module):
    """Five convolutions, one slot, an average over positions, a linear classifier.

    A 40×40 image reaches the slot as 2·width channels on a 10×10 grid, each position having seen 27×27
    pixels. The slot is made last: with one seed, all else starts equal whatever the slot holds.

    Args:
        slot: the name of a mechanism (`available()`), "none", or a control (`CONTROLS`).
        num_classes: outputs of the classifier.
        width: channels of the first convolutions.
        readout: "average", or "attention" for `AttentionPooling` in its place.
        everywhere: whether the other four convolutions have such a slot behind them too, `features.0.slot` to
            `features.3.slot`.
        options: go to the mechanism.

    Shapes: (b, 3, h, w) → (b, num_classes).

    Raises:
        ValueError: no mechanism, control or readout has that name.
    """

    def __init__(
        self,
        slot: str = "none",
        num_classes: int = 10,
        width: int = 16,
        *,
        readout: str = "average",
        everywhere: bool = False,
        **options,
    ):
        super().__init__()
        if readout not in ("average", "attention"):
            raise ValueError(f"no readout {readout!r}; there are average, attention")
        if slot not in ("none", *CONTROLS, *available()):
            raise ValueError(
                f"no slot {slot!r}; there are none, {', '.join((*CONTROLS, *available()))}"
            )
        channels = 2 * width
        self.features = _convolutions(width)
        self.classifier = nn.Linear(channels, num_classes)
        self.readout = AttentionPooling(channels) if readout == "attention" else _Average()
        self.slot: nn.Module = nn.Identity()
        if slot != "none":
            make = CONTROLS.get(slot) or (lambda c, **o: create(slot, c, **o))
            self.slot = make(channels, **options)
            before = (width, width, channels, channels) if everywhere else ()
            for i, size in enumerate(before):
                self.features[i].add_module("slot", make(size, **options))

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b classes"]:
        return self.classifier(self.readout(self.slot(self.features(images))))


class _Average(nn.Module):
    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c"]:
        return x.mean((2, 3))


class StemViT(nn.Module):
    r"""A vision transformer whose tokens are made by convolutions in place of one cut into patches.

    $$ z_i = \mathrm{stem}(x)_i + \mathrm{code}_i, \qquad
       y = W_y\, \tfrac1n \textstyle\sum_i \mathrm{Transformer}(z)_i + b_y $$

    The stem is the five convolutions of `HostCNN`: a token for every 4×4 pixels, made from the 27×27 around
    them. Everything after it is `SimpleViT`.

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
        self, image_size: int = 40, num_classes: int = 10, dim: int = 32, depth: int = 2,
        heads: int = 2, mlp_dim: int = 64, dim_head: int = 16, *, positions: bool = True,
    ):  # fmt: skip
        super().__init__()
        if image_size < 4 or image_size % 4:
            raise ValueError(f"StemViT wants an image_size in multiples of 4; got {image_size}")
        self.stem = _convolutions(dim // 2)
        code = position_code(image_size // 4, image_size // 4, dim)
        self.register_buffer("positions", code if positions else 0 * code, persistent=False)
        self.transformer = Transformer(dim, depth, heads, dim_head, mlp_dim)
        self.classifier = nn.Linear(dim, num_classes)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b classes"]:
        tokens = rearrange(self.stem(images), "b d h w -> b (h w) d")
        tokens = self.transformer(tokens + self.positions)
        return self.classifier(tokens.mean(dim=1))
