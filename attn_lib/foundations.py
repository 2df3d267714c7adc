"""Attention with nothing to learn, or next to nothing."""

import torch
import torch.nn.functional as F
from einops import einsum, rearrange
from jaxtyping import Float
from torch import Tensor, nn

from .fast import attend
from .module import AttentionModule, dot, in_own_type, laid_out_as, require_features

# Whole in a graph of torch.fx: shapes decide within.
for leaf in ("average_of_alike", "dot", "einsum", "laid_out_as", "patches_of", "rearrange"):
    torch.fx.wrap(leaf)


class NonLocalMeans(AttentionModule):
    r"""Each position becomes an average of all positions, weighed by how alike their surroundings look.

    $$ A_{ij} = \mathrm{softmax}_j\Big(-\frac{\lVert P_i - P_j \rVert^2}{s^2}\Big), \qquad y_i = \sum_j A_{ij}\, x_j $$

    where $P_i$ is the k×k patch around position i, all c channels of it, and the norm averages over the
    patch with Gaussian weights of σ = (k - 1) / 4 that favour its centre. Nothing is learned.

    Args:
        patch: k, the side of a patch; odd.
        strength: s, in units of x: where two patches differ by s (weighted root mean square over
            pixels and channels), the weight falls to 1/e.

    Shapes: (b, c, h, w) → (b, c, h, w); the weights are (b, n, n), n = h·w, and each row sums to 1.

    Raises:
        ValueError: patch is not odd and positive, strength is not positive, or x is not (b, c, h, w)
            floats with h and w above k // 2.

    Source: Buades, Coll, Morel, "A non-local algorithm for image denoising", CVPR 2005, section 3. Like
    the paper's definition it averages over the whole image; implementations search a window.
    """

    def __init__(self, patch: int = 3, strength: float = 0.08):
        super().__init__()
        if patch < 1 or patch % 2 == 0 or not strength > 0:
            raise ValueError(
                f"NonLocalMeans wants an odd patch >= 1 and a strength > 0; got {patch=}, {strength=}"
            )
        self.patch, self.strength = patch, strength

    def attention(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b n n"]:
        require_features(self, x)
        patches = patches_of(x, self.patch, self.strength)
        # |p - q|² = |p|² - 2 p·q + |q|²: unlike a distance it has derivatives where p is q.
        squares = patches.square().sum(-1)
        products = dot(patches, patches, "b n d, b m d -> b n m")
        of_i, of_j = rearrange(squares, "b n -> b n 1"), rearrange(squares, "b m -> b 1 m")
        scores = 2 * products - of_i - of_j
        return scores.softmax(dim=-1).to(x.dtype)

    def reweight(
        self,
        x: Float[Tensor, "b c h w"],
        weights: Float[Tensor, "b n n"],
    ) -> Float[Tensor, "b c h w"]:
        averages = einsum(weights, x.flatten(2), "b n m, b c m -> b c n")
        return averages.reshape(x.shape)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        require_features(self, x)
        patches = patches_of(x, self.patch, self.strength)
        averages = average_of_alike(patches, rearrange(x, "b c h w -> b (h w) c"))
        averages = rearrange(averages, "b (h w) c -> b c h w", h=x.shape[2])
        return laid_out_as(x, averages.to(x.dtype))


def average_of_alike(
    patches: Float[Tensor, "b n e"], values: Float[Tensor, "b n c"]
) -> Float[Tensor, "b n c"]:
    """softmax_j(-|p_i - p_j|²) · values, without a map.

    -|p - q|² = 2 p·q - |q|² - |p|², and softmax over q forgets |p|²: a dot product is all it takes.
    """
    with in_own_type(patches):  # squares leave float16's range
        squares = patches.square().sum(-1, keepdim=True)
        query = torch.cat([2 * patches, torch.ones_like(squares)], -1)
        key = torch.cat([patches, -squares], -1)
        return attend(query, key, values.to(key.dtype))


def patches_of(
    x: Float[Tensor, "b c h w"], side: int, strength: float
) -> Float[Tensor, "b n e"]:
    """The patch around each position, scaled so that squared distances are scores.

    Raises:
        ValueError: x is too small for a patch to be mirrored at its edges.
    """
    margin = side // 2
    if min(x.shape[2:]) <= margin:
        raise ValueError(
            f"patches of side {side} want images above {margin} pixels; got {tuple(x.shape)}"
        )
    # Squares want float32's digits and its range.
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    patches = F.unfold(F.pad(x, (margin,) * 4, mode="reflect"), side).transpose(1, 2)
    offsets = torch.arange(-margin, margin + 1, device=x.device) / (max(2 * margin, 1) / 4)
    favour = torch.exp(-0.5 * (offsets[:, None] ** 2 + offsets**2)).flatten()
    # Of a pixel in the mean over a patch.
    share = (favour / favour.sum() / x.shape[1]).repeat(x.shape[1])
    return patches * share.to(x.dtype).sqrt() / strength


class AttentionPooling(AttentionModule):
    r"""The whole image in one vector: an average of all positions, weighed by how well each matches one query.

    $$ A_i = \mathrm{softmax}_i(q^\top x_i), \qquad y = \sum_i A_i\, x_i $$

    The query q is all that is learned. It starts at 0: the module begins as the plain average over positions,
    in whose place it stands.

    Args:
        channels: c, the channels of the input and the length of the output.

    Shapes: (b, c, h, w) → (b, c); the weights are (b, h, w), and sum to 1 over the positions.

    Raises:
        ValueError: channels is below 1, or x is not (b, c, h, w) floats.

    Source: the attention of Yang, Yang, Dyer, He, Smola, Hovy, "Hierarchical Attention Networks for Document
    Classification", NAACL 2016, section 2.2, eq. 6-7, one learned query for all inputs, over positions in place
    of words; the paper passes them through a tanh layer first.
    """

    def __init__(self, channels: int):
        super().__init__()
        if channels < 1:
            raise ValueError(f"AttentionPooling wants channels >= 1; got {channels=}")
        self.query = nn.Parameter(torch.zeros(channels))

    def attention(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b h w"]:
        require_features(self, x, self.query.shape[0])
        scores = dot(self.query, x, "c, b c h w -> b h w")
        return scores.flatten(1).softmax(dim=-1).view_as(scores).to(x.dtype)

    def reweight(
        self, x: Float[Tensor, "b c h w"], weights: Float[Tensor, "b h w"]
    ) -> Float[Tensor, "b c"]:
        return einsum(weights, x, "b h w, b c h w -> b c")

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c"]:
        # Both products as matrices times vectors: they leave the gradients of x in x's own layout.
        require_features(self, x, self.query.shape[0])
        positions = x.flatten(2)
        query = self.query.expand(x.shape[0], 1, -1)
        weights = dot(query, positions, "b i c, b c n -> b i n").softmax(dim=-1)
        return torch.bmm(positions, weights.to(x.dtype).transpose(1, 2)).squeeze(2)
