"""How to watch a module without changing it: what the instruments hang on it, and what they leave as it was."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch._C._dynamo.eval_frame import get_eval_frame_callback

COMPILED = "a compiled model cannot be watched: take the one from before torch.compile"


@contextmanager
def undisturbed(module: nn.Module) -> Iterator[None]:
    """Run parts of `module` without gradients; its buffers and the random numbers know nothing of it."""
    with torch.no_grad(), set_aside(module):
        yield


@contextmanager
def set_aside(module: nn.Module) -> Iterator[None]:
    """Give `module` clones of its buffers and a fork of the random numbers; afterwards, back to its own.

    Back come the very same tensors, untouched: a graph that holds them stays whole.
    """
    clones: dict[int, Tensor] = {}  # one for each tensor, also where two modules share it
    held = []
    for part in module.modules():
        # Old forms of spectral and weight norm hang the weight itself on the module, anew in each run.
        hung = {key: value for key, value in vars(part).items() if isinstance(value, Tensor)}
        held.append((part, dict(part._buffers), hung))
        for key, buffer in part._buffers.items():
            if buffer is not None:
                if id(buffer) not in clones:
                    clones[id(buffer)] = buffer.detach().clone()
                part._buffers[key] = clones[id(buffer)]
    tensors = (*module.parameters(), *clones.values())
    devices = {tensor.device for tensor in tensors if tensor.device.type == "cuda"}
    try:
        with torch.random.fork_rng(devices=list(devices)):
            yield
    finally:
        for part, buffers, hung in held:
            part._buffers.clear()
            part._buffers.update(buffers)
            vars(part).update(hung)


class Hook:
    """Calls `act` for `module` and nobody else: in a copy, made by whatever means, it does nothing."""

    def __init__(self, module: nn.Module, act: Callable[..., Any]):
        self.module, self.act = module, act

    def __call__(self, module: nn.Module, *call: Any) -> Any:
        return self.act(module, *call) if module is self.module else None

    def __deepcopy__(self, memo: dict) -> "_Gone":
        return _Gone()

    def __reduce__(self) -> tuple:
        return _Gone, ()


class _Gone:
    """What a copied or loaded module has in a hook's place. It takes itself away at the first run."""

    def __call__(self, module: nn.Module, *call: Any) -> None:
        for hooks in (module._forward_pre_hooks, module._forward_hooks):
            for key in [key for key, hook in hooks.items() if hook is self]:
                del hooks[key]


def refuse_compiled(model: nn.Module) -> None:
    """Refuse a model of which a part runs compiled.

    Raises:
        ValueError: with the name of the part.
    """
    for name, part in model.named_modules():
        if (
            isinstance(part, torch._dynamo.OptimizedModule)
            or getattr(part, "_compiled_call_impl", None) is not None
            or hasattr(getattr(part, "forward", None), "_torchdynamo_orig_callable")
        ):
            of = f" ({name!r} of {type(model).__name__} is)" if name else ""
            raise ValueError(COMPILED + of)


def refuse_compilation() -> None:
    """Refuse to be called from within a compiled function.

    While it is traced the error makes PyTorch run the code as it stands, and then reaches the caller.

    Raises:
        ValueError: it is.
    """
    if torch.compiler.is_compiling() or callable(get_eval_frame_callback()):
        raise ValueError(COMPILED)
