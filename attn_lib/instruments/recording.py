"""See the maps of a running model, ours or anybody's."""

import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from .listening import Listener, in_windows
from .readers import Reader, looks_alike, reader
from .watching import COMPILED, Hook, refuse_compilation, refuse_compiled, set_aside


class Maps(dict[str, Tensor]):
    """What `record` gives: maps by the dotted names of their modules.

    Attributes:
        unread: once the block is left, the modules that look like attention and left no map, themselves or
            by a module within or around them: the name of each, with its class and why.
    """

    def __init__(self) -> None:
        super().__init__()
        self.unread: dict[str, str] = {}


@contextmanager
def record(model: nn.Module, gradients: bool = False) -> Iterator[Maps]:
    """Collect the map of every attention in `model` that runs inside the `with` block.

        with record(model) as maps:
            logits = model(images)
        maps["stages.2.attention"]

    An `AttentionModule` is asked for its `attention`, an `nn.MultiheadAttention` for the weights of each
    head. To any other module with "attention" or "attn" in the name of its class, or a part named qkv, it
    listens while it runs: the map is the softmax over a product that is then multiplied with the values, or what
    `scaled_dot_product_attention` computes within, from the very queries, keys and mask that it was given;
    so rotations, biases and masks are in it. These maps are (b, heads, n, m), before any dropout; of windows
    (b, windows, heads, n, m), which `unwindow` lays over the image. What follows no such pattern is not
    guessed at: `maps.unread` lists it, and one warning.

    The keys are dotted module names (the model itself is ""). A module that runs more than once leaves its
    last map. A query all of whose keys are masked has weights 0 where the output is finite. The model
    computes what it would have computed, on the same graph; buffers, their versions, random numbers and
    copies made in the block know nothing of it. One exception: `nn.TransformerEncoderLayer` leaves its fast
    path for any hook, by PyTorch's own rule, so in evaluation its output may change in the last digits.

    Args:
        model: any module that holds attention, not compiled.
        gradients: leave the maps in the graph, as what the output is made from, for
            `torch.autograd.grad(score, list(maps.values()))`. Fused attention then takes its plain form: its
            output may change in the last digits, and its dropout draws other numbers. Of a mechanism made of
            others (`CBAM`), the parts' maps make the output and its own does not: `allow_unused=True`.

    Raises:
        ValueError: nothing in the model looks like attention, it runs compiled, or the block ends without
            a single map; the message says why.
    """
    refuse_compiled(model)
    parts = dict(model.named_modules())
    likely = {name: part for name, part in parts.items() if looks_alike(part)}
    if not likely:
        raise ValueError(
            f"{type(model).__name__} holds no AttentionModule, no nn.MultiheadAttention and nothing "
            "else that looks like attention, so there is no map to record"
        )
    watch = _Watch(likely, gradients)
    try:
        watch.start(parts)
        yield watch.maps
    except torch._dynamo.exc.Unsupported as error:  # compiled with fullgraph=True
        raise ValueError(COMPILED) if COMPILED in str(error) else error from error
    finally:
        watch.close()
    if unread := watch.account(type(model).__name__):
        warnings.warn(f"no map can be read of {unread}", stacklevel=3)


