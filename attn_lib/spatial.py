"""Attention over positions: each position of a feature map looks at all the others."""

import torch
import torch.nn.functional as F
from einops import einsum, rearrange, repeat
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm as spectrally_normed

from .fast import Halve, attend, average, hinge_mean, product_mean, project, tokens
from .module import (
    AXES,
    AttentionModule,
    dot,
    inputs_of,
    is_bare,
    require_features,
    require_positive,
)

# What decides by shapes stays whole in a graph of torch.fx.
for leaf in ("attend", "average", "dot", "einsum", "hinge_mean", "product_mean", "rearrange", "repeat"):  # fmt: skip
    torch.fx.wrap(leaf)

MODES = ("gaussian", "embedded_gaussian", "dot_product", "concatenation")


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
        self.reduction, self.value_reduction = reduction, value_reduction
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
        self.pool = Halve() if subsample else nn.Identity()
        self.gamma = nn.Parameter(torch.zeros(1))

    def attention(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b n m"]:
        require_features(self, x, inputs_of(self.query, self.channels))
        query = rearrange(self.query(x), "b d h w -> b (h w) d")
        key = rearrange(self.pool(self.key(x)), "b d h w -> b (h w) d")
        scores = dot(query, key, "b n d, b m d -> b n m")
        return scores.softmax(dim=-1).to(x.dtype)

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
        require_features(self, x, inputs_of(self.query, self.channels))
        query, key, value = project(x, (self.query, self.key, self.value), self.pool)
        attended = attend(query, key, value)
        attended = rearrange(attended, "b (h w) d -> b d h w", h=x.shape[2])
        return torch.addcmul(x, self.gamma.to(x.dtype), self.out(attended).to(x.dtype))


class NonLocal(AttentionModule):
    r"""Each position gathers features from all others, by one of four ways to compare two positions.

    $$ y_i = \sum_j A_{ij}\, g(x_j), \qquad z_i = x_i + \mathrm{BN}(W_z\, y_i) $$

    with $g(x) = W_g x$, $\theta(x) = W_\theta x$, $\phi(x) = W_\phi x$, each a 1×1 convolution to c // r
    channels, and, for m positions j,

    $$ A_{ij} = \begin{cases}
       \mathrm{softmax}_j(x_i^\top x_j) & \text{gaussian} \\
       \mathrm{softmax}_j\big(\theta(x_i)^\top \phi(x_j)\big) & \text{embedded\_gaussian} \\
       \tfrac1m\, \theta(x_i)^\top \phi(x_j) & \text{dot\_product} \\
       \tfrac1m\, \mathrm{ReLU}\big(w_\theta^\top \theta(x_i) + w_\phi^\top \phi(x_j)\big) & \text{concatenation}
       \end{cases} $$

    The batch normalisation's γ starts at 0: the module begins as the identity.

    Args:
        channels: c, the channels of the input and the output.
        mode: how two positions are compared, as above.
        ndim: 1 for sequences (b, c, t), 2 for images (b, c, h, w), 3 for videos (b, c, t, h, w).
        subsample: halve height and width (or t, of a sequence) of φ and g by max pooling.
        reduction: r; the embeddings have max(c // r, 1) channels.
        scaled: divide a Gaussian's scores by the square root of their width.
        pool_first: subsample the input of φ and g, not what they give.

    Shapes: (b, c, *size) → (b, c, *size); the weights are (b, n, m), n queries by m keys. Each row sums to 1
    in the two Gaussian modes; in the others the weights are scores, and a dot product may be negative. Scores
    beyond 65,504 leave the range of float16; bfloat16 has room for them.

    Raises:
        ValueError: mode or ndim is none of the above, channels or reduction is below 1, or x is not
            (b, c, *size) floats.

    Source: Wang, Girshick, Gupta, He, "Non-local Neural Networks", CVPR 2018, section 3, eq. 1-6. The authors'
    released code differs: embedded Gaussians are `scaled`, it is `pool_first`, the convolutions start with
    σ = 0.01, and pooling drops the last row or column of an odd grid, which `subsample` keeps.
    """

    def __init__(self, channels: int, mode: str = "embedded_gaussian", ndim: int = 2, subsample: bool = False,
                 *, reduction: int = 2, scaled: bool = False, pool_first: bool = False):  # fmt: skip
        super().__init__()
        if mode not in MODES or ndim not in AXES or min(channels, reduction) < 1:
            raise ValueError(
                f"NonLocal({channels=}, {mode=}, {ndim=}, {reduction=}): mode is one of {', '.join(MODES)}, "
                "ndim 1, 2 or 3, channels and reduction at least 1"
            )
        convolution = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[ndim - 1]
        norm = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)[ndim - 1]
        self.channels, self.mode, self.ndim = channels, mode, ndim
        self.reduction, self.pool_first, embedded = reduction, pool_first, mode != "gaussian"
        self.inner = max(channels // reduction, 1)
        self.scale = (self.inner if embedded else channels) ** -0.5 if scaled else 1.0
        self.theta = convolution(channels, self.inner, 1) if embedded else nn.Identity()
        self.phi = convolution(channels, self.inner, 1) if embedded else nn.Identity()
        self.g = convolution(channels, self.inner, 1)
        if mode == "concatenation":
            self.compare = nn.Linear(2 * self.inner, 1, bias=False)
        self.pool = Halve() if subsample else nn.Identity()
        self.out = convolution(self.inner, channels, 1, bias=False)
        self.norm = norm(channels)
        nn.init.zeros_(self.norm.weight)

    def attention(self, x: Float[Tensor, "b c *size"]) -> Float[Tensor, "b n m"]:
        require_features(self, x, inputs_of(self.g, self.channels), self.ndim)
        theta, phi = tokens(self.theta(x)), self._others(self.phi, x)
        if self.mode == "concatenation":
            return self._compared(theta, phi).relu() / phi.shape[1]
        scores = dot(theta, phi, "b n d, b m d -> b n m")
        if self.mode == "dot_product":
            return (scores / phi.shape[1]).to(x.dtype)
        return (self.scale * scores).softmax(dim=-1).to(x.dtype)

    def reweight(
        self,
        x: Float[Tensor, "b c *size"],
        weights: Float[Tensor, "b n m"],
    ) -> Float[Tensor, "b c *size"]:
        gathered = einsum(weights, self._others(self.g, x), "b n m, b m d -> b n d")
        return x + self.norm(self.out(gathered.transpose(1, 2).unflatten(2, x.shape[2:])))

    def forward(self, x: Float[Tensor, "b c *size"]) -> Float[Tensor, "b c *size"]:
        require_features(self, x, inputs_of(self.g, self.channels), self.ndim)
        theta, phi, g = self._project(x)
        if self.mode == "concatenation":
            if is_bare(self.compare, nn.Linear):
                gathered = hinge_mean(*self._halves(theta, phi), g)
            else:
                gathered = average(self._compared(theta, phi).relu() / phi.shape[1], g)
        elif self.mode == "dot_product":
            gathered = product_mean(theta, phi, g)
        else:
            gathered = attend(self.scale * theta if self.scale != 1 else theta, phi, g)
        return x + self.norm(self.out(gathered.transpose(1, 2).unflatten(2, x.shape[2:])))

    def _others(self, part: nn.Module, x: Tensor) -> Float[Tensor, "b m d"]:
        return tokens(part(self.pool(x)) if self.pool_first else self.pool(part(x)))

    def _compared(self, theta: Tensor, phi: Tensor) -> Float[Tensor, "b n m"]:
        """w·[θ_i, φ_j] of all pairs."""
        if is_bare(self.compare, nn.Linear):
            of_i, of_j = self._halves(theta, phi)
            return rearrange(of_i, "b n -> b n 1") + rearrange(of_j, "b m -> b 1 m")
        n, m = theta.shape[1], phi.shape[1]
        of_i = repeat(theta, "b n d -> b n m d", m=m)
        of_j = repeat(phi, "b m d -> b n m d", n=n)
        return self.compare(torch.cat([of_i, of_j], dim=-1)).squeeze(-1)

    def _halves(self, theta: Tensor, phi: Tensor) -> tuple[Tensor, Tensor]:
        """w·[θ, φ] is a sum of two numbers, one that i brings (b, n) and one that j brings (b, m)."""
        w_theta, w_phi = self.compare.weight.chunk(2, dim=1)
        return F.linear(theta, w_theta).squeeze(2), F.linear(phi, w_phi).squeeze(2)

    def _project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """θ (b, n, d), φ (b, m, d) and g (b, m, inner)."""
        if self.mode == "gaussian" or self.pool_first:
            return tokens(self.theta(x)), self._others(self.phi, x), self._others(self.g, x)
        return project(x, (self.theta, self.phi, self.g), self.pool)


class GlobalContext(AttentionModule):
    r"""All positions receive the same: what one weighted average of the image, one row of a relation, has to say.

    $$ A_j = \mathrm{softmax}_j(w_k^\top x_j + b_k), \qquad
       y_i = x_i + W_2\, \mathrm{ReLU}\big(\mathrm{LN}(W_1 \textstyle\sum_j A_j\, x_j)\big) $$

    $W_2$ and its bias start at 0: the module begins as the identity.

    Args:
        channels: c, the channels of the input and the output.
        reduction: r; the hidden layer has max(c // r, 2) units: of one, LN would leave nothing.

    Shapes: (b, c, h, w) → (b, c, h, w); the weights are (b, h, w), and sum to 1 over the positions.

    Raises:
        ValueError: channels or reduction is below 1, or x is not (b, c, h, w) floats.

    Source: Cao, Xu, Lin, Wei, Hu, "GCNet: Non-local Networks Meet Squeeze-Excitation Networks and Beyond", ICCV
    Workshops 2019, section 3.3. The released code has biases in all three convolutions, and so has this; softmax
    forgets $b_k$. It may also multiply by a sigmoid; timm's `GlobalContext` does so unless told to add.
    """

    def __init__(self, channels: int, reduction: int = 16):
        super().__init__()
        require_positive(self, channels=channels, reduction=reduction)
        self.channels, self.reduction = channels, reduction
        hidden = max(channels // reduction, 2)
        self.key = nn.Conv2d(channels, 1, 1)
        last = nn.Linear(hidden, channels)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        first, norm = nn.Linear(channels, hidden), nn.LayerNorm(hidden)
        self.transform = nn.Sequential(first, norm, nn.ReLU(), last)

    def attention(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b h w"]:
        require_features(self, x, inputs_of(self.key, self.channels))
        scores = self.key(x)
        return scores.flatten(1).softmax(dim=-1).view_as(scores).squeeze(1).to(x.dtype)

    def reweight(
        self, x: Float[Tensor, "b c h w"], weights: Float[Tensor, "b h w"]
    ) -> Float[Tensor, "b c h w"]:
        context = einsum(weights, x, "b h w, b c h w -> b c")
        return x + rearrange(self.transform(context), "b c -> b c 1 1").to(x.dtype)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        # As matrices times vectors, which leave the gradients of x in x's own layout.
        weights = self.attention(x).flatten(1).unsqueeze(2)
        context = torch.bmm(x.flatten(2), weights).squeeze(2)
        return x + rearrange(self.transform(context), "b c -> b c 1 1").to(x.dtype)
