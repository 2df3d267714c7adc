"""A module's own source, line by line, with the shape of every tensor that each line makes."""

import ast
import inspect
import math
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from types import CodeType, FrameType, FunctionType
from typing import Any

import torch
from torch import Tensor, nn

from .module import AttentionModule
from .recording import undisturbed

_EINOPS = {"rearrange", "einsum", "reduce", "repeat"}


@dataclass(frozen=True)
class TracedTensor:
    """A tensor under the name that the line gives it; "return" names what the method returns.

    Attributes:
        axes: what each axis is (b, c, h, w, n, m, d, heads …), None where it cannot be told.
    """

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    axes: tuple[str | None, ...]


@dataclass(frozen=True)
class TracedLine:
    """A line of source and the tensors that exist once it has run.

    Attributes:
        number: its place in the file, from 1.
        ran: whether it was reached. Of a statement over several lines, the last carries the tensors.
    """

    number: int
    source: str
    tensors: tuple[TracedTensor, ...] = ()
    ran: bool = False


@dataclass(frozen=True)
class TracedMethod:
    """One method: its name, where it is defined ("attn_lib.spatial.SelfAttention2d.forward"), its lines."""

    name: str
    origin: str
    lines: tuple[TracedLine, ...]


def trace_shapes(module: nn.Module, *inputs: Any) -> tuple[TracedMethod, ...]:
    """Run a module and tell, line by line of its own source, the shapes that came about.

    Of an `AttentionModule`, `attention`, `reweight` (on its weights) and `forward`; of any other module
    `forward`. The line of the signature carries the arguments. In a loop the last round counts. Names of
    axes come from the signature, from the einops pattern on the line, and from sizes that only one name
    has. Nothing carries a gradient; buffers are left as they were.

    Args:
        module: any module whose methods are written in Python.
        inputs: as `module(*inputs)` takes them; those of `attention` are the same.

    Returns:
        the methods, in that order.

    Raises:
        ValueError: the source of a method cannot be found.
        Exception: whatever the module raises; the tracer that was set before is set again.
    """
    with undisturbed(module):
        if not isinstance(module, AttentionModule):
            return (_trace(module, "forward", inputs)[0],)
        attention, weights = _trace(module, "attention", inputs)
        arguments = next(line.tensors for line in attention.lines if line.tensors)
        returned = (t for line in attention.lines for t in line.tensors if t.name == "return")
        known = (*arguments, *returned)  # names for methods whose own signatures lack them
        reweight, _ = _trace(module, "reweight", (*inputs, weights), known)
        return attention, reweight, _trace(module, "forward", inputs, known)[0]


def _trace(
    module: nn.Module, name: str, inputs: tuple[Any, ...], known: Iterable[TracedTensor] = ()
) -> tuple[TracedMethod, Any]:
    method = getattr(module, name)
    function = inspect.unwrap(getattr(method, "__func__", method))
    if not isinstance(function, FunctionType):
        raise ValueError(f"{type(module).__name__}.{name} is no Python function: {function!r}")
    source, first, statements = _source(function)
    watcher = _Watcher(module, function.__code__, statements)
    result = watcher.run(method, inputs)
    if not watcher.ran:
        raise ValueError(f"{type(module).__name__}.{name} ran without {function!r}")
    names = _AxisNames(function, module, known)
    made: dict[int, list[TracedTensor]] = {}
    for statement in sorted(watcher.seen, key=lambda node: node.lineno):
        tensors = [replace(t, axes=names.of(t, statement)) for t in watcher.seen[statement]]
        made.setdefault(_last_line(statement), []).extend(tensors)
    ran = {line for node in watcher.ran for line in range(node.lineno, _last_line(node) + 1)}
    lines = tuple(
        TracedLine(number, text, tuple(made.get(number, ())), number in ran)
        for number, text in enumerate(source, first)
    )
    return TracedMethod(name, f"{function.__module__}.{function.__qualname__}", lines), result


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


