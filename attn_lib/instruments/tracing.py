"""A module's own source, line by line, with the shape of every tensor that each line makes."""

import ast
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from types import FrameType, FunctionType
from typing import Any

from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

from ..module import AttentionModule
from .axes import AxisNames
from .shapes import TracedLine, TracedMethod, TracedTensor
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
    told = {call.key() for call in calls}  # these have a place of their own
    return tuple(call.told(told) for call in calls)


class _Call:
    """One call of a function, and what each of its statements assigned when it was done.

    Raises:
        ValueError: the source cannot be found.
    """

    def __init__(
        self,
        name: str,
        function: FunctionType,
        owner: Any,
        sizes: Mapping[str, int],
        given: Any,
    ):
        self.name, self.code, self.owner = name, function.__code__, type(owner)
        self.origin = f"{function.__module__}.{function.__qualname__}"
        self.source, self.first, self.statements = _source(function)
        self.names, self.given = AxisNames(function, {**sizes, **_heads(owner)}), given
        self.seen: dict[ast.stmt, list[TracedTensor]] = {}
        self.ran: set[ast.stmt] = set()
        self.calls: list[_Call] = []
        self.current: ast.stmt | None = None
        self.returning: ast.stmt | None = None

    def step(self, frame: FrameType, event: str, value: Any) -> None:
        if event == "call":
            signature, count = next(iter(self.statements.values())), self.code.co_argcount
            arguments = self.code.co_varnames[: count + self.code.co_kwonlyargcount]
            self.note(signature, frame.f_locals, arguments)
        elif event == "line":
            coming = self.statements.get(frame.f_lineno)
            if coming is not self.current:
                self.finish(frame)
            self.current = coming
            if isinstance(coming, ast.Return):  # a `with` around it comes by once more
                self.returning = coming
        elif event == "return":
            self.finish(frame)
            if self.returning is not None:
                self.note(self.returning, {"return": value}, ["return"])

    def finish(self, frame: FrameType) -> None:
        if self.current is not None:
            self.note(self.current, frame.f_locals, _targets(self.current))

    def note(
        self, statement: ast.stmt, values: Mapping[str, Any], names: Iterable[str]
    ) -> None:
        self.ran.add(statement)
        tensors = []
        for name, value in _tensors(values, names):
            shape = tuple(value.shape)
            axes = self.names.of(name, shape, statement, self.given.get(value, ()))
            if name == "return":
                self.given[value] = axes
            self.given.setdefault(value, axes)
            tensors.append(TracedTensor(name, shape, value.dtype, axes))
        if tensors:
            self.seen[statement] = tensors

    def lines(self) -> tuple[TracedLine, ...]:
        made: dict[int, list[TracedTensor]] = {}
        for statement in sorted(self.seen, key=lambda node: node.lineno):
            made.setdefault(_last_line(statement), []).extend(
                replace(t, axes=self.names.filled(t.axes, t.shape))
                for t in self.seen[statement]
            )
        heads = {
            line: node
            for node in self.statements.values()
            for line in range(node.lineno, _last_line(node) + 1)
        }
        return tuple(
            TracedLine(
                number,
                text,
                tuple(made.get(number, ())),
                heads.get(number) in self.ran,
                heads[number].lineno if number in heads else number,
            )
            for number, text in enumerate(self.source, self.first)
        )

    def key(self) -> tuple:
        """What two calls of one function, with the same shapes, of modules of one class have in common."""
        lines = self.lines()
        made = ((t.name, t.shape, t.dtype) for line in lines for t in line.tensors)
        return self.origin, self.owner, tuple(line.ran for line in lines), tuple(made)

    def told(self, before: set) -> TracedMethod:
        """What came about, with those calls whose keys are not among those `before`, which then has them."""
        calls = []
        for call in self.calls:
            if call.returning in call.seen and call.key() not in before:
                before.add(call.key())
                calls.append(call.told(before))
        return TracedMethod(self.name, self.origin, self.lines(), tuple(calls))