class _Watch:
    """The hooks of one `record`, and what they have seen."""

    def __init__(self, likely: Mapping[str, nn.Module], gradients: bool):
        self.likely, self.gradients, self.maps = likely, gradients, Maps()
        self.readers: dict[str, Reader] = {}
        for name, part in likely.items():
            # In the graph, a map is what the output is made from: PyTorch's own gives a copy.
            by_ear = gradients and isinstance(part, nn.MultiheadAttention)
            if not by_ear and (read := reader(part)) is not None:
                self.readers[name] = read
        self.listener, self.handles = Listener(gradients), list[Any]()
        self.ran, self.reading = set[str](), False

    def start(self, parts: Mapping[str, nn.Module]) -> None:
        around: dict[nn.Module, None] = {}
        for name, part in self.likely.items():
            if name in self.readers:
                self.ask(name, part, self.readers[name])
            elif self.heard(name):
                self.listen(name, part)
                if in_windows(part):
                    around |= {
                        parts[outer]: None for outer in _outwards(name) if outer in parts
                    }
            else:
                self.hook(part, lambda *call, name=name: self.ran.add(name))
        for part in around:
            self.count(part)

    def heard(self, name: str) -> bool:
        """Whether to listen to a module: what can be asked within it speaks for itself."""
        return not any(_within(other, name) for other in self.readers)

    def ask(self, name: str, module: nn.Module, reader: Reader) -> None:
        """Before each run of a module, read its map from the arguments.

        Before, not after: what forward updates (a power iteration, a running mean) then enters the map
        and the output in the same state.
        """
        whole = not any(_within(other, name) for other in self.readers)

        def before(module: nn.Module, args: tuple, kwargs: dict) -> None:
            refuse_compilation()
            self.ran.add(name)
            self.reading = True
            try:
                graph = self.gradients and torch.is_grad_enabled()
                with torch.set_grad_enabled(graph), set_aside(module):
                    weights = reader.read(module, *args, **kwargs)
            finally:
                self.reading = False
            self.maps[name] = weights if self.gradients else weights.detach()

        def after(module: Any, args: tuple, kwargs: dict, output: Any) -> Any:
            if self.gradients and whole:
                with set_aside(module):
                    return module.reweight(*args, **kwargs, weights=self.maps[name])
            self.maps[name] = reader.settle(module, self.maps[name], output)
            return None

        self.hook(module, before, after)

    def listen(self, name: str, module: nn.Module) -> None:
        """During each run of a module, hear its map."""

        def before(module: nn.Module, args: tuple, kwargs: dict) -> None:
            refuse_compilation()
            self.ran.add(name)
            self.listener.begin(module, args, kwargs)

        def after(module: nn.Module, args: tuple, kwargs: dict, output: Any) -> None:
            if (weights := self.listener.end(module)) is not None:
                self.maps[name] = weights

        self.hook(module, before, after, always=True)

    def count(self, module: nn.Module) -> None:
        """During each run of a module, know how many images it was given."""

        def before(module: nn.Module, args: tuple, kwargs: dict) -> None:
            self.listener.enter(module, args, kwargs)

        def after(module: nn.Module, args: tuple, kwargs: dict, output: Any) -> None:
            self.listener.leave(module)

        self.hook(module, before, after, always=True)

    def hook(
        self,
        module: nn.Module,
        before: Any,
        after: Any = lambda *call: None,
        always: bool = False,
    ) -> None:
        def unless_reading(act: Any) -> Hook:
            # What the `attention` of a module around calls is no run of the model.
            return Hook(module, lambda *call: None if self.reading else act(*call))

        self.handles += [
            module.register_forward_pre_hook(unless_reading(before), with_kwargs=True),
            module.register_forward_hook(
                unless_reading(after), with_kwargs=True, always_call=always
            ),
        ]

    def close(self) -> None:
        for handle in self.handles:
            handle.remove()
        self.listener.close()

    def account(self, model: str) -> str:
        """Note what left no map, and list what ran nevertheless.

        Raises:
            ValueError: nothing did.
        """
        left = {name for name in self.likely if not _related(name, self.maps)}
        self.maps.unread |= {name: self.why(name) for name in self.likely if name in left}
        if not self.maps:
            raise ValueError(
                f"{model} left no map: {_listed(self.maps.unread)}. Either it did not run in the block, "
                "or it ran without calling its attention, or it ran compiled: record the model "
                "from before torch.compile while it runs itself"
            )
        return _listed(
            {name: why for name, why in self.maps.unread.items() if name in self.ran}
        )

    def why(self, name: str) -> str:
        what = type(self.likely[name]).__name__
        if name in self.ran:
            return (
                f"{what} cannot be read: it is not one softmax of a product that weighs values"
            )
        return f"{what} was not called"


def _listed(unread: Mapping[str, str]) -> str:
    """Those with one reason in one clause."""
    names: dict[str, list[str]] = {}
    for name, why in unread.items():
        names.setdefault(why, []).append(name)
    return "; ".join(f"{why} ({_some(names)})" for why, names in names.items())


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 4 else ""
    return ", ".join(map(repr, names[:3] if more else names)) + more


def _within(name: str, outer: str) -> bool:
    return name != outer and (not outer or name.startswith(f"{outer}."))


def _related(name: str, others: Iterable[str]) -> bool:
    return any(name == o or _within(name, o) or _within(o, name) for o in others)


def _outwards(name: str) -> Iterator[str]:
    """The names of the modules around one, the innermost first."""
    while name:
        name = name.rpartition(".")[0]
        yield name
