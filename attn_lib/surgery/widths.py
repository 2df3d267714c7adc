"""What layers of a network give: seen in runs of it, on an example or on inputs guessed from its layers."""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

# Two images (b, c, h, w), by how many axes follow the channels: no size of one is a size of the other.
SIZES = {
    1: ((256,), (192,)),
    2: ((224, 224), (160, 192)),
    3: ((16, 112, 112), (8, 96, 128)),
}


@dataclass
class Seen:
    """What a layer gave.

    Attributes:
        shapes: in each run, of its last output there; the class's name of what is not a tensor.
        calls: in the first run.
    """

    shapes: list[tuple[int, ...] | str] = field(default_factory=list)
    calls: int = 0

    @property
    def shape(self) -> str:
        return " and ".join(str(shape) for shape in dict.fromkeys(self.shapes))

    def channels(self, ndim: int, channels_last: bool) -> int:
        """How many channels it gives.

        Raises:
            ValueError: it gives no features with `ndim` axes besides, or has its channels elsewhere.
        """
        shapes = [shape for shape in self.shapes if not isinstance(shape, str)]
        if shapes != self.shapes or any(len(shape) != ndim + 2 for shape in shapes):
            axes = {1: "t", 2: "h, w", 3: "t, h, w"}[ndim]
            raise ValueError(f"gives {self.shape}, not features (b, c, {axes})")
        here, there = (-1, 1) if channels_last else (1, -1)
        if _may_be_channels(shapes, here):
            return shapes[0][here]
        wanted, other, way = (
            ("last", "first", "without") if channels_last else ("first", "last", "with")
        )
        advice = f": they seem to come {other}; insert {way} channels_last=True"
        raise ValueError(
            f"gives {self.shape}, not features with channels {wanted}"
            + advice * _may_be_channels(shapes, there)
        )


def _may_be_channels(shapes: list[tuple[int, ...]], axis: int) -> bool:
    """Whether an axis keeps its size where the image does not.

    Where there is one shape only, whether the others do not look like h = w with the channels elsewhere.
    """
    if len({*shapes}) > 1 or len(shapes[0]) == 3:
        return len({shape[axis] for shape in shapes}) == 1
    _, *sizes = shapes[0]
    elsewhere, square = (sizes[-1], sizes[:-1]) if axis == 1 else (sizes[0], sizes[1:])
    return len({*square}) > 1 or elsewhere == square[0]


def watch(model: nn.Module, layers: Iterable[nn.Module], example: Any) -> dict[nn.Module, Seen]:
    """What layers give when the model runs on `example`, and again, where it can, on half its height.

    Nothing of the runs stays: the model is in evaluation mode meanwhile, the second run a copy's.

    Args:
        model: holds the layers.
        example: an input of the model; several in a tuple, or in a dict by their names.
    """
    layers = [*layers]
    seen = {layer: Seen() for layer in layers}
    training = {module: module.training for module in model.modules()}
    try:
        with torch.random.fork_rng(devices=[]):
            _run(model.eval(), seen, example)
    finally:
        for module, mode in training.items():
            module.training = mode
    for layer, found in _run_a_copy(model, layers, tree_map(_halved, example)).items():
        seen[layer].shapes += found.shapes
    return seen


def guess(module: nn.Module, layers: Iterable[nn.Module], ndim: int) -> dict[nn.Module, Seen]:
    """What layers in `module` give, without an example: it runs on empty images of any width that a part wants.

    The order in which a block lists its layers says nothing of the order in which they run. A run that succeeds
    with one width, where others fail or give the same, does: layers that keep any width tell nothing.

    Args:
        module: holds the layers, or is the only one.
        ndim: how many axes of its input follow the channels.

    Returns:
        nothing where no run tells.
    """
    layers, (size, other_size) = [*layers], SIZES[ndim]
    for width in dict.fromkeys(_widths(module)):
        seen = _given(module, layers, width, size)
        if not any(found.calls for found in seen.values()):
            continue
        others = (_given(module, layers, other, size) for other in (width + 1, 2 * width))
        if any(other not in ({}, seen) for other in others):
            continue
        for layer, found in _given(module, layers, width, other_size).items():
            seen[layer].shapes += found.shapes
        return seen
    return {}


def _given(
    module: nn.Module, layers: list[nn.Module], width: int, size: tuple[int, ...]
) -> dict[nn.Module, Seen]:
    image = torch.empty(1, width, *size, device="meta")
    return _run_a_copy(module, layers, image)


def _widths(module: nn.Module) -> Iterable[int]:
    for part in module.modules():
        for size in ("in_channels", "num_features", "num_channels"):
            width = vars(part).get(size)
            if isinstance(width, int) and width > 0:
                yield width


def _halved(x: Any) -> Any:
    """An image of half the height, a sequence of half the length; what may be no image stays."""
    if not isinstance(x, Tensor) or x.ndim < 3 or not x.is_floating_point():
        return x
    axis = -1 if x.ndim == 3 else -2
    return x.narrow(axis, 0, (x.shape[axis] + 1) // 2)


def _run_a_copy(
    module: nn.Module, layers: list[nn.Module], example: Any
) -> dict[nn.Module, Seen]:
    """What layers give on the meta device, where tensors have shapes and no numbers; nothing where it does not run."""
    seen = {layer: Seen() for layer in layers}
    memo = {id(tensor): _shadow(tensor) for tensor in _tensors(module)}
    try:
        # Tensors that a layer keeps in plain attributes, such as weight_norm's weight, refuse to be copied:
        # with shadows in the memo nothing asks them, and no weight takes memory twice.
        twin = copy.deepcopy(module, memo).eval()
        with torch.device("meta"):
            parts = {memo[id(layer)]: found for layer, found in seen.items()}
            _run(twin, parts, tree_map(_shadow, example))
    except Exception:  # whatever a foreign layer raises when its input does not fit
        return {}
    return seen


def _tensors(module: nn.Module) -> Iterable[Tensor]:
    for part in module.modules():
        for values in (part._parameters, part._buffers, vars(part)):
            yield from (value for value in values.values() if isinstance(value, Tensor))


def _shadow(x: Any) -> Any:
    if not isinstance(x, Tensor):
        return x
    dtype = torch.float32 if x.is_floating_point() else x.dtype
    shadow = torch.empty(x.shape, dtype=dtype, device="meta")
    return nn.Parameter(shadow, x.requires_grad) if isinstance(x, nn.Parameter) else shadow


def _run(model: nn.Module, seen: dict[nn.Module, Seen], example: Any) -> None:
    def note(module: nn.Module, inputs: tuple, output: Any) -> None:
        given = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        found = seen[module]
        found.calls += 1
        found.shapes[:] = [given]

    hooks = [layer.register_forward_hook(note) for layer in seen]
    try:
        with torch.no_grad():
            if isinstance(example, tuple):
                model(*example)
            elif isinstance(example, Mapping):
                model(**example)
            else:
                model(example)
    finally:
        for hook in hooks:
            hook.remove()
