"""Hear the map of somebody else's attention while it runs: the softmax of a product, multiplied again."""

import inspect
import re
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

# PyTorch's own function, but that it does not hide from a mode what it calls.
_MULTIHEAD = FunctionType(
    F.multi_head_attention_forward.__code__,
    {**vars(F), "has_torch_function": lambda tensors: False},
    argdefs=F.multi_head_attention_forward.__defaults__,
)
_PRODUCTS = {"matmul", "__matmul__", "bmm", "baddbmm", "einsum"}
# What weights may go through on their way to the values and be the same weights.
_CARRIERS = {"dropout", "to", "type", "type_as", "float", "half", "bfloat16", "double", "contiguous", "clone", "view", "reshape"}  # fmt: skip


class Run:
    """What one run of a module has made so far.

    Args:
        module: the module.
        inputs: the tensors that it was given.
        batch: how many images the model was given, where the module's own batch is windows of them.
        gradients: whether the map stays what the output is made from.
    """

    def __init__(
        self, module: nn.Module, inputs: list[Tensor], batch: int | None, gradients: bool
    ):
        self.module, self.inputs = module, inputs
        self.batch, self.gradients = batch, gradients
        counts = (
            getattr(module, name, None)
            for name in ("num_heads", "heads", "num_attention_heads")
        )
        self.heads = next((count for count in counts if isinstance(count, int)), 1)
        # By id, with the tensors themselves, so that no other can take the id.
        self.scores: dict[int, Tensor] = {}
        self.carried: dict[int, tuple[Tensor, Tensor | None]] = {}
        self.found: list[
            Tensor | None
        ] = []  # None: there is a map, of a form that nobody knows

    def follow(self, func: Callable, args: tuple, kwargs: Mapping[str, Any]) -> Any:
        """Call `func` and note what its result is: a product, scores, weights, or weights carried on."""
        result = func(*args, **kwargs)
        if not isinstance(result, Tensor):
            return result
        name, operands = func.__name__, _tensors((*args, *kwargs.values()))
        first = id(operands[0]) if operands else None
        if name in _PRODUCTS:
            self.meet(name, args, operands)
            self.scores[id(result)] = result
        elif name == "softmax" and first in self.scores and _over_last(func, args, kwargs):
            weights, result = self.laid_out(result)
            self.carried[id(result)] = result, weights
        elif name in _CARRIERS and first in self.carried:
            self.carried[id(result)] = result, self.carried[first][1]
        elif any(id(operand) in self.scores for operand in operands):
            self.scores[id(result)] = result
        return result

    def meet(self, name: str, args: tuple, operands: list[Tensor]) -> None:
        """Weights are a map when they are multiplied, as they are, with what they weigh."""
        place = 1 if name == "baddbmm" else 0
        if name == "einsum":
            terms, _, out = str(args[0]).replace(" ", "").partition("->")
            names = terms.split(",")
            if len(names) != 2 or len(operands) != 2 or names[0][-1:] in out:
                return
        if len(operands) > place and id(operands[place]) in self.carried:
            self.found.append(self.carried[id(operands[place])][1])

    def fused(self, args: tuple, kwargs: Mapping[str, Any]) -> Tensor:
        """`scaled_dot_product_attention`, and its weights from what it was given."""
        call = _Product(*args, **kwargs)
        if call.query.is_nested:
            self.found.append(None)
            return F.scaled_dot_product_attention(*args, **kwargs)
        with torch.set_grad_enabled(self.gradients and torch.is_grad_enabled()):
            weights, plain = self.laid_out(call.weights())
        self.found.append(weights)
        if not self.gradients:
            return F.scaled_dot_product_attention(*args, **kwargs)
        return F.dropout(plain, call.dropout_p) @ call.values()

    def laid_out(self, weights: Tensor) -> tuple[Tensor | None, Tensor]:
        """The map that these weights are, and the same weights as the module goes on with them."""
        shape = self.form(weights)
        if shape is None:
            return None, weights
        if not self.gradients:
            return weights.detach().reshape(shape).clone(), weights
        if shape == tuple(weights.shape):
            return weights, weights
        weighed = weights.reshape(shape)
        return weighed, weighed.reshape(weights.shape)

    def form(self, weights: Tensor) -> tuple[int, ...] | None:
        """(b, heads, n, m), or (b, windows, heads, n, m); None where the axes cannot be told."""
        size, *rest = weights.shape
        if weights.ndim == 3:
            batches = {size for tensor in self.inputs for size in tensor.shape[:2]}
            if size % self.heads == 0 and size // self.heads in batches | {1}:
                return size // self.heads, self.heads, *rest
            return (size, 1, *rest) if size in batches else None
        if weights.ndim == 4 and self.batch is not None:
            return (self.batch, size // self.batch, *rest) if size % self.batch == 0 else None
        return (size, *rest) if weights.ndim > 3 else None


class _Product:
    """The arguments of `scaled_dot_product_attention`."""

    def __init__(
        self, query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None,
        dropout_p: float = 0.0, is_causal: bool = False, scale: float | None = None,
        enable_gqa: bool = False,
    ):  # fmt: skip
        self.query, self.key, self.value, self.attn_mask = query, key, value, attn_mask
        self.dropout_p, self.is_causal = dropout_p, is_causal
        self.scale = query.shape[-1] ** -0.5 if scale is None else scale
        self.groups = query.shape[-3] // key.shape[-3] if enable_gqa else 1

    def values(self) -> Tensor:
        return self.value.repeat_interleave(self.groups, -3) if self.groups > 1 else self.value

    def weights(self) -> Tensor:
        key = self.key.repeat_interleave(self.groups, -3) if self.groups > 1 else self.key
        wide = torch.promote_types(self.query.dtype, torch.float32)  # as the kernels sum
        scores = (self.query.to(wide) * self.scale) @ key.to(wide).mT
        mask = self.attn_mask
        if self.is_causal:
            mask = torch.ones_like(scores[0, 0], dtype=torch.bool).tril()
        if mask is not None and mask.dtype == torch.bool:
            scores = scores.masked_fill(~mask, -torch.inf)
        elif mask is not None:
            scores = scores + mask
        silent = scores.isneginf().all(-1, keepdim=True)  # every key masked: the kernels give 0
        weights = scores.masked_fill(silent, 0.0).softmax(-1).masked_fill(silent, 0.0)
        return weights.to(self.query.dtype)


class Listener(TorchFunctionMode):
    """Hears, between `begin` and `end`, what a module computes with.

    It is active while a module runs that is listened to, and no longer.
    """

    def __init__(self, gradients: bool):
        super().__init__()
        self.gradients, self.runs = gradients, list[Run]()
        self.batches: dict[
            nn.Module, int
        ] = {}  # what the models around are given, outermost first

    def enter(self, module: nn.Module, args: tuple, kwargs: dict) -> None:
        """A module around others starts to run."""
        if inputs := _tensors((*args, *kwargs.values())):
            self.batches[module] = inputs[0].shape[0] if inputs[0].ndim else 1

    def leave(self, module: nn.Module) -> None:
        """It is done."""
        self.batches.pop(module, None)

    def begin(self, module: nn.Module, args: tuple, kwargs: dict) -> None:
        """A module starts to run."""
        inputs = _tensors((*args, *kwargs.values()))
        batch = None
        if in_windows(module) and inputs:
            whole = inputs[0].ndim == 4  # images, which the module cuts itself
            batch = inputs[0].shape[0] if whole else next(iter(self.batches.values()), 1)
        if not self.runs:
            self.__enter__()
        self.runs.append(Run(module, inputs, batch, self.gradients))

    def end(self, module: nn.Module) -> Tensor | None:
        """It is done: its map, None if it made none, several, or one whose axes cannot be told."""
        if not self.runs or self.runs[-1].module is not module:
            return None  # refused before it began
        run = self.runs.pop()
        if not self.runs:
            self.__exit__(None, None, None)
        return run.found[0] if len(run.found) == 1 else None

    def close(self) -> None:
        """Hear no more, whatever was interrupted."""
        while self.runs:
            self.end(self.runs[-1].module)

    def __torch_function__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs, run = kwargs or {}, self.runs[-1]
        if func is F.multi_head_attention_forward:
            bound = inspect.signature(func).bind(*args, **kwargs)
            run.heads = bound.arguments["num_heads"]
            with self:
                return _MULTIHEAD(*args, **kwargs)
        if func is F.scaled_dot_product_attention:
            return run.fused(args, kwargs)
        return run.follow(func, args, kwargs)


def in_windows(module: nn.Module) -> bool:
    """Whether a module attends within windows, as Swin does: its batch is then windows of images."""
    return bool(re.search("Swin|Window", type(module).__name__))


def _over_last(func: Callable, args: tuple, kwargs: Mapping[str, Any]) -> bool:
    dim = kwargs["dim"] if "dim" in kwargs else args[1] if len(args) > 1 else None
    return dim in (-1, args[0].ndim - 1) if args else False


def _tensors(values: tuple) -> list[Tensor]:
    """The tensors among some arguments, also those in a list or a tuple."""
    flat: list[Any] = []
    for value in values:
        flat += value if isinstance(value, (list, tuple)) else [value]
    return [value for value in flat if isinstance(value, Tensor)]
