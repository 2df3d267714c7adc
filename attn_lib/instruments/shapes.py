"""What a trace tells: methods, their lines, and the tensors that each line makes."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from .axes import Axes


@dataclass(frozen=True)
class TracedTensor:
    """A tensor under the name that the line gives it; "return" names what the method returns.

    Its text is "query: b=128 n=49 d=64", with the dtype where that is not float32.

    Attributes:
        name: of several in a list or a tuple, "seen[0]", "seen[1]" …
        axes: what each axis is (b, c, h, w, n, m, d, heads …), None where it cannot be told.
    """

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    axes: Axes

    @property
    def sizes(self) -> str:
        """Its shape with the names of its axes, such as "b=128 n=49 d=64"."""
        pairs = zip(self.axes, self.shape, strict=True)
        return " ".join(f"{axis}={size}" if axis else str(size) for axis, size in pairs)

    def __str__(self) -> str:
        dtype = "" if self.dtype == torch.float32 else f", {self.dtype}".replace("torch.", "")
        return f"{self.name}: {self.sizes or 'one number'}{dtype}"


@dataclass(frozen=True)
class TracedLine:
    """A line of source and the tensors that exist once it has run.

    Attributes:
        number: its place in the file, from 1.
        ran: whether it was reached. Of a statement over several lines, the last carries the tensors.
        statement: the number of the line on which its statement begins.
    """

    number: int
    source: str
    tensors: tuple[TracedTensor, ...] = ()
    ran: bool = False
    statement: int = 0

    @property
    def comments(self) -> list[str]:
        """What it made, a line for each tensor, indented as what follows it."""
        inner = 4 if re.search(r":\s*(#.*)?$", self.source) else 0
        indent = len(self.source) - len(self.source.lstrip()) + inner
        return [f"{'':{indent}}# {tensor}" for tensor in self.tensors]


@dataclass(frozen=True)
class TracedMethod:
    """One method: its name, where it is defined ("attn_lib.spatial.SelfAttention2d.forward"), its lines.

    Its text is the source and, as comments under the lines, the shapes that came about.

    Attributes:
        name: "forward"; of a part of the module, "channel.forward"; of a function, its own.
        calls: the functions that it called, of the packages that the module's parts come from. Those
            that gave a tensor are told, once: where they first ran with these shapes.
    """

    name: str
    origin: str
    lines: tuple[TracedLine, ...]
    calls: tuple["TracedMethod", ...] = ()

    def walk(self, depth: int = 0) -> Iterator[tuple[int, "TracedMethod"]]:
        """This method, then those that it called, each with how deep it lies."""
        yield depth, self
        for call in self.calls:
            yield from call.walk(depth + 1)

    def __str__(self) -> str:
        text = [f"# {self.name}: {self.origin}"]
        for line in self.lines:
            text += [line.source, *line.comments]
        return "\n".join(text)
