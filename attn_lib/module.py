"""What every mechanism is: weights that one can look at, and features that they reweight."""

from contextlib import AbstractContextManager, nullcontext
from types import NoneType
from typing import TypeGuard, TypeVar

import torch
from einops import einsum
from jaxtyping import Float
from torch import Tensor, nn

Layer = TypeVar("Layer", bound=nn.Module)


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


def require_heads(module: nn.Module, channels: int, heads: int) -> None:
    """Refuse channels that are not as many for every head.

    Raises:
        ValueError: with both numbers.
    """
    require_positive(module, channels=channels, heads=heads)
    if channels % heads:
        raise ValueError(
            f"{type(module).__name__} cuts channels into heads of one size; got {channels=}, {heads=}"
        )


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
    if isinstance(x, torch.fx.Proxy):
        return  # a graph is traced, and has no shapes yet
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
    if isinstance(x, torch.fx.Proxy):
        return
    if x.ndim != 3 or x.shape[1] < 1 or x.shape[2] != width or not x.is_floating_point():
        raise ValueError(
            f"{type(module).__name__} wants floating-point tokens of shape (b, n, d={width}) with n >= 1; "
            f"got {x.dtype} of shape {tuple(x.shape)}"
        )


def inputs_of(part: nn.Module, channels: int) -> int:
    """How many channels a part takes now: pruning leaves it fewer than the `channels` it was made with."""
    layers = (part,) if "in_features" in vars(part) else part.modules()
    for layer in layers:
        sizes = vars(layer)  # of a module, getattr would take longer than a gate's arithmetic
        if now := sizes.get("in_features") or sizes.get("in_channels"):
            return now
    return channels


def is_bare(layer: nn.Module, kind: type[Layer]) -> TypeGuard[Layer]:
    """Whether calling a layer is `kind.forward` with its own weight and no more: the weight may be read instead.

    All else has to be called, or its effect is lost: a module around it or a subclass (LoRA, observers, quantised
    layers, parametrisations), hooks (pruning, old spectral and weight norm, Grad-CAM), a `forward` of its own
    (offloading), a compiled call, a weight that is a tensor of another kind (quantised, sharded). Hooks on all
    modules at once are no reason: counters and profilers would watch another computation than the one that runs.
    """
    return (
        type(layer) is kind
        and type(getattr(layer, "weight", None)) in (nn.Parameter, NoneType)
        and not (layer._forward_pre_hooks or layer._forward_hooks)
        and not (layer._backward_pre_hooks or layer._backward_hooks)
        and "forward" not in vars(layer)
        and layer._compiled_call_impl is None
    )


def is_traced() -> bool:
    """Whether this run makes a graph for other sizes: of torch.compile, torch.export, or TorchScript."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()


def in_own_type(x: Tensor) -> AbstractContextManager:
    """Arithmetic in the type that x has, whatever autocast would make of it."""
    device = x.device.type
    known = torch.amp.is_autocast_available(device)
    return torch.autocast(device, enabled=False) if known else nullcontext()


def dot(query: Tensor, key: Tensor, pattern: str) -> Tensor:
    """einsum, for scores: of float16 in float32, for a sum of products soon leaves the range of float16."""
    device = query.device.type
    cast = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
    if (torch.get_autocast_dtype(device) if cast else query.dtype) != torch.float16:
        return einsum(query, key, pattern)
    with in_own_type(query):
        return einsum(query.float(), key.float(), pattern)


def laid_out_as(x: Float[Tensor, "b c h w"], y: Tensor) -> Tensor:
    """y with its channels innermost in memory if those of x are, else outermost."""
    last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    return y.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)
