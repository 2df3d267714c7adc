"""Attention over channels and positions: one after the other, or both at once."""

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from .fast import convolve_pair
from .module import (
    AttentionModule,
    inputs_of,
    is_bare,
    is_traced,
    require_features,
    require_positive,
)

# Whole in a graph of torch.fx.
for leaf in ("convolve_pair", "highest", "inverse_energy", "rearrange"):
    torch.fx.wrap(leaf)


class ChannelGate(AttentionModule):
    r"""Weigh each channel by its average and its highest value over the image.

    $$ M_c = \sigma\big(\mathrm{MLP}(\mathrm{avg}_{h,w}\, x) + \mathrm{MLP}(\max_{h,w} x)\big), \qquad y = M_c \odot x $$

    with one MLP for both, $\mathrm{MLP}(s) = W_1\,\mathrm{ReLU}(W_0\, s)$.

    Args:
        channels: c, the channels of the input and the output.
        reduction: r; the hidden layer has max(c // r, 1) units.
        bias: whether the two layers have biases.

    Shapes: (b, c, h, w) → (b, c, h, w); the weights are (b, c, 1, 1), each in (0, 1).

    Raises:
        ValueError: channels or reduction is below 1, or x is not (b, c, h, w) floats.

    Source: Woo, Park, Lee, Kweon, "CBAM: Convolutional Block Attention Module", ECCV 2018, section 3.1, eq. 2.
    The equation has no biases; the released code has them, and so has this default.
    """

    def __init__(self, channels: int, reduction: int = 16, bias: bool = True):
        super().__init__()
        require_positive(self, channels=channels, reduction=reduction)
        self.channels, self.reduction = channels, reduction
        hidden = max(channels // reduction, 1)
        self.mlp = nn.Sequential(
            nn.Linear(channels, hidden, bias=bias),
            nn.ReLU(),
            nn.Linear(hidden, channels, bias=bias),
        )

    def attention(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c 1 1"]:
        require_features(self, x, inputs_of(self.mlp, self.channels))
        scores = self.mlp(x.mean((2, 3))) + self.mlp(highest(x.flatten(2), 2))
        return rearrange(scores.sigmoid(), "b c -> b c 1 1")


class SpatialGate(AttentionModule):
    r"""Weigh each position by the highest and the average of its channels, there and around.

    $$ M_s = \sigma\big(\mathrm{BN}(f^{k \times k}[\max_c x;\ \mathrm{avg}_c\, x])\big), \qquad y = M_s \odot x $$

    where $f$ is a convolution from two channels to one.

    Args:
        kernel_size: k, odd.
        norm: normalise the scores over the batch, as the released code does; without, the convolution has a
            bias, as in the equation.

    Shapes: (b, c, h, w) → (b, c, h, w), for any c; the weights are (b, 1, h, w), each in (0, 1).

    Raises:
        ValueError: kernel_size is not odd and positive, or x is not (b, c, h, w) floats.

    Source: Woo, Park, Lee, Kweon, "CBAM: Convolutional Block Attention Module", ECCV 2018, section 3.2, eq. 3.
    The equation writes [avg; max] and no normalisation; the released code stacks [max; avg] and adds BN with
    momentum 0.01, and so does this.
    """

    def __init__(self, kernel_size: int = 7, norm: bool = True):
        super().__init__()
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"SpatialGate wants an odd kernel_size >= 1; got {kernel_size=}")
        self.conv = nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2, bias=not norm)
        self.norm = nn.BatchNorm2d(1, momentum=0.01) if norm else nn.Identity()

    def attention(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 1 h w"]:
        require_features(self, x)
        pooled = torch.stack([highest(x, 1), x.mean(1)], dim=1)
        return self.norm(self.conv(pooled)).sigmoid()

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        require_features(self, x)
        pooled = torch.stack([highest(x, 1), x.mean(1)], dim=1)
        return x * self.norm(convolve_pair(pooled, self.conv)).sigmoid()


class CBAM(AttentionModule):
    r"""Weigh the channels, then, by what is left of them, the positions.

    $$ x' = M_c(x) \odot x, \qquad y = M_s(x') \odot x' = \big(M_s(x') \odot M_c(x)\big) \odot x $$

    with $M_c$ of `ChannelGate` and $M_s$ of `SpatialGate`, its parts `channel` and `spatial`.

    Args:
        channels: c, the channels of the input and the output.
        reduction: r; the channel gate's hidden layer has max(c // r, 1) units.
        kernel_size: k of the spatial gate, odd.
        norm: whether the spatial gate has BN in place of a bias.
        released_start: start as the authors' ResNet does, with all biases and the weight of BN at 0: the spatial
            gate is ½ everywhere until that weight has learned. False starts each layer as PyTorch does.

    Shapes: (b, c, h, w) → (b, c, h, w); the weights are the product of both gates, (b, c, h, w), each in
    (0, 1). `record` also shows the two gates, (b, c, 1, 1) and (b, 1, h, w), by the names of the parts.

    Raises:
        ValueError: channels or reduction is below 1, kernel_size is not odd, or x is not (b, c, h, w) floats.

    Source: Woo, Park, Lee, Kweon, "CBAM: Convolutional Block Attention Module", ECCV 2018, section 3, eq. 1;
    `ChannelGate` and `SpatialGate` say where the released code differs.
    """

    def __init__(
        self,
        channels: int,
        reduction: int = 16,
        kernel_size: int = 7,
        norm: bool = True,
        released_start: bool = False,
    ):
        super().__init__()
        self.channel = ChannelGate(channels, reduction)
        self.spatial = SpatialGate(kernel_size, norm)
        if released_start:
            for name, parameter in self.named_parameters():
                if name.endswith("bias") or name == "spatial.norm.weight":
                    nn.init.zeros_(parameter)

    def attention(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        of_channels = self.channel.attention(x)
        bare = is_bare(self.channel, ChannelGate)
        gated = of_channels * x if bare else self.channel(x)
        of_positions = self.spatial.attention(gated)
        return of_channels * of_positions

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return self.spatial(self.channel(x))


class SimAM(AttentionModule):
    r"""Weigh each number by how far it stands out of its channel; nothing is learned.

    $$ \frac1{E_i} = \frac{(x_i - \mu)^2}{4\,(\sigma^2 + \lambda)} + \frac12, \qquad
       y_i = \mathrm{sigmoid}\Big(\frac1{E_i}\Big)\, x_i $$

    with the mean μ and the variance σ² of that channel of that image. E is the least energy of a linear function
    that tells $x_i$ from the other positions: the lower, the easier it is to tell.

    Args:
        regularisation: λ.

    Shapes: (b, c, h, w) → (b, c, h, w), for any c; the weights are (b, c, h, w), each from sigmoid(½) = 0.62 to 1.

    Raises:
        ValueError: regularisation is not positive, or x is not (b, c, h, w) floats.

    Source: Yang, Zhang, Li, Xie, "SimAM: A Simple, Parameter-Free Attention Module for Convolutional Neural
    Networks", ICML 2021, eq. 5 for E. The released code divides the variance by n - 1, as this does, and gives NaN
    for a single position, where this takes a variance of 0. λ is 1e-4 there; its ImageNet commands set 0.1.
    """

    def __init__(self, regularisation: float = 1e-4):
        super().__init__()
        if not regularisation > 0:
            raise ValueError(f"SimAM wants a regularisation > 0; got {regularisation=}")
        self.regularisation = regularisation

    def attention(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        require_features(self, x)
        return inverse_energy(x, self.regularisation).sigmoid().to(x.dtype)


class CoordinateAttention(AttentionModule):
    r"""Weigh each channel row by row and column by column: a gate that knows where, in two directions.

    $$ f = \delta\big(\mathrm{BN}(W_1\,[\mathrm{avg}_w\, x;\ \mathrm{avg}_h\, x])\big), \qquad
       g^h = \sigma(W_h f^h), \quad g^w = \sigma(W_w f^w), $$
    $$ y_{cij} = g^h_{ci}\, g^w_{cj}\, x_{cij} $$

    where [;] puts the h averages of rows and the w averages of columns in one sequence, which f is split into again,
    and $\delta(t) = t \min(\max(t + 3, 0), 6) / 6$.

    Args:
        channels: c, the channels of the input and the output.
        reduction: r; f has max(c // r, 8) channels.

    Shapes: (b, c, h, w) → (b, c, h, w); the weights are the product of both gates, (b, c, h, w), each in (0, 1).

    Raises:
        ValueError: channels or reduction is below 1, or x is not (b, c, h, w) floats.

    Source: Hou, Zhou, Feng, "Coordinate Attention for Efficient Mobile Network Design", CVPR 2021, section 3. BN,
    the form of δ (hard swish), the 8 and the biases are those of the released code. In training BN forgets the
    bias of $W_1$.
    """

    def __init__(self, channels: int, reduction: int = 32):
        super().__init__()
        require_positive(self, channels=channels, reduction=reduction)
        self.channels, self.reduction = channels, reduction
        hidden = max(channels // reduction, 8)
        self.squeeze = nn.Sequential(
            nn.Conv1d(channels, hidden, 1), nn.BatchNorm1d(hidden), nn.Hardswish()
        )
        self.rows = nn.Conv1d(hidden, channels, 1)
        self.columns = nn.Conv1d(hidden, channels, 1)

    def attention(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        require_features(self, x, inputs_of(self.squeeze, self.channels))
        seen = self.squeeze(torch.cat([x.mean(3), x.mean(2)], dim=2))
        of_rows, of_columns = seen.split([x.shape[2], x.shape[3]], dim=2)
        gate_of_rows = rearrange(self.rows(of_rows).sigmoid(), "b c h -> b c h 1")
        gate_of_columns = rearrange(self.columns(of_columns).sigmoid(), "b c w -> b c 1 w")
        return gate_of_rows * gate_of_columns


def inverse_energy(x: Float[Tensor, "b c h w"], smooth: float) -> Float[Tensor, "b c h w"]:
    """1/E of `SimAM`, in float32 at least: squares leave float16's range."""
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    n = x.shape[2] * x.shape[3]
    squares = (x - x.mean((2, 3), keepdim=True)).square()
    # One position has no variance: 0 / 1 in place of 0 / 0, and no branch that a traced graph would fix.
    variance = squares.sum((2, 3), keepdim=True) / (n - 1 + 1 // n)
    return squares / (4 * (variance + smooth)) + 0.5


def highest(x: Tensor, dim: int) -> Tensor:
    """The maximum along an axis: `amax` is fast without gradients, `max`, which knows where it was, with them."""
    learns = x.requires_grad and torch.is_grad_enabled() and not is_traced()
    return x.max(dim).values if learns else x.amax(dim)
