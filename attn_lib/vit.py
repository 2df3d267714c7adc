"""Transformers over tokens: cut an image, or a feature map, into tokens and let each look at all."""

from typing import Literal

import torch
from einops import einsum, rearrange
from einops.layers.torch import Rearrange
from jaxtyping import Float
from torch import Tensor, nn

from .fast import fused_attention
from .module import (
    AttentionModule,
    dot,
    inputs_of,
    require_features,
    require_positive,
    require_tokens,
)

for leaf in ("dot", "einsum", "fused_attention", "rearrange"):  # whole in a graph of torch.fx
    torch.fx.wrap(leaf)


class Attention(AttentionModule):
    r"""Each token gathers from the tokens whose keys match its query, once for every head.

    $$ A^{(a)}_{ij} = \mathrm{softmax}_j\Big(\frac{q_i^{(a)\top} k_j^{(a)}}{\sqrt{d_a}}\Big), \qquad
       y_i = W_o\, \big[\textstyle\sum_j A^{(a)}_{ij} v_j^{(a)}\big]_{a = 1 \dots \mathrm{heads}} $$

    with $[q, k, v] = W_{qkv}\,\mathrm{LN}(x)$, cut into heads of $d_a$ = `dim_head` features each. The
    sum with x is left to `Transformer`.

    Args:
        dim: d, the features of a token.
        heads: how many maps are made side by side.
        dim_head: features of a query, key and value in each head.

    Shapes: (b, n, d) → (b, n, d); the weights are (b, heads, n, n), and each row sums to 1.

    Raises:
        ValueError: an argument is below 1, or x is not (b, n, d) floats.

    Source: Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021, appendix A, eq. 5-8; Vaswani
    et al., "Attention Is All You Need", NIPS 2017, section 3.2. The official code (JAX) has biases in
    both projections; this form, after lucidrains/vit-pytorch, has none.
    """

    def __init__(self, dim: int, heads: int = 8, dim_head: int = 64):
        super().__init__()
        require_positive(self, dim=dim, heads=heads, dim_head=dim_head)
        self.dim, self.heads, self.scale = dim, heads, dim_head**-0.5
        self.norm = nn.LayerNorm(dim)
        self.to_qkv = nn.Linear(dim, 3 * heads * dim_head, bias=False)
        self.to_out = nn.Linear(heads * dim_head, dim, bias=False)

    def attention(self, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b heads n n"]:
        require_tokens(self, x, inputs_of(self.to_qkv, self.dim))
        query, key, _ = map(self._cut, self.to_qkv(self.norm(x)).chunk(3, dim=-1))
        scores = dot(query * self.scale, key, "b heads n d, b heads m d -> b heads n m")
        return scores.softmax(dim=-1).to(x.dtype)

    def reweight(
        self, x: Float[Tensor, "b n d"], weights: Float[Tensor, "b heads n n"]
    ) -> Float[Tensor, "b n d"]:
        _, _, value = map(self._cut, self.to_qkv(self.norm(x)).chunk(3, dim=-1))
        attended = einsum(weights, value, "b heads n m, b heads m d -> b heads n d")
        return self.to_out(rearrange(attended, "b heads n d -> b n (heads d)"))

    def forward(self, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        require_tokens(self, x, inputs_of(self.to_qkv, self.dim))
        query, key, value = map(self._cut, self.to_qkv(self.norm(x)).chunk(3, dim=-1))
        attended = fused_attention(query, key, value, scale=self.scale)
        return self.to_out(rearrange(attended, "b heads n d -> b n (heads d)"))

    def _cut(self, tokens: Tensor) -> Tensor:
        return rearrange(tokens, "b n (heads d) -> b heads n d", heads=self.heads)


class FeedForward(nn.Module):
    r"""Each token is worked on alone: normalise, widen, GELU, narrow.

    $$ y = W_2\, \mathrm{GELU}(W_1\, \mathrm{LN}(x) + b_1) + b_2 $$

    Args:
        dim: d, the features of a token.
        hidden_dim: the width between the two layers.

    Shapes: (b, n, d) → (b, n, d).

    Raises:
        ValueError: an argument is below 1, or x is not (b, n, d) floats.

    Source: Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021, section 3.1, eq. 3. The GELU
    is exact, as in lucidrains/vit-pytorch; the official code takes the tanh approximation.
    """

    def __init__(self, dim: int, hidden_dim: int):
        super().__init__()
        require_positive(self, dim=dim, hidden_dim=hidden_dim)
        self.dim = dim
        self.net = nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, hidden_dim), nn.GELU(), nn.Linear(hidden_dim, dim)
        )

    def forward(self, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        require_tokens(self, x, inputs_of(self.net, self.dim))
        return self.net(x)


class Transformer(nn.Module):
    r"""Attention across tokens and work on each token, in turn, each added to what came in.

    $$ x' = x + \mathrm{Attention}(x), \qquad x'' = x' + \mathrm{FeedForward}(x') $$

    `depth` times, and a LayerNorm at the end.

    Args:
        dim: d, the features of a token.
        depth: layers.
        heads, dim_head: of each `Attention`.
        mlp_dim: hidden width of each `FeedForward`.

    Shapes: (b, n, d) → (b, n, d).

    Raises:
        ValueError: depth is below 0, another argument below 1, or x is not (b, n, d) floats.

    Source: Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021, section 3.1, eq. 2-4.
    """

    def __init__(self, dim: int, depth: int, heads: int, dim_head: int, mlp_dim: int):
        super().__init__()
        if depth < 0:
            raise ValueError(f"Transformer wants a depth of at least 0; got {depth=}")
        self.dim = dim
        self.norm = nn.LayerNorm(dim)
        self.layers = nn.ModuleList(
            nn.ModuleList([Attention(dim, heads, dim_head), FeedForward(dim, mlp_dim)])
            for _ in range(depth)
        )

    def forward(self, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        require_tokens(self, x, self.dim)
        for layer in self.layers:
            attention, feed_forward = layer.children()
            x = x + attention(x)
            x = x + feed_forward(x)
        return self.norm(x)


class SimpleViT(nn.Module):
    r"""Cut an image into patches, let them look at one another, average them, classify.

    $$ z_i = \mathrm{LN}\big(W_p\,\mathrm{LN}(p_i) + b_p\big) + \mathrm{code}_i, \qquad
       y = W_y\, \tfrac1n \textstyle\sum_i \mathrm{Transformer}(z)_i + b_y $$

    for patches $p_i$ and `position_code`. No [cls] token, no dropout, nothing learned about positions.

    Args:
        image_size: height and width of the images, or one number for both.
        patch_size: height and width of a patch, or one number for both; they must divide the image.
        num_classes: outputs of the classifier.
        dim: d, the features of a token; a multiple of 4, at least 8, for the code of positions.
        depth, heads, mlp_dim, dim_head: see `Transformer`.
        channels: c, of the images.

    Shapes: (b, c, h, w) → (b, num_classes); each layer's weights are (b, heads, n, n), n patches.

    Raises:
        ValueError: the patches do not divide the image, `dim` takes no position code, another size is
            below 1, or x is not (b, c, h, w) floats of the image's size.

    Source: Beyer, Zhai, Kolesnikov, "Better plain ViT baselines for ImageNet-1k", 2022, section 2. The
    official code (big_vision) has LayerNorms of eps 1e-6, none at the patches, and biases in the
    attention; this is, weight for weight, `vit_pytorch.simple_vit.SimpleViT`, whose state dict it loads.
    """

    def __init__(
        self, image_size: int | tuple[int, int], patch_size: int | tuple[int, int],
        num_classes: int, dim: int, depth: int, heads: int, mlp_dim: int,
        channels: int = 3, dim_head: int = 64,
    ):  # fmt: skip
        super().__init__()
        (h, w), (p, q) = _pair(image_size), _pair(patch_size)
        if min(h, w, p, q, num_classes, channels) < 1 or h % p or w % q:
            raise ValueError(
                f"SimpleViT wants patches that divide the image, and sizes of at least 1; "
                f"got {image_size=}, {patch_size=}, {num_classes=}, {channels=}"
            )
        self.channels, self.image_size = channels, (h, w)
        self.to_patch_embedding = nn.Sequential(
            Rearrange("b c (h p) (w q) -> b (h w) (p q c)", p=p, q=q),
            nn.LayerNorm(p * q * channels),
            nn.Linear(p * q * channels, dim),
            nn.LayerNorm(dim),
        )
        self.register_buffer("positions", position_code(h // p, w // q, dim), persistent=False)
        self.transformer = Transformer(dim, depth, heads, dim_head, mlp_dim)
        self.linear_head = nn.Linear(dim, num_classes)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b classes"]:
        _require_size(self, x, self.channels, self.image_size)
        tokens = self.to_patch_embedding(x)
        tokens = self.transformer(tokens + self.positions.to(tokens.dtype))
        return self.linear_head(tokens.mean(dim=1))


class FeatureViT(nn.Module):
    r"""One score for a whole feature map: are these two images of the same thing?

    $$ y = w^\top \tfrac1n \textstyle\sum_i \mathrm{Transformer}(z)_i + b, \qquad z_i = W_t\, t_i + b_t $$

    A verification head for the difference of two images' features, say. Its tokens $t_i$ are groups of
    channels, or positions, one einops pattern apart.

    Args:
        image_size: height and width of the feature map, or one number for both. A channel token is a
            whole h×w picture, so the linear layer that embeds it fits one size only.
        dim: d, the features of a token inside the transformer.
        depth, heads, mlp_dim, dim_head: see `Transformer`.
        channels: c, of the feature map.
        group: p, the channels of a channel token; it must divide c. Positions do not use it.
        tokens: "channel" makes c / p tokens of p·h·w numbers; "space" makes h·w tokens of c numbers.

    Shapes: (b, c, h, w) → (b,); each layer's weights are (b, heads, n, n), n tokens.

    Permuting the groups of channels (for "space", the positions) changes nothing: no code tells them.

    Raises:
        ValueError: the groups do not divide the channels, an unknown kind of token, a size below 1, or x
            is not (b, c, h, w) floats of the size it was made for.

    Source: no paper; a variation on `SimpleViT` that moves attention from patches to channels. At c =
    512, 7×7, p = 32, d = 1024, 6 layers, 16 heads, mlp_dim 2048 it learns 52.0 M numbers without the
    head. The form it comes from averages over tokens and features alike, one unbounded number without
    any head, and has no LayerNorm at the end.
    """

    def __init__(
        self, image_size: int | tuple[int, int], dim: int, depth: int, heads: int, mlp_dim: int,
        channels: int = 512, dim_head: int = 64, *, group: int = 32,
        tokens: Literal["channel", "space"] = "channel",
    ):  # fmt: skip
        super().__init__()
        h, w = _pair(image_size)
        if tokens not in ("channel", "space"):
            raise ValueError(f"FeatureViT makes tokens of 'channel' or 'space'; got {tokens=}")
        if min(h, w, channels, group) < 1 or (tokens == "channel" and channels % group):
            raise ValueError(
                f"FeatureViT wants groups that divide the channels, and sizes of at least 1; "
                f"got {image_size=}, {channels=}, {group=}"
            )
        self.channels, self.image_size = channels, (h, w)
        if tokens == "channel":
            cut, width = Rearrange("b (n p) h w -> b n (p h w)", p=group), group * h * w
        else:
            cut, width = Rearrange("b c h w -> b (h w) c"), channels
        self.to_patch_embedding = nn.Sequential(cut, nn.Linear(width, dim))
        self.transformer = Transformer(dim, depth, heads, dim_head, mlp_dim)
        self.head = nn.Linear(dim, 1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
        _require_size(self, x, self.channels, self.image_size)
        tokens = self.transformer(self.to_patch_embedding(x))
        return rearrange(self.head(tokens.mean(dim=1)), "b 1 -> b")


def position_code(h: int, w: int, dim: int) -> Float[Tensor, "n d"]:
    r"""Where each of h·w patches lies, told in sines and cosines.

    $$ \big[\sin(x\,\omega),\ \cos(x\,\omega),\ \sin(y\,\omega),\ \cos(y\,\omega)\big], \qquad
       \omega_i = 10000^{-i / (d/4 - 1)},\ i = 0 \dots d/4 - 1 $$

    Raises:
        ValueError: dim is not a multiple of 4, or below 8, where the exponent is 0 / 0.

    Source: Beyer et al., 2022, section 2, as released; MoCo v3 (Chen, Xie, He, ICCV 2021) has it with
    d/4 in place of d/4 - 1.
    """
    if dim % 4 or dim < 8:
        raise ValueError(
            f"the position code wants dim in multiples of 4, at least 8; got {dim=}"
        )
    omega = 1.0 / 10_000 ** (torch.arange(dim // 4) / (dim // 4 - 1))
    y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    x, y = x.flatten()[:, None] * omega, y.flatten()[:, None] * omega
    return torch.cat([x.sin(), x.cos(), y.sin(), y.cos()], dim=1)


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size


def _require_size(module: nn.Module, x: Tensor, channels: int, size: tuple[int, int]) -> None:
    require_features(module, x, channels)
    if not isinstance(x, torch.fx.Proxy) and tuple(x.shape[2:]) != size:
        raise ValueError(
            f"{type(module).__name__} was made for features of {size[0]}×{size[1]}; got {tuple(x.shape)}"
        )
