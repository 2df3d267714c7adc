"""Attention with nothing to learn, or next to nothing."""

import torch
import torch.nn.functional as F
from einops import einsum, rearrange
from jaxtyping import Float
from torch import Tensor, nn

from .module import AttentionModule, attend, require_features


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
        patches = self._patches(x)
        scores = -torch.cdist(patches, patches).square()
        return scores.softmax(dim=-1)

    def reweight(
        self,
        x: Float[Tensor, "b c h w"],
        weights: Float[Tensor, "b n n"],
    ) -> Float[Tensor, "b c h w"]:
        averages = einsum(weights, x.flatten(2), "b n m, b c m -> b c n")
        return averages.reshape(x.shape)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        # -|p - q|² = 2 p·q - |q|² - |p|², and softmax over q forgets |p|²: a dot product is all it takes.
        patches = self._patches(x)
        squares = patches.square().sum(-1, keepdim=True)
        query = torch.cat([2 * patches, torch.ones_like(squares)], -1)
        key = torch.cat([patches, -squares], -1)
        averages = attend(query, key, rearrange(x, "b c h w -> b (h w) c"))
        # Laid out as x is.
        return torch.empty_like(x).copy_(
            rearrange(averages, "b (h w) c -> b c h w", h=x.shape[2])
        )

    def _patches(self, x: Tensor) -> Float[Tensor, "b n e"]:
        """The patch around each position, scaled so that squared distances are scores."""
        require_features(self, x)
        margin = self.patch // 2
        if min(x.shape[2:]) <= margin:
            raise ValueError(
                f"patches of side {self.patch} want images above {margin} pixels; got {tuple(x.shape)}"
            )
        patches = F.unfold(F.pad(x, (margin,) * 4, mode="reflect"), self.patch).mT
        offsets = torch.arange(-margin, margin + 1, device=x.device) / (max(2 * margin, 1) / 4)
        favour = torch.exp(-0.5 * (offsets[:, None] ** 2 + offsets**2)).flatten()
        # Of a pixel in the mean over a patch.
        share = (favour / favour.sum() / x.shape[1]).repeat(x.shape[1])
        return patches * share.to(x.dtype).sqrt() / self.strength


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
        require_features(self, x, len(self.query))
        scores = einsum(self.query, x, "c, b c h w -> b h w")
        return scores.flatten(1).softmax(dim=-1).view_as(scores)

    def reweight(
        self, x: Float[Tensor, "b c h w"], weights: Float[Tensor, "b h w"]
    ) -> Float[Tensor, "b c"]:
        return einsum(weights, x, "b h w, b c h w -> b c")

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c"]:
        # Both products as matrices times vectors: they leave the gradients of x in x's own layout.
        require_features(self, x, len(self.query))
        positions = x.flatten(2)
        scores = torch.bmm(self.query.expand(x.shape[0], 1, -1), positions)
        return torch.bmm(positions, scores.softmax(dim=-1).mT).squeeze(2)