class _Tracer:
    """Follows calls on `module`, and in each the calls of functions from its parts' own packages."""

    def __init__(self, module: nn.Module):
        self.module = module
        self.paths = {part: f"{path}." if path else "" for path, part in module.named_modules()}
        packages = {type(part).__module__.partition(".")[0] for part in self.paths}
        self.packages = packages - {"torch", "einops"}
        self.given = WeakIdKeyDictionary()  # the axes of tensors that exist
        self.open: dict[FrameType, _Call] = {}

    def run(self, name: str, inputs: tuple[Any, ...]) -> tuple[_Call, Any]:
        """Call a method and follow it.

        Raises:
            ValueError: it is written in no Python that can be found.
        """
        method, owner = getattr(self.module, name), type(self.module).__name__
        function = inspect.unwrap(getattr(method, "__func__", method))
        if not isinstance(function, FunctionType):
            raise ValueError(f"{owner}.{name} is no Python function: {function!r}")
        self.outer = _Call(name, function, self.module, {}, self.given)
        before = sys.gettrace()
        sys.settrace(self.enter)
        try:
            result = method(*inputs)
        finally:
            sys.settrace(before)
            self.open.clear()
        if not self.outer.ran:
            raise ValueError(f"{owner}.{name} ran without {function!r}")
        return self.outer, result

    def enter(self, frame: FrameType, event: str, value: Any) -> Callable | None:
        code = frame.f_code
        owner = frame.f_locals.get(code.co_varnames[0]) if code.co_argcount else None
        call: _Call | None = None
        if not self.outer.ran:
            call = self.outer if code is self.outer.code and owner is self.module else None
        elif frame.f_globals.get("__name__", "").partition(".")[0] in self.packages:
            call = self.called(frame, owner)
        if call is None:
            return None
        self.open[frame] = call

        def step(frame: FrameType, event: str, value: Any) -> Callable:
            call.step(frame, event, value)
            if event == "return":
                del self.open[frame]
            return step

        return step(frame, event, value)

    def called(self, frame: FrameType, owner: Any) -> _Call | None:
        """The call that begins with this frame, noted with the innermost that is being followed."""
        callers = (self.open[f] for f in _outwards(frame.f_back) if f in self.open)
        caller, function = next(callers, None), _function(frame, owner)
        if caller is None or function is None:
            return None
        name = self.paths.get(owner, "") if isinstance(owner, nn.Module) else ""
        try:
            name += function.__name__
            call = _Call(name, function, owner, caller.names.sizes, self.given)
        except ValueError:  # made by a program: its caller's line tells what it gave
            return None
        caller.calls.append(call)
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


def _source(function: FunctionType) -> tuple[list[str], int, dict[int, ast.stmt]]:
    """The lines of a function, the number of the first, and the statement to which each line belongs."""
    try:
        lines, first = inspect.getsourcelines(function)
    except (OSError, TypeError) as error:
        raise ValueError(f"the source of {function!r} cannot be found") from error
    tree = ast.parse(textwrap.dedent("".join(lines)))
    ast.increment_lineno(tree, first - 1)
    statements: dict[int, ast.stmt] = {}
    for node in ast.walk(tree):  # outer ones first: a line belongs to the innermost
        if isinstance(node, ast.stmt):
            statements |= dict.fromkeys(range(node.lineno, (node.end_lineno or 0) + 1), node)
    return textwrap.dedent("".join(lines)).splitlines(), first, statements


def _targets(statement: ast.stmt) -> list[str]:
    """The variables that a statement binds: of a loop or a `with`, those in its first line."""
    nodes: list[ast.AST] = getattr(statement, "targets", None) or [
        getattr(statement, "target", ast.Pass())
    ]
    names = [name for node in nodes for name in ast.walk(node) if isinstance(name, ast.Name)]
    return [name.id for name in names if isinstance(name.ctx, ast.Store) and name.id != "_"]


def _last_line(statement: ast.stmt) -> int:
    """Where a simple statement, or the head of one that holds others, ends."""
    inner = {"body", "orelse", "finalbody", "handlers", "decorator_list"}
    ends = [statement.lineno]
    for name, value in ast.iter_fields(statement):
        parts = value if isinstance(value, list) else [value]
        if name not in inner:
            nodes = [
                node for part in parts if isinstance(part, ast.AST) for node in ast.walk(part)
            ]
            ends += [getattr(node, "end_lineno", None) or 0 for node in nodes]
    return max(ends) if hasattr(statement, "body") else statement.end_lineno or statement.lineno
