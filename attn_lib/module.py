"""What every mechanism is: weights that one can look at, and features that they reweight."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class AttentionModule(nn.Module):
    r"""A module that reweights features by an attention map that one can look at.

    Score the parts of a feature map, turn scores into weights, reweight the features:

    $$ y = \mathrm{reweight}(x,\ \mathrm{attention}(x)) $$

    A mechanism writes `attention`, the equation of its paper, line by line, and `reweight`, unless
    its weights are a gate that multiplies `x`. `forward` is both in turn; a mechanism that knows a
    faster way overrides it, and a test holds the two equal.
    """

    def attention(self, x: Tensor) -> Tensor:
        """The weights that this module gives to the parts of `x`, and nothing else."""
        raise NotImplementedError(f"{type(self).__name__} has to define attention(x)")

    def reweight(self, x: Tensor, weights: Tensor) -> Tensor:
        """Apply `weights` to `x`. Here they are a gate, broadcast against `x`."""
        return x * weights

    def forward(self, x: Tensor) -> Tensor:
        return self.reweight(x, self.attention(x))


AXES = {1: "t", 2: "h, w", 3: "t, h, w"}


def require_positive(module: nn.Module, **sizes: int) -> None:
    """Refuse sizes below 1 in the constructor of `module`.

    Raises:
        ValueError: with all the sizes.
    """
    if min(sizes.values()) < 1:
        got = ", ".join(f"{name}={size}" for name, size in sizes.items())
        raise ValueError(f"{type(module).__name__} wants sizes of at least 1; got {got}")


def require_features(
    module: nn.Module, x: Tensor, channels: int | None = None, ndim: int = 2
) -> None:
    """Refuse what is not a feature map (b, channels, h, w) of floating-point numbers.

    Args:
        module: who asks.
        x: what came.
        channels: how many it must have; None takes any number.
        ndim: how many axes follow the channels: 1 for a sequence, 2 for an image, 3 for a video.

    Raises:
        ValueError: with the shape and dtype that came and those that `module` wants.
    """
    wanted = channels is None or (x.ndim > 1 and x.shape[1] == channels)
    if x.ndim != 2 + ndim or not wanted or 0 in x.shape[2:] or not x.is_floating_point():
        size = "c" if channels is None else f"c={channels}"
        raise ValueError(
            f"{type(module).__name__} wants floating-point features of shape (b, {size}, {AXES[ndim]}) with "
            f"{AXES[ndim]} >= 1; got {x.dtype} of shape {tuple(x.shape)}"
        )


def require_tokens(module: nn.Module, x: Tensor, width: int) -> None:
    """Refuse what is not tokens (b, n, width) of floating-point numbers.

    Args:
        module: who asks.
        x: what came.
        width: d, the features that a token must have.

    Raises:
        ValueError: with the shape and dtype that came and those that `module` wants.
    """
    if x.ndim != 3 or x.shape[1] < 1 or x.shape[2] != width or not x.is_floating_point():
        raise ValueError(
            f"{type(module).__name__} wants floating-point tokens of shape (b, n, d={width}) with n >= 1; "
            f"got {x.dtype} of shape {tuple(x.shape)}"
        )


def builds_weights(keys: int, width: int, copies: int = 4) -> bool:
    """Whether weights (n, keys) are built: where they outweigh at most so many `copies` of features (n, width).

    Below that size building them is faster; a traced graph, whose sizes may change, never does.
    """
    return not torch.compiler.is_compiling() and keys <= copies * width


def average(
    weights: Float[Tensor, "b n m"], values: Float[Tensor, "b m e"]
) -> Float[Tensor, "b n e"]:
    """weights · values, with features outermost in memory, as convolutions keep them."""
    return torch.bmm(values.mT, weights.mT).mT


def attend(
    query: Float[Tensor, "b n d"], key: Float[Tensor, "b m d"], value: Float[Tensor, "b m e"]
) -> Float[Tensor, "b n e"]:
    """softmax(query · keyᵀ) · value, in memory of a few copies of the values, however many keys there are."""
    if builds_weights(key.shape[1], value.shape[2]):
        weights = torch.bmm(query, key.mT).softmax(dim=-1)
        return average(weights, value)
    if query.device.type == "cpu" and query.shape[2] != value.shape[2]:
        # PyTorch's CPU kernel is fused only when queries, keys and values have one width.
        width = max(query.shape[2], value.shape[2])
        query, key = (F.pad(part, (0, width - part.shape[2])) for part in (query, key))
        padded = F.pad(value, (0, width - value.shape[2]))
        return _fused(query, key, padded)[..., : value.shape[2]]
    return _fused(query, key, value)


def _fused(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    # One head. The kernels want each token's features side by side in memory.
    query, key, value = (part.contiguous().unsqueeze(1) for part in (query, key, value))
    return F.scaled_dot_product_attention(query, key, value, scale=1.0).squeeze(1)
