"""Attention over positions: each position of a feature map looks at all the others."""

import torch
import torch.nn.functional as F
from einops import einsum, rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm as spectrally_normed

from .module import AttentionModule, attend, require_features


class SelfAttention2d(AttentionModule):
    r"""Each position gathers features from the positions whose keys match its query.

    $$ A_{ij} = \mathrm{softmax}_j\big(q_i^\top k_j\big), \qquad
       y_i = x_i + \gamma\, W_o \sum_j A_{ij}\, v_j $$

    with $q = W_q x$, $k = W_k x$, $v = W_v x$, each a 1×1 convolution. The scores are not divided by
    $\sqrt d$. $\gamma$ starts at 0: the module begins as the identity.

    Args:
        channels: c, the channels of the input and the output.
        reduction: r; queries and keys have c // r channels.
        value_reduction: values have c // value_reduction channels; above 1, a 1×1 convolution
            $W_o$ brings them back to c (with 1 there is none).
        subsample: halve the grid of keys and values by 2×2 max pooling, so that m = ⌈h/2⌉·⌈w/2⌉.
        spectral_norm: divide each convolution's weight by its largest singular value.
        bias: whether the convolutions have biases.

    Shapes: (b, c, h, w) → (b, c, h, w); the weights are (b, n, m), n = h·w queries by m keys (m = n
    unless `subsample`), and each row sums to 1.

    Raises:
        ValueError: an argument leaves no query, key or value channel, or x is not (b, c, h, w) floats.

    Source: Zhang, Goodfellow, Metaxas, Odena, "Self-Attention Generative Adversarial Networks", ICML
    2019, section 3, eq. 1-3. The paper: `value_reduction=8, spectral_norm=True`. The authors' released
    TensorFlow code differs: `value_reduction=2, subsample=True, spectral_norm=True, bias=False`, pooling
    without the last row or column of an odd grid, which `subsample` keeps. The default is the form of the
    best-known PyTorch version: full-width values, no normalisation.
    """

    def __init__(self, channels: int, reduction: int = 8, *, value_reduction: int = 1,
                 subsample: bool = False, spectral_norm: bool = False, bias: bool = True):  # fmt: skip
        super().__init__()
        if min(channels, reduction, value_reduction) < 1 or channels < max(
            reduction, value_reduction
        ):
            raise ValueError(
                f"SelfAttention2d(channels={channels}, reduction={reduction}, value_reduction={value_reduction}) "
                "leaves no query or value channel: all must be at least 1, and channels at least either reduction"
            )
        self.channels = channels
        normed = spectrally_normed if spectral_norm else nn.Identity()
        width = channels // value_reduction
        self.query = normed(nn.Conv2d(channels, channels // reduction, 1, bias=bias))
        self.key = normed(nn.Conv2d(channels, channels // reduction, 1, bias=bias))
        self.value = normed(nn.Conv2d(channels, width, 1, bias=bias))
        self.out = (
            nn.Identity()
            if value_reduction == 1
            else normed(nn.Conv2d(width, channels, 1, bias=bias))
        )
        self.pool = nn.MaxPool2d(2, ceil_mode=True) if subsample else nn.Identity()
        self.gamma = nn.Parameter(torch.zeros(1))

    def attention(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b n m"]:
        require_features(self, x, self.channels)
        query = rearrange(self.query(x), "b d h w -> b (h w) d")
        key = rearrange(self.pool(self.key(x)), "b d h w -> b (h w) d")
        scores = einsum(query, key, "b n d, b m d -> b n m")
        return scores.softmax(dim=-1)

    def reweight(
        self,
        x: Float[Tensor, "b c h w"],
        weights: Float[Tensor, "b n m"],
    ) -> Float[Tensor, "b c h w"]:
        value = rearrange(self.pool(self.value(x)), "b d h w -> b (h w) d")
        attended = einsum(weights, value, "b n m, b m d -> b n d")
        attended = rearrange(attended, "b (h w) d -> b d h w", h=x.shape[2])
        return x + self.gamma.to(x.dtype) * self.out(attended)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        require_features(self, x, self.channels)
        query, key, value = self._project(x)
        attended = attend(query, key, value)
        attended = rearrange(attended, "b (h w) d -> b d h w", h=x.shape[2])
        return torch.addcmul(x, self.gamma.to(x.dtype), self.out(attended).to(x.dtype))

    def _project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries (b, n, d), keys (b, m, d) and values (b, m, width), by one convolution instead of three."""
        parts = (self.query, self.key, self.value)
        bias = None if self.query.bias is None else torch.cat([part.bias for part in parts])
        joint = F.conv2d(x, torch.cat([part.weight for part in parts]), bias)
        query, key_value = joint.split(
            [self.query.out_channels, self.key.out_channels + self.value.out_channels], 1
        )
        key, value = self.pool(key_value).split(
            [self.key.out_channels, self.value.out_channels], 1
        )
        return tuple(rearrange(part, "b d h w -> b (h w) d") for part in (query, key, value))
