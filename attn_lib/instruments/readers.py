"""Which modules are attention, and how the maps of those that can be asked are read from their arguments."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..module import AttentionModule

_MULTIHEAD_FORWARD = nn.MultiheadAttention.forward


@dataclass(frozen=True)
class Reader:
    """How to ask a module for its map.

    Attributes:
        read: gives the map from the module and the arguments of its `forward`.
        settle: gives it anew once the output is known, from the module, the map and the output.
    """

    read: Callable[..., Tensor]
    settle: Callable[[Any, Tensor, Any], Tensor] = lambda module, weights, output: weights


def reader(module: nn.Module) -> Reader | None:
    """How to ask this module for its map, None if it does not say; never where its `forward` is another's."""
    if "forward" in vars(module):
        return None
    cls: Any = type(module)
    if isinstance(module, AttentionModule):
        order = cls.__mro__
        own = min(order.index(base) for base in order if "forward" in vars(base))
        equation = min(order.index(base) for base in order if "attention" in vars(base))
        # A subclass that runs differently may have left the equation behind.
        return Reader(cls.attention) if own >= equation else None
    if isinstance(module, nn.MultiheadAttention) and cls.forward is _MULTIHEAD_FORWARD:
        return Reader(_multihead, _silenced)
    return None


def looks_alike(module: nn.Module) -> bool:
    """Whether a module is attention, or seems so by the name of its class or of a part."""
    if isinstance(module, (AttentionModule, nn.MultiheadAttention)):
        return True
    if isinstance(module, torch.jit.ScriptModule):  # it runs no Python to listen to
        return False
    named = re.search("att(entio)?n", type(module).__name__, re.IGNORECASE)
    return bool(named or {"qkv", "to_qkv"} & module._modules.keys())


def _multihead(module: nn.MultiheadAttention, *args: Any, **kwargs: Any) -> Tensor:
    bound = inspect.signature(nn.MultiheadAttention.forward).bind(module, *args, **kwargs)
    bound.arguments |= {"need_weights": True, "average_attn_weights": False}
    if bound.arguments["query"].is_nested:
        bound.arguments |= _padded(
            *(bound.arguments[name] for name in ("query", "key", "value"))
        )
    training = module.training
    module.training = False  # no dropout: neither in the map nor drawn from the random numbers
    try:
        weights: Any = nn.MultiheadAttention.forward(*bound.args, **bound.kwargs)[1]
    finally:
        module.training = training
    return weights if weights.ndim == 4 else weights.unsqueeze(0)  # an input without a batch


def _silenced(module: nn.MultiheadAttention, weights: Tensor, output: tuple) -> Tensor:
    """Weights 0 for the queries whose keys are all masked, where the fused kernel gives them no NaN."""
    rows = output[0]
    if rows.is_nested:
        rows = rows.to_padded_tensor(0.0)
    elif rows.ndim == 2:
        rows = rows.unsqueeze(0)
    elif not module.batch_first:
        rows = rows.transpose(0, 1)
    finite = rows.isfinite().all(-1)[:, None, :, None]
    return weights.masked_fill(weights.isnan() & finite, 0.0)


def _padded(query: Tensor, key: Tensor, value: Tensor) -> dict[str, Tensor]:
    """Arguments for the sentences of different lengths that `nn.TransformerEncoder` packs together."""
    lengths = torch.tensor([len(sentence) for sentence in key.unbind()], device=key.device)
    parts = {"query": query, "key": key, "value": value}
    padded = {name: part.to_padded_tensor(0.0) for name, part in parts.items()}
    positions = torch.arange(padded["key"].shape[1], device=key.device)
    return padded | {"key_padding_mask": positions >= lengths[:, None]}
