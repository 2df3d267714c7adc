"""What each axis of a tensor is called: read from signatures and patterns, never guessed where two names fit."""

import ast
import math
import re
from collections.abc import Mapping
from types import FunctionType

Axes = tuple[str | None, ...]

BY_PATTERN = {"dot", "einsum", "rearrange", "reduce", "repeat"}  # they are told what comes out
_NEIGHBOURS = (("h", "w"), ("n", "m"))  # in this order, also where both have one size


class AxisNames:
    """Names the axes of the tensors of one call, and learns sizes and shapes from those that it has named.

    Args:
        function: the one that is called; its signature may carry jaxtyping's shapes.
        sizes: names that are known before, with the size of each.
    """

    def __init__(self, function: FunctionType, sizes: Mapping[str, int]):
        self.signature = {
            name: getattr(annotation, "dim_str", "")
            for name, annotation in function.__annotations__.items()
        }
        self.sizes = dict(sizes)
        self.queries: set[int] = set()  # the sizes of axes named n
        self.shapes: dict[tuple[int, ...], set[Axes]] = {}

    def of(
        self, name: str, shape: tuple[int, ...], statement: ast.stmt, given: Axes = ()
    ) -> Axes:
        """The axes of the tensor that `statement` binds to `name`; `given` names it had elsewhere."""
        heads = isinstance(statement, ast.FunctionDef)
        told = self.signature.get(name, "") if heads or name == "return" else ""
        axes = _axes(told, len(shape))
        for other in ("" if heads else _pattern(statement), given):
            if len(axes) != len(shape):
                axes = self._keys(_axes(other) if isinstance(other, str) else other, shape)
        if len(axes) != len(shape):
            axes = (None,) * len(shape)
        axes = self.filled(axes, shape)
        self._learn(axes, shape)
        return axes

    def filled(self, axes: Axes, shape: tuple[int, ...]) -> Axes:
        """`axes`, and where one has no name, that of a tensor of this shape or else the one of its size."""
        if all(axes):
            return axes
        guessed = self._by_shape(shape) or self._by_size(shape)
        return tuple(
            name or (guess if size > 1 else None)
            for name, guess, size in zip(axes, guessed, shape, strict=True)
        )

    def _keys(self, axes: Axes, shape: tuple[int, ...]) -> Axes:
        """n positions, where there were queries on another grid, are keys: m."""
        if not self.queries or len(axes) != len(shape):
            return axes
        pairs = zip(axes, shape, strict=True)
        return tuple("m" if a == "n" and s not in self.queries else a for a, s in pairs)

    def _learn(self, axes: Axes, shape: tuple[int, ...]) -> None:
        self.sizes |= {name: size for name, size in zip(axes, shape, strict=True) if name}
        self.queries |= {size for name, size in zip(axes, shape, strict=True) if name == "n"}
        grid = [self.sizes[name] for name in ("t", "h", "w") if name in self.sizes]
        if len(grid) > 1:
            self.sizes.setdefault("n", math.prod(grid))
        if any(axes):
            self.shapes.setdefault(shape, set()).add(axes)

    def _fitting(self, size: int) -> set[str]:
        return {name for name, known in self.sizes.items() if known == size} - {"b"}

    def _by_shape(self, shape: tuple[int, ...]) -> Axes:
        """The axes of the one tensor like it, such as (b, c, 7, 7), where no other name has these sizes."""
        alike = self.shapes.get(shape, set())
        names = set().union(*map(self._fitting, shape))
        axes = next(iter(alike)) if len(alike) == 1 else ()
        return axes if names <= set(axes) else ()

    def _by_size(self, shape: tuple[int, ...]) -> Axes:
        """The batch comes first and nowhere else; any other axis has the one name of its size, if one."""
        fitting = [self._fitting(size) for size in shape]
        axes: list[str | None] = [next(iter(f)) if len(f) == 1 else None for f in fitting]
        if shape and shape[0] == self.sizes.get("b"):
            axes[0] = "b"
        for pair in _NEIGHBOURS:
            for i in range(1, len(shape) - 1):
                if fitting[i] == fitting[i + 1] == set(pair):
                    axes[i : i + 2] = pair
        return tuple(axes)


def _pattern(statement: ast.stmt) -> str:
    """The right-hand side of the einops pattern whose result a statement assigns, or ""."""
    call = getattr(statement, "value", None)
    if isinstance(call, ast.Call) and getattr(call.func, "id", "") in BY_PATTERN:
        for node in call.args:
            if isinstance(node, ast.Constant) and "->" in str(node.value):
                return str(node.value).split("->")[1]
    return ""


def _axes(pattern: str, ndim: int = 0) -> Axes:
    """The names of axes, (b, n, d) of "b (h w) d", None for what has no name of its own.

    Of an input of `ndim` axes, "*size" is (h, w), (t, h, w) of a video, (t,) of a sequence; other stars
    stand for as many axes without names.
    """
    parts = re.findall(r"\([^)]*\)|\S+", pattern.replace("(h w)", "n"))
    for place, part in enumerate(parts):
        if part.startswith("*"):
            count = max(ndim - len(parts) + 1, 0)
            grid = {1: ["t"], 2: ["h", "w"], 3: ["t", "h", "w"]}.get(count, [])
            parts[place : place + 1] = grid if part == "*size" else ["1"] * count
            break
    return tuple(part if part.isidentifier() else None for part in parts)
