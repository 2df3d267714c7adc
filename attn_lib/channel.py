"""Attention over channels: how much each feature map, or each kernel size, counts, and for which others."""

import math

import torch
from einops import einsum, rearrange
from jaxtyping import Float
from torch import Tensor, nn

from .module import (
    AttentionModule,
    dot,
    inputs_of,
    require_features,
    require_heads,
    require_positive,
)

# Whole in a graph of torch.fx.
for leaf in ("dot", "einsum", "rearrange", "unit"):
    torch.fx.wrap(leaf)


class SqueezeExcitation(AttentionModule):
    r"""Weigh each channel by what the whole image says of it.

    $$ s = \sigma\big(W_2\,\mathrm{ReLU}(W_1\,\mathrm{GAP}(x))\big), \qquad y = s \odot x $$

    where GAP is the average over positions.

    Args:
        channels: c, the channels of the input and the output.
        reduction: r; the hidden layer has max(c // r, 1) units.
        bias: whether the two layers have biases.

    Shapes: (b, c, h, w) → (b, c, h, w); the weights are (b, c, 1, 1), each in (0, 1).

    Raises:
        ValueError: channels or reduction is below 1, or x is not (b, c, h, w) floats.

    Source: Hu, Shen, Sun, "Squeeze-and-Excitation Networks", CVPR 2018, section 3, eq. 2-4. The released
    Caffe models have biases in both layers; the paper's ablations and this default do not.
    """

    def __init__(self, channels: int, reduction: int = 16, bias: bool = False):
        super().__init__()
        require_positive(self, channels=channels, reduction=reduction)
        self.channels, self.reduction = channels, reduction
        hidden = max(channels // reduction, 1)  # with none, every gate would stay at 0.5
        self.squeeze = nn.Linear(channels, hidden, bias=bias)
        self.excite = nn.Linear(hidden, channels, bias=bias)

    def attention(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c 1 1"]:
        require_features(self, x, inputs_of(self.squeeze, self.channels))
        average = x.mean((2, 3))
        scores = self.excite(self.squeeze(average).relu())
        return rearrange(scores.sigmoid(), "b c -> b c 1 1")


class EfficientChannelAttention(AttentionModule):
    r"""Weigh each channel by its own average and those of its k - 1 neighbours, with k numbers to learn.

    $$ s = \sigma\big(\mathrm{Conv1d}_k(\mathrm{GAP}(x))\big), \qquad y = s \odot x, \qquad
       k = \Big|\frac{\log_2 c}{2} + \frac12\Big|_\mathrm{odd} $$

    where GAP is the average over positions and $|t|_\mathrm{odd}$ the odd number nearest to t.

    Args:
        channels: c, from which the equation takes k. Features of other widths are taken as well.
        kernel_size: k, odd; None takes it from the equation.

    Shapes: (b, c, h, w) → (b, c, h, w); the weights are (b, c, 1, 1), each in (0, 1).

    Raises:
        ValueError: channels is below 1, kernel_size is not odd and positive, or x is not (b, c, h, w) floats.

    Source: Wang, Wu, Zhu, Li, Zuo, Hu, "ECA-Net: Efficient Channel Attention for Deep Convolutional Neural
    Networks", CVPR 2020, section 3.2; eq. 12 gives k. For ResNet-50 it gives k = 5, 5, 5, 7 (86 weights), the
    text counts 80, which is k = 3, 5, 5, 7, and the released code takes 3 everywhere unless told. The code in
    the paper's figure 3 leaves out σ.
    """

    def __init__(self, channels: int, kernel_size: int | None = None):
        super().__init__()
        if channels < 1 or (
            kernel_size is not None and (kernel_size < 1 or kernel_size % 2 == 0)
        ):
            raise ValueError(
                f"EfficientChannelAttention wants channels >= 1 and an odd kernel_size >= 1 or None; got {channels=}, {kernel_size=}"
            )
        self.channels, self.kernel_size = channels, kernel_size
        if kernel_size is None:
            kernel_size = int(math.log2(channels) / 2 + 0.5) // 2 * 2 + 1
        self.conv = nn.Conv1d(1, 1, kernel_size, padding=kernel_size // 2, bias=False)

    def attention(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c 1 1"]:
        require_features(self, x)  # k says little of c: a pruned network has fewer
        average = rearrange(x.mean((2, 3)), "b c -> b c 1")
        # (b, 1, c) as a view convolves 5 times faster than as a copy.
        scores = self.conv(average.transpose(1, 2)).transpose(1, 2)
        return rearrange(scores.sigmoid(), "b c 1 -> b c 1 1")


class SelectiveKernel(AttentionModule):
    r"""See through kernels of several sizes, and let each channel choose its mixture of them.

    $$ U_m = \mathrm{ReLU}(\mathrm{BN}(K_m * x)), \qquad
       z = \mathrm{ReLU}\Big(\mathrm{BN}\big(W\,\mathrm{GAP}\big(\textstyle\sum_m U_m\big)\big)\Big), $$
    $$ A_{mc} = \mathrm{softmax}_m\big((V_m z)_c\big), \qquad y_c = \sum_m A_{mc}\, U_{mc} $$

    where $K_m$ is a 3×3 kernel dilated by m: two branches see 3×3 and 5×5 pixels. It stands in place of a
    convolution.

    Args:
        channels: c, the channels of the input and the output.
        branches: M, how many kernels.
        reduction: r; z has max(c // r, 32) numbers.
        groups: G; the kernels have as many groups as c allows, the greatest common divisor of G and c.

    Shapes: (b, c, h, w) → (b, c, h, w); the weights are (b, branches, c), and sum to 1 over the branches.

    Raises:
        ValueError: an argument is below 1, or x is not (b, c, h, w) floats.

    Source: Li, Wang, Hu, Yang, "Selective Kernel Networks", CVPR 2019, section 3.1, eq. 1-6. The released
    network definition has biases in neither fully connected layer, nor has this.
    """

    def __init__(self, channels: int, branches: int = 2, reduction: int = 16, groups: int = 32):
        super().__init__()
        require_positive(
            self, channels=channels, branches=branches, reduction=reduction, groups=groups
        )
        self.channels, self.reduction, self.groups = channels, reduction, groups
        hidden, groups = max(channels // reduction, 32), math.gcd(channels, groups)
        self.branches = nn.ModuleList(_branch(channels, 1 + m, groups) for m in range(branches))
        self.squeeze = nn.Linear(channels, hidden, bias=False)
        self.norm = nn.BatchNorm1d(hidden)
        self.select = nn.Linear(hidden, branches * channels, bias=False)

    def attention(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b branches c"]:
        require_features(self, x, inputs_of(self.branches, self.channels))
        return self._share([branch(x) for branch in self.branches])

    def reweight(
        self,
        x: Float[Tensor, "b c h w"],
        weights: Float[Tensor, "b branches c"],
    ) -> Float[Tensor, "b c h w"]:
        seen = torch.stack([branch(x) for branch in self.branches], dim=1)
        return einsum(seen, weights, "b branches c h w, b branches c -> b c h w")

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        require_features(self, x, inputs_of(self.branches, self.channels))
        seen = [branch(x) for branch in self.branches]
        shares = self._share(seen)[..., None, None].unbind(1)
        y = seen[0] * shares[0]
        for m in range(1, len(seen)):
            y = torch.addcmul(y, seen[m], shares[m])
        return y

    def _share(self, seen: list[Tensor]) -> Float[Tensor, "b branches c"]:
        # Of the sum over the branches.
        average: Tensor = sum(features.mean((2, 3)) for features in seen)  # type: ignore[assignment]
        require_batch(self, average)
        hidden = self.norm(self.squeeze(average)).relu()
        scores = rearrange(
            self.select(hidden), "b (branches c) -> b branches c", branches=len(seen)
        )
        return scores.softmax(dim=1)


def require_batch(module: SelectiveKernel, x: Tensor) -> None:
    """Refuse one image where its mean over the batch would be itself, and nothing be left of it.

    Raises:
        ValueError: with what to do.
    """
    if isinstance(x, torch.fx.Proxy):
        return
    norm = module.norm
    if norm.training and isinstance(norm, nn.BatchNorm1d) and x.shape[0] == 1:
        raise ValueError(
            f"{type(module).__name__} normalises over the batch: in training it wants at least 2 images, got 1; "
            "give it more, or freeze its normalisation with .norm.eval()"
        )


def _branch(channels: int, dilation: int, groups: int) -> nn.Sequential:
    convolution = nn.Conv2d(
        channels, channels, 3, padding=dilation, dilation=dilation, groups=groups, bias=False
    )
    return nn.Sequential(convolution, nn.BatchNorm2d(channels), nn.ReLU())


class CrossCovarianceAttention(AttentionModule):
    r"""Each channel gathers from the channels that vary over the image as it does: a relation between channels.

    $$ A^{(a)}_{ij} = \mathrm{softmax}_j\big(t_a\, \hat q_i^{\,\top} \hat k_j\big), \qquad
       y = x + W_o\, \big[\textstyle\sum_j A^{(a)}_{ij} v_j\big]_{a = 1 \dots \mathrm{heads}} $$

    where $q_i$, a row of $W_q x$, is channel i at all n positions, $\hat q_i$ is it divided by its length, k and v
    alike, and the channels are cut into heads that do not see one another. Each position is mixed alike: no position
    looks at another.

    Args:
        channels: c, the channels of the input and the output.
        heads: how many relations are made side by side, each of d = c / heads channels.
        bias: whether the three 1×1 convolutions for q, k and v have biases; $W_o$ has one.

    Shapes: (b, c, h, w) → (b, c, h, w); the weights are (b, heads, d, d), and each row sums to 1.

    Raises:
        ValueError: channels or heads is below 1, heads do not divide channels, or x is not (b, c, h, w) floats.

    Source: El-Nouby et al., "XCiT: Cross-Covariance Image Transformers", NeurIPS 2021, section 3.2. The paper
    divides the scores by a learned temperature τ; the released code multiplies by $t = 1/τ$, which starts at 1, and
    so does this. Layer normalisation before, LayerScale behind and the convolutions that mix neighbours belong to
    the block around it, not to this; the sum with x does here.
    """

    def __init__(self, channels: int, heads: int = 8, bias: bool = True):
        super().__init__()
        require_heads(self, channels, heads)
        self.channels, self.heads = channels, heads
        self.query = nn.Conv2d(channels, channels, 1, bias=bias)
        self.key = nn.Conv2d(channels, channels, 1, bias=bias)
        self.value = nn.Conv2d(channels, channels, 1, bias=bias)
        self.out = nn.Conv2d(channels, channels, 1)
        self.temperature = nn.Parameter(torch.ones(heads))

    def attention(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b heads d d"]:
        require_features(self, x, inputs_of(self.query, self.channels))
        query, key = unit(self._cut(self.query(x))), unit(self._cut(self.key(x)))
        scores = dot(query, key, "b heads d n, b heads e n -> b heads d e")
        scores = scores * rearrange(self.temperature, "heads -> heads 1 1")
        return scores.softmax(dim=-1).to(x.dtype)

    def reweight(
        self, x: Float[Tensor, "b c h w"], weights: Float[Tensor, "b heads d d"]
    ) -> Float[Tensor, "b c h w"]:
        mixed = einsum(
            weights, self._cut(self.value(x)), "b heads d e, b heads e n -> b heads d n"
        )
        mixed = rearrange(mixed, "b heads d (h w) -> b (heads d) h w", h=x.shape[2])
        return x + self.out(mixed).to(x.dtype)

    def _cut(self, features: Tensor) -> Float[Tensor, "b heads d n"]:
        return rearrange(features, "b (heads d) h w -> b heads d (h w)", heads=self.heads)


def unit(x: Float[Tensor, "*b n"]) -> Float[Tensor, "*b n"]:
    """Rows of length 1, by squares in float32 at least; a row of zeros stays, with derivatives of any order."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    squares = wide.square().sum(-1, keepdim=True)
    return (wide * squares.clamp(min=1e-24).rsqrt()).to(x.dtype)
