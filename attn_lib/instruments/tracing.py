"""A module's own source, line by line, with the shape of every tensor that each line makes."""

import ast
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from types import FrameType, FunctionType
from typing import Any

from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

from ..module import AttentionModule
from .axes import BY_PATTERN, AxisNames
from .shapes import TracedLine, TracedMethod, TracedTensor
from .sources import FunctionSource, bound_names, end_of_head
from .watching import refuse_compiled, undisturbed


def trace_shapes(module: nn.Module, *inputs: Any) -> tuple[TracedMethod, ...]:
    r"""Run a module and tell, line by line of its own source, the shapes that came about.

    Of an `AttentionModule`, `attention`, `reweight` (on its weights) and `forward`; of any other module
    `forward`. The line of the signature carries the arguments. In a loop the last round counts. Names of
    axes come from the signature, from the einops pattern on the line, from the function that made the
    tensor, and from sizes that only one name has. Nothing carries a gradient; buffers and random
    numbers are left as they were.

        print(*trace_shapes(SelfAttention2d(512), torch.randn(128, 512, 7, 7)), sep="\n\n")

    Args:
        module: any module whose methods are written in Python.
        inputs: as `module(*inputs)` takes them; those of `attention` are the same.

    Returns:
        the methods, in that order.

    Raises:
        ValueError: the source of a method cannot be found, or a part runs compiled.
        Exception: whatever the module raises; the tracer that was set before is set again.
    """
    refuse_compiled(module)
    tracer = _Tracer(module)
    with undisturbed(module):
        if isinstance(module, AttentionModule):
            attention, weights = tracer.run("attention", inputs)
            reweight, _ = tracer.run("reweight", (*inputs, weights))
            calls = [attention, reweight, tracer.run("forward", inputs)[0]]
        else:
            calls = [tracer.run("forward", inputs)[0]]
    shown = {call.fingerprint() for call in calls}  # these have a place of their own
    return tuple(call.to_method(shown) for call in calls)


class _Call:
    """One call of a function: which of its statements were executed, and which tensors each made.

    Args:
        name: what the call is shown as.
        function: what is called.
        owner: whose method it is, if any.
        sizes: names of axes that are known before, with the size of each.
        known_axes: the axes of tensors that exist; the call adds those that it makes.

    Raises:
        ValueError: the source cannot be found.
    """

    def __init__(
        self,
        name: str,
        function: FunctionType,
        owner: Any,
        sizes: Mapping[str, int],
        known_axes: WeakIdKeyDictionary,
    ):
        self.name, self.code, self.owner_class = name, function.__code__, type(owner)
        self.origin = f"{function.__module__}.{function.__qualname__}"
        self.source = FunctionSource.of(function)
        self.axis_names = AxisNames(function, {**sizes, **_heads(owner)})
        self.known_axes = known_axes
        self.executed: set[ast.stmt] = set()
        self.tensors: dict[ast.stmt, list[TracedTensor]] = {}
        self.inner_calls: list[_Call] = []
        self.running: ast.stmt | None = None
        self.return_statement: ast.stmt | None = None

    def on_event(self, frame: FrameType, event: str, value: Any) -> None:
        """What Python's tracer tells: the call begins, it comes to a line, or it ends with a value."""
        if event == "call":
            count = self.code.co_argcount + self.code.co_kwonlyargcount
            arguments = self.code.co_varnames[:count]
            self._record(self.source.signature, frame.f_locals, arguments)
        elif event == "line":
            coming = self.source.statements.get(frame.f_lineno)
            if coming is not self.running:
                self._record_running(frame)
            self.running = coming
            if isinstance(coming, ast.Return):  # a `with` around it comes by once more
                self.return_statement = coming
        elif event == "return":
            self._record_running(frame)
            if self.return_statement is not None:
                self._record(self.return_statement, {"return": value}, ["return"])

    def _record_running(self, frame: FrameType) -> None:
        if self.running is not None:
            self._record(self.running, frame.f_locals, bound_names(self.running))

    def _record(
        self, statement: ast.stmt, variables: Mapping[str, Any], names: Iterable[str]
    ) -> None:
        """The statement was executed, and `names` are the variables that it bound."""
        self.executed.add(statement)
        made = []
        for name, tensor in _tensors(variables, names):
            shape = tuple(tensor.shape)
            known = self.known_axes.get(tensor, ())
            axes = self.axis_names.of(name, shape, statement, known)
            if name == "return":
                self.known_axes[tensor] = axes
            self.known_axes.setdefault(tensor, axes)
            made.append(TracedTensor(name, shape, tensor.dtype, axes))
        if made:
            self.tensors[statement] = made

    def lines(self) -> tuple[TracedLine, ...]:
        """The source; the last line of each statement, or of its head, has the tensors that it made."""
        made: dict[int, list[TracedTensor]] = {}
        for statement in sorted(self.tensors, key=lambda node: node.lineno):
            made.setdefault(end_of_head(statement), []).extend(
                replace(t, axes=self.axis_names.filled(t.axes, t.shape))
                for t in self.tensors[statement]
            )
        heads = self.source.heads
        return tuple(
            TracedLine(
                number,
                text,
                tuple(made.get(number, ())),
                heads.get(number) in self.executed,
                heads[number].lineno if number in heads else number,
            )
            for number, text in enumerate(self.source.lines, self.source.first_line)
        )

    def fingerprint(self) -> tuple:
        """What two calls of one function, with the same shapes, of modules of one class have in common."""
        lines = self.lines()
        made = ((t.name, t.shape, t.dtype) for line in lines for t in line.tensors)
        return self.origin, self.owner_class, tuple(line.ran for line in lines), tuple(made)

    def to_method(self, shown: set[tuple]) -> TracedMethod:
        """What is shown of it: of the inner calls those that gave a tensor and are not among the `shown`.

        Their fingerprints are added to these.
        """
        calls = []
        for call in self.inner_calls:
            if call.return_statement in call.tensors and call.fingerprint() not in shown:
                shown.add(call.fingerprint())
                calls.append(call.to_method(shown))
        return TracedMethod(self.name, self.origin, self.lines(), tuple(calls))


