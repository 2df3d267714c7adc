"""What is put into the host beside the mechanisms: each leaves something out, to show what that was worth."""

from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..channel import EfficientChannelAttention, SelectiveKernel, SqueezeExcitation
from ..mixed import CBAM
from ..module import AttentionModule


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


class OneKernel(EvenKernels):
    """One of the two branches of selective kernels, alone: what a second convolution brings, with no second to choose.

    Args:
        channels: c, the channels of the input and the output.
        dilation: of its 3×3 kernel.
    """

    def __init__(self, channels: int, dilation: int = 1):
        super().__init__(channels, branches=dilation)
        del self.branches[: dilation - 1]


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
    "one_kernel": OneKernel,
    "parallel": Parallel,
    "pointwise": Pointwise,
    "positions_first": PositionsFirst,
    "shuffled_channels": ShuffledChannels,
    "wide_kernel": partial(OneKernel, dilation=2),
}
