"""See the maps of a running model, ours or anybody's."""

import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from einops import einsum, rearrange
from torch import Tensor, nn

from ..module import AttentionModule


@contextmanager
def record(model: nn.Module) -> Iterator[dict[str, Tensor]]:
    """Collect the map of every attention in `model` that runs inside the `with` block.

        with record(model) as maps:
            logits = model(images)
        maps["stages.2.attention"]

    It reads each `AttentionModule`, and of other people's models `nn.MultiheadAttention` (PyTorch's
    and torchvision's transformers) and timm's `Attention`, fused or not: their maps are (b, heads, n, m),
    softmax's output before any dropout. The keys are dotted module names (the model itself is ""). A
    module that runs more than once leaves its last map. Maps carry no gradient. The model computes what
    it would have computed: `forward` stays fused, and running statistics stay as `forward` alone would
    leave them. One exception: `nn.TransformerEncoderLayer` leaves its fast path for any hook, by
    PyTorch's own rule, so in evaluation its output may change in the last digits.

    Args:
        model: any module that holds at least one of these, not compiled.

    Raises:
        ValueError: there is nothing to record, `torch.compile` hides the modules from hooks, or the
            model computes its attention without calling the modules that hold it.
    """
    if any(isinstance(module, torch._dynamo.OptimizedModule) for module in model.modules()):
        raise ValueError(
            "a compiled model runs no hooks: record the model from before torch.compile"
        )
    readers = ((name, module, _reader(module)) for name, module in model.named_modules())
    watched = {name: (module, read) for name, module, read in readers if read is not None}
    if not watched:
        raise ValueError(_nothing_to_read(model))

    maps: dict[str, Tensor] = {}
    ran: list[nn.Module] = []

    def watch(name: str, read: Callable[..., Tensor]) -> Callable[..., None]:
        # Before forward, not after: what forward updates (a power iteration, a running mean) then
        # enters the map and the output in the same state.
        def hook(module: nn.Module, args: tuple, kwargs: dict) -> None:
            with undisturbed(module):
                maps[name] = read(module, *args, **kwargs).detach()

        return hook

    hooks = [
        module.register_forward_pre_hook(watch(name, read), with_kwargs=True)
        for name, (module, read) in watched.items()
    ]
    if not any(isinstance(module, AttentionModule) for module, _ in watched.values()):
        hooks.append(model.register_forward_hook(lambda module, args, y: ran.append(module)))
    try:
        yield maps
    finally:
        for hook in hooks:
            hook.remove()
    if ran and not maps:
        raise ValueError(
            f"{type(model).__name__} ran without calling its attention ({', '.join(watched)}), "
            "so its maps cannot be read"
        )


@contextmanager
def undisturbed(module: nn.Module) -> Iterator[None]:
    """Run parts of `module` without gradients; afterwards its buffers are what they were."""
    buffers = {key: buffer.clone() for key, buffer in module.named_buffers()}
    with torch.no_grad():
        try:
            yield
        finally:
            for key, buffer in module.named_buffers():
                buffer.copy_(buffers[key])


def _reader(module: nn.Module) -> Callable[..., Tensor] | None:
    """The function that computes this module's map from the arguments of its `forward`."""
    if isinstance(module, AttentionModule):
        return type(module).attention
    if isinstance(module, nn.MultiheadAttention):
        return _multihead
    return _joint if _is_joint(module) else None


def _multihead(module: nn.MultiheadAttention, *args, **kwargs) -> Tensor:
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


def _padded(query: Tensor, key: Tensor, value: Tensor) -> dict[str, Tensor]:
    """Arguments for the sentences of different lengths that `nn.TransformerEncoder` packs together."""
    lengths = torch.tensor([len(sentence) for sentence in key.unbind()], device=key.device)
    parts = {"query": query, "key": key, "value": value}
    padded = {name: part.to_padded_tensor(0.0) for name, part in parts.items()}
    positions = torch.arange(padded["key"].shape[1], device=key.device)
    return padded | {"key_padding_mask": positions >= lengths[:, None]}


def _is_joint(module: nn.Module) -> bool:
    """Whether this is timm's `Attention` or a class alike: softmax(q · kᵀ · scale), and nothing besides.

    Biases of the scores show as parameters of the module itself or as further arguments.
    """
    wanted = ("qkv", "q_norm", "k_norm", "scale", "num_heads", "proj")
    if not all(hasattr(module, name) for name in wanted) or module.qkv is None:
        return False
    arguments = set(inspect.signature(module.forward).parameters)
    return arguments <= {"x", "attn_mask", "is_causal"} and not module._parameters


def _joint(
    module: Any, x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False
) -> Tensor:
    query, key, _ = rearrange(
        module.qkv(x), "b n (qkv heads d) -> qkv b heads n d", qkv=3, heads=module.num_heads
    )
    query, key = module.q_norm(query) * module.scale, module.k_norm(key)
    scores = einsum(query, key, "b heads n d, b heads m d -> b heads n m")
    if is_causal:
        attn_mask = torch.ones_like(scores[0, 0], dtype=torch.bool).tril()
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attn_mask, -torch.inf)
    elif attn_mask is not None:
        scores = scores + attn_mask
    return scores.softmax(dim=-1)


def _nothing_to_read(model: nn.Module) -> str:
    classes = {type(module).__name__ for module in model.modules()}
    alike = sorted(name for name in classes if re.search("att(entio)?n", name, re.IGNORECASE))
    but = f" ({', '.join(alike)} cannot be read)" if alike else ""
    return (
        f"{type(model).__name__} holds no AttentionModule, no nn.MultiheadAttention and no attention "
        f"of timm's form{but}, so there is no map to record"
    )