class _Tracer:
    """Follows calls on `module`, and in each the calls of functions from its parts' own packages."""

    def __init__(self, module: nn.Module):
        self.module = module
        self.prefixes = {
            part: f"{path}." if path else "" for path, part in module.named_modules()
        }
        packages = {type(part).__module__.partition(".")[0] for part in self.prefixes}
        self.packages = packages - {"torch", "einops"}
        self.known_axes = WeakIdKeyDictionary()
        self.active: dict[FrameType, _Call] = {}

    def run(self, name: str, inputs: tuple[Any, ...]) -> tuple[_Call, Any]:
        """Call a method and follow it.

        Raises:
            ValueError: it is written in no Python that can be found.
        """
        method, owner = getattr(self.module, name), type(self.module).__name__
        function = inspect.unwrap(getattr(method, "__func__", method))
        if not isinstance(function, FunctionType):
            raise ValueError(f"{owner}.{name} is no Python function: {function!r}")
        self.root = _Call(name, function, self.module, {}, self.known_axes)
        before = sys.gettrace()
        sys.settrace(self.on_call)
        try:
            result = method(*inputs)
        finally:
            sys.settrace(before)
            self.active.clear()
        if not self.root.executed:
            raise ValueError(f"{owner}.{name} ran without {function!r}")
        return self.root, result

    def on_call(self, frame: FrameType, event: str, value: Any) -> Callable | None:
        """Python's tracer tells that some function is called; what is returned hears of its lines."""
        call = self._call_of(frame)
        if call is None:
            return None
        self.active[frame] = call

        def on_event(frame: FrameType, event: str, value: Any) -> Callable:
            call.on_event(frame, event, value)
            if event == "return":
                del self.active[frame]
            return on_event

        return on_event(frame, event, value)

    def _call_of(self, frame: FrameType) -> _Call | None:
        """The call that begins with this frame, where it is followed: the root first, then what it calls."""
        code = frame.f_code
        owner = frame.f_locals.get(code.co_varnames[0]) if code.co_argcount else None
        if not self.root.executed:
            return self.root if code is self.root.code and owner is self.module else None
        if frame.f_globals.get("__name__", "").partition(".")[0] in self.packages:
            return self._inner_call(frame, owner)
        return None

    def _inner_call(self, frame: FrameType, owner: Any) -> _Call | None:
        """A new call, kept with the innermost one around it that is followed."""
        around = (self.active[f] for f in _outwards(frame.f_back) if f in self.active)
        caller, function = next(around, None), _function(frame, owner)
        if caller is None or function is None or function.__name__ in BY_PATTERN:
            return None
        prefix = self.prefixes.get(owner, "") if isinstance(owner, nn.Module) else ""
        name, sizes = prefix + function.__name__, caller.axis_names.sizes
        try:
            call = _Call(name, function, owner, sizes, self.known_axes)
        except ValueError:  # made by a program: its caller's line tells what it gave
            return None
        caller.inner_calls.append(call)
        return call


def _heads(module: Any) -> dict[str, int]:
    heads = getattr(module, "heads", None)
    return {"heads": heads} if isinstance(heads, int) else {}


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _function(frame: FrameType, owner: Any) -> FunctionType | None:
    """The function that a frame runs: a method of `owner`, or one of its file; no lambda and no loop."""
    name = frame.f_code.co_name
    methods = [vars(cls).get(name) for cls in type(owner).__mro__]
    for candidate in (*methods, frame.f_globals.get(name)):
        function = inspect.unwrap(candidate) if callable(candidate) else None
        if isinstance(function, FunctionType) and function.__code__ is frame.f_code:
            return function
    return None


def _tensors(values: Mapping[str, Any], names: Iterable[str]) -> Iterator[tuple[str, Tensor]]:
    """The tensors under these names, of a list or a tuple each that it holds."""
    for name in names:
        value = values.get(name)
        if isinstance(value, Tensor):
            yield name, value
        elif isinstance(value, (list, tuple)):
            for i, part in enumerate(value):
                if isinstance(part, Tensor):
                    yield f"{name}[{i}]", part
