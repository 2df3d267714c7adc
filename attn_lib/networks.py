"""The host: one small CNN with one slot, so that mechanisms are compared with everything else equal."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .channel import EfficientChannelAttention, SelectiveKernel, SqueezeExcitation
from .foundations import AttentionPooling
from .mechanisms import available, create
from .mixed import CBAM
from .module import AttentionModule


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


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
        self.features = nn.Sequential(
            _block(3, width, stride=2),
            _block(width, width),
            _block(width, channels, stride=2),
            _block(channels, channels),
            _block(channels, channels),
        )
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


class LoudGate(SqueezeExcitation):
    """A squeeze-and-excitation gate that starts with something to say.

    Fresh weights give gates near one half, whatever the image. Here those of the second layer start `gain` times
    larger, so that gates spread as widely as trained ones do. All else is as in `SqueezeExcitation`.

    Args:
        channels: c, the channels of the input and the output.
        reduction: r; the hidden layer has max(c // r, 1) units.
        gain: of the second layer's weights.
    """

    def __init__(self, channels: int, reduction: int = 16, gain: float = 12.0):
        super().__init__(channels, reduction)
        with torch.no_grad():
            self.excite.weight *= gain


class FrozenGate(LoudGate):
    """A loud gate that stays as it was born: what an arbitrary gate does.

    It computes what `SqueezeExcitation` does, at the same cost, but nothing in it learns.

    Args: as for `LoudGate`.
    """

    def __init__(self, channels: int, reduction: int = 16, gain: float = 12.0):
        super().__init__(channels, reduction, gain)
        self.requires_grad_(False)


class ShuffledChannels(EfficientChannelAttention):
    """Efficient channel attention among neighbours drawn by lot: who is beside whom is shuffled, once.

    The convolution sees the channels in the order `order`, and each gate goes back to its own channel.

    Args:
        channels: c, the channels of the input and the output.
        kernel_size: k, odd; None takes it from the equation of `EfficientChannelAttention`.
    """

    order: Tensor

    def __init__(self, channels: int, kernel_size: int | None = None):
        super().__init__(channels, kernel_size)
        self.register_buffer("order", torch.randperm(channels))

    def attention(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c 1 1"]:
        return super().attention(x[:, self.order])[:, self.order.argsort()]


class PositionsFirst(CBAM):
    """CBAM in the other order: the channels are weighed by what is left of the positions."""

    def attention(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        of_positions = self.spatial.attention(x)
        return self.channel.attention(of_positions * x) * of_positions

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return self.channel(self.spatial(x))


class Parallel(CBAM):
    """CBAM's two gates side by side: both see x, and x is multiplied by both."""

    def attention(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return self.channel.attention(x) * self.spatial.attention(x)

    forward = AttentionModule.forward


class EvenKernels(SelectiveKernel):
    """Selective kernels that do not select: every branch has the same share everywhere.

    What is left of `SelectiveKernel` are its convolutions. What they bring, no attention brings.
    """

    def __init__(self, channels: int, branches: int = 2, groups: int = 32):
        super().__init__(channels, branches, groups=groups)
        del self.squeeze, self.norm, self.select

    def _share(self, seen: list[Tensor]) -> Float[Tensor, "b branches c"]:
        b, c = seen[0].shape[:2]
        return seen[0].new_full((b, len(seen), c), 1 / len(seen))


class Pointwise(nn.Module):
    r"""A non-local block whose positions see themselves alone: $x + \mathrm{BN}(W_z W_g x)$.

    About the parameters of `NonLocal`, and the same start as the identity, but no exchange between positions.

    Args:
        channels: c, the channels of the input, the output and between.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.g = nn.Conv2d(channels, channels, 1)
        self.out = nn.Conv2d(channels, channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        nn.init.zeros_(self.norm.weight)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return x + self.norm(self.out(self.g(x)))


CONTROLS: dict[str, Callable[..., nn.Module]] = {
    "even_kernels": EvenKernels,
    "frozen_gate": FrozenGate,
    "loud_gate": LoudGate,
    "parallel": Parallel,
    "pointwise": Pointwise,
    "positions_first": PositionsFirst,
    "shuffled_channels": ShuffledChannels,
}
