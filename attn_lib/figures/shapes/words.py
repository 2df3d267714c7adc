"""All that a ShapeTracer says, besides the source and the shapes."""

import math

from ...instruments.shapes import TracedMethod, TracedTensor

PHRASES = {
    "before": "Line before",
    "next": "Next line",
    "hint": "Point at a line, or choose it.",
    "source": "Source of {name}",
    "not_yet": "not yet",
    "new": "new",
    "one_number": "one number",
    "memory": "{dtype}, {size}",
    "made": "New: {tensors}.",
    "nothing_made": "Nothing new.",
    "scale": "{count} numbers. Boxes to scale, positions down, all else across.",
    "scale_of_one": "{count} numbers. Boxes to scale, for one of b={batch}: positions down, all else across.",
    "not_run": "Italic: not run.",
}


def describe_made(tensors: list[TracedTensor]) -> str:
    """What a statement made."""
    if not tensors:
        return PHRASES["nothing_made"]
    return PHRASES["made"].format(tensors="; ".join(map(str, tensors)))


def describe_memory(tensor: TracedTensor) -> str:
    """The type of a tensor's numbers, and what they take."""
    size = _bytes(math.prod(tensor.shape) * tensor.dtype.itemsize)
    return PHRASES["memory"].format(dtype=str(tensor.dtype).removeprefix("torch."), size=size)


def describe_scale(methods: list[TracedMethod], bar: int) -> str:
    """What the bar, so many numbers long, and the boxes mean."""
    lines = [line for method in methods for line in method.lines]
    tensors = [tensor for line in lines for tensor in line.tensors]
    batch = next((t.shape[0] for t in tensors if t.axes[:1] == ("b",)), 1)
    scale = PHRASES["scale_of_one" if batch > 1 else "scale"]
    said = [scale.format(count=f"{bar:,}", batch=batch)]
    if any(line.source and not line.ran for line in lines):
        said.append(PHRASES["not_run"])
    return " ".join(said)


def _bytes(size: float | int) -> str:
    for unit in ("B", "kB", "MB"):
        if size < 999.5:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"