class _Watcher:
    """Follows the one call of `code` on `module`, and notes what each statement assigned when it is done."""

    def __init__(self, module: nn.Module, code: CodeType, statements: Mapping[int, ast.stmt]):
        self.module, self.code, self.statements = module, code, statements
        self.seen: dict[ast.stmt, list[TracedTensor]] = {}
        self.ran: set[ast.stmt] = set()
        self.frame: FrameType | None = None
        self.current: ast.stmt | None = None
        self.returning: ast.stmt | None = None

    def run(self, method: Callable, inputs: tuple[Any, ...]) -> Any:
        before = sys.gettrace()
        sys.settrace(self.enter)
        try:
            return method(*inputs)
        finally:
            sys.settrace(before)
            self.frame = None

    def enter(self, frame: FrameType, event: str, value: Any) -> Callable | None:
        mine = frame.f_code is self.code and (
            frame.f_locals.get(self.code.co_varnames[0]) is self.module
        )
        if self.frame is not None or not mine:
            return None
        self.frame = frame
        signature = next(iter(self.statements.values()))
        arguments = self.code.co_varnames[: self.code.co_argcount + self.code.co_kwonlyargcount]
        self.note(signature, frame.f_locals, arguments)
        return self.step

    def step(self, frame: FrameType, event: str, value: Any) -> Callable:
        if event == "line":
            coming = self.statements.get(frame.f_lineno)
            if coming is not self.current:
                self.finish(frame)
            self.current = coming
            if isinstance(coming, ast.Return):  # a `with` around it comes by once more
                self.returning = coming
        elif event == "return":
            self.finish(frame)
            if self.returning is not None and value is not None:
                several = dict(enumerate(value)) if isinstance(value, tuple) else {}
                named = {f"return[{i}]": part for i, part in several.items()} or {
                    "return": value
                }
                self.note(self.returning, named, named)
        return self.step

    def finish(self, frame: FrameType) -> None:
        if self.current is not None:
            self.note(self.current, frame.f_locals, _targets(self.current))

    def note(
        self, statement: ast.stmt, values: Mapping[str, Any], names: Iterable[str]
    ) -> None:
        self.ran.add(statement)
        tensors = [
            (name, values[name]) for name in names if isinstance(values.get(name), Tensor)
        ]
        if tensors:
            self.seen[statement] = [
                TracedTensor(name, tuple(value.shape), value.dtype, (None,) * value.ndim)
                for name, value in tensors
            ]


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


class _AxisNames:
    """Gives axes their names, and learns names from the signature and patterns that it has met."""

    def __init__(
        self, function: FunctionType, module: nn.Module, known: Iterable[TracedTensor]
    ):
        self.signature = {
            name: getattr(annotation, "dim_str", "")
            for name, annotation in function.__annotations__.items()
        }
        heads = getattr(module, "heads", None)
        self.sizes = {"heads": heads} if isinstance(heads, int) else {}
        self.shapes: dict[tuple[int, ...], set[tuple[str | None, ...]]] = {}
        for tensor in known:
            self.learn(tensor.axes, tensor.shape)

    def of(self, tensor: TracedTensor, statement: ast.stmt) -> tuple[str | None, ...]:
        if isinstance(statement, ast.FunctionDef) or tensor.name == "return":
            axes = _axes(self.signature.get(tensor.name, ""), len(tensor.shape))
        else:
            axes = _axes(_pattern(statement))
            if "n" in self.sizes and len(axes) == len(tensor.shape):
                # A pattern's (h w) may be a smaller grid than the input's: then these are keys.
                pairs = zip(axes, tensor.shape, strict=True)
                axes = tuple("m" if a == "n" and s != self.sizes["n"] else a for a, s in pairs)
        if len(axes) != len(tensor.shape):
            return self._by_shape(tensor.shape) or self._by_size(tensor.shape)
        self.learn(axes, tensor.shape)
        return axes

    def learn(self, axes: tuple[str | None, ...], shape: tuple[int, ...]) -> None:
        self.sizes |= {name: size for name, size in zip(axes, shape, strict=True) if name}
        grid = [self.sizes[name] for name in ("t", "h", "w") if name in self.sizes]
        if len(grid) > 1:
            self.sizes.setdefault("n", math.prod(grid))
        if any(axes):
            self.shapes.setdefault(shape, set()).add(axes)

    def _by_shape(self, shape: tuple[int, ...]) -> tuple[str | None, ...]:
        """The axes of the one tensor like it, such as (b, c, 7, 7), where no other name has these sizes."""
        alike = self.shapes.get(shape, set())
        names = {name for name, size in self.sizes.items() if size in shape} - {"b"}
        axes = next(iter(alike)) if len(alike) == 1 else ()
        return axes if names <= set(axes) else ()

    def _by_size(self, shape: tuple[int, ...]) -> tuple[str | None, ...]:
        """The batch comes first and nowhere else; any other axis has the one name of its size, if one."""
        axes = []
        for place, size in enumerate(shape):
            first = place == 0 and size == self.sizes.get("b")
            fitting = [
                name for name, known in self.sizes.items() if known == size and name != "b"
            ]
            axes.append("b" if first else fitting[0] if len(fitting) == 1 else None)
        return tuple(axes)


def _pattern(statement: ast.stmt) -> str:
    """The right-hand side of the einops pattern whose result a statement assigns, or ""."""
    call = getattr(statement, "value", None)
    if isinstance(call, ast.Call) and getattr(call.func, "id", "") in _EINOPS:
        for node in call.args:
            if isinstance(node, ast.Constant) and "->" in str(node.value):
                return str(node.value).split("->")[1]
    return ""


def _axes(pattern: str, ndim: int = 0) -> tuple[str | None, ...]:
    """The names of axes, (b, n, d) of "b (h w) d", None for what has no name of its own.

    Of an input of `ndim` axes, "*size" is (h, w), (t, h, w) of a video, (t,) of a sequence.
    """
    parts = re.findall(r"\([^)]*\)|\S+", pattern.replace("(h w)", "n"))
    if "*size" in parts:
        place, grid = parts.index("*size"), {1: ["t"], 2: ["h", "w"], 3: ["t", "h", "w"]}
        parts[place : place + 1] = grid.get(ndim - len(parts) + 1, [])
    return tuple(part if part.isidentifier() else None for part in parts)
