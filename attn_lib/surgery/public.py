"""Weights that people have of a mechanism, from whichever well-known code they come."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, product
from typing import Any

import torch
from torch import Tensor, nn

from ..channel import EfficientChannelAttention, SelectiveKernel, SqueezeExcitation
from ..mixed import CBAM, ChannelGate, SpatialGate
from ..spatial import NonLocal, SelfAttention2d
from .layouts import Layout, State, layouts_of


def load_public(
    module: nn.Module, state_dict: Mapping[str, Any], prefix: str = ""
) -> nn.Module:
    """Load the weights of a mechanism that other code has trained, in place.

        load_public(SqueezeExcitation(256), torch.load("se.pt"))
        load_public(model.layer3[0].cbam, checkpoint["state_dict"], prefix="layer3.0.cbam.")

    The layouts that it knows are tables of names; it goes by a checkpoint's keys and shapes, and loads all of
    it or nothing. They do not tell activations, strides, padding, `embedded_gaussian` from `dot_product`, or
    whether scores are scaled: make the module as the other one was.

    Args:
        module: a mechanism of this library.
        state_dict: of a peer, or of a network that holds it; of this library as well.
        prefix: what stands before the peer's own keys. `module.`, of DataParallel, may be left out.

    Returns:
        The module.

    Raises:
        ValueError: something is left over, missing or of another shape, or the layout is for modules that
            are made otherwise: with all of it, by the nearest layout, and, where one fits, with the call that
            makes a module for this checkpoint. The module is as it was.

    Source: no paper; the code of moskomule/senet.pytorch, BangguWu/ECANet, Jongchan/attention-module,
    heykeetae/Self-Attention-GAN, AlexHex7/Non-local_pytorch, timm, torchvision, mmcv, pytorchcv,
    fightingcv-attention and vit-pytorch. A bias before a batch normalisation, where ours has none, goes into
    the normalisation's mean.
    """
    state = _under(state_dict, prefix)
    own = module.state_dict()
    best = min((_fit(module, layout, state) for layout in layouts_of(module)), key=_distance)
    if _wrong(best):
        hint = " or ".join(dict.fromkeys(_made_for(module, best.layout, state)))
        raise ValueError(
            f"{type(module).__name__} does not take this checkpoint. The nearest layout is that of "
            f"{best.layout.source}; {_said(best)}" + (f". It fits {hint}" if hint else "")
        )
    adapted = best.layout.adapt(module, best.state)
    loaded = {key: value.reshape(own[key].shape) for key, value in adapted.items()}
    module.load_state_dict(loaded)  # batch normalisation keeps its count where there is none
    return module


COUNT = "num_batches_tracked"
Shapes = Mapping[str, tuple[int, ...]]


def _under(state_dict: Mapping[str, Any], prefix: str) -> State:
    """The part of a state dict whose keys start with a prefix, without it."""
    prefix += "." if prefix and not prefix.endswith(".") else ""
    for start in (prefix, "module." + prefix):
        part = {key[len(start) :]: state_dict[key] for key in state_dict if key.startswith(start)}  # fmt: skip
        if part:
            break
    else:
        raise ValueError(
            f"no key starts with {prefix!r}; there are {_listed(state_dict) or 'none'}"
        )
    if others := [key for key, value in part.items() if not isinstance(value, Tensor)]:
        raise ValueError(
            f"a state dict holds tensors; got other things at {_listed(others)}: a file often keeps more, and the "
            "state dict under a name such as checkpoint['state_dict']"
        )
    parallel = all(key.startswith("module.") for key in part)
    return {key[7 * parallel :]: value.detach() for key, value in part.items()}


@dataclass(frozen=True)
class Fit:
    """What a layout makes of a checkpoint, and what is wrong with it: each in words."""

    layout: Layout
    state: State
    left: list[str]
    missing: list[str]
    shapes: list[str]
    wants: list[str]


def _distance(fit: Fit) -> tuple[int, int, int, bool]:
    others = len(fit.missing) + len(fit.shapes)
    return len(fit.left), others, len(fit.wants), bool(fit.layout.never)


def _wrong(fit: Fit) -> bool:
    return any(_distance(fit))


def _fit(module: nn.Module, layout: Layout, state: State) -> Fit:
    theirs: dict[str, str] = {}
    for key in state:
        if ours := layout.ours(key):
            theirs.setdefault(ours, key)
    own = module.state_dict()
    if layout.bias and "norm.running_mean" in own:
        own.setdefault("out.bias", own["norm.running_mean"])
    return Fit(
        layout,
        {ours: state[key] for ours, key in theirs.items()},
        left=[key for key in state if key not in theirs.values()]
        + [key for ours, key in theirs.items() if ours not in own],
        missing=[key for key in own if key not in theirs and not key.endswith(COUNT)],
        shapes=[
            f"{key} is {tuple(state[key].shape)}, wanted {tuple(own[ours].shape)}"
            for ours, key in theirs.items()
            if ours in own and _bare(state[key]) != _bare(own[ours])
        ],
        wants=[text for text, holds in layout.where.items() if not holds(module)],
    )


def _bare(value: Tensor) -> tuple[int, ...]:
    """A shape without the ones at its end: those of a 1×1 convolution, where a linear layer has none."""
    shape = list(value.shape)
    while shape and shape[-1] == 1:
        shape.pop()
    return tuple(shape)


def _said(fit: Fit) -> str:
    parts = {
        "left over": _listed(fit.left),
        "missing": _listed(fit.missing),
        "shapes": _listed(fit.shapes),
        "for modules with": _listed(fit.wants),
        "never loaded": fit.layout.never,
    }
    return "; ".join(f"{name}: {text}" for name, text in parts.items() if text)


def _listed(names: Iterable[str], most: int = 20) -> str:
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


Made = tuple[str, nn.Module]


def _made_for(module: nn.Module, layout: Layout, state: State) -> Iterator[str]:
    """Calls that make a module for a checkpoint. Each was tried."""
    shapes = {ours: value.shape for key, value in state.items() if (ours := layout.ours(key))}
    makers = [make for kind, make in MAKERS.items() if isinstance(module, kind)]
    try:
        with torch.device("meta"):
            for ways in (ways for make in makers for ways in make(module, shapes)):
                fits = (text for text, made in ways if not _wrong(_fit(made, layout, state)))
                yield from islice(fits, 1)
    except (KeyError, ValueError, ZeroDivisionError):
        return  # it lacks what would tell the arguments, or there are none such


def _call(kind: type[nn.Module], **options: Any) -> Made:
    """A module, and the call that makes it."""
    known = inspect.signature(kind).parameters
    said = [
        f"{value!r}" if name == "channels" else f"{name}={value!r}"
        for name, value in options.items()
        if value != known[name].default
    ]
    return f"{kind.__name__}({', '.join(said)})", kind(**options)


def _gates(kind: type[nn.Module], first: str, shapes: Shapes) -> Iterator[Made]:
    hidden, channels = shapes[f"{first}.weight"][:2]
    for reduction in (16, channels // hidden):
        bias = f"{first}.bias" in shapes
        yield _call(kind, channels=channels, reduction=reduction, bias=bias)


def _spatial(place: str, shapes: Shapes) -> dict[str, Any]:
    size = shapes[f"{place}conv.weight"][-1]
    return {"kernel_size": size, "norm": f"{place}norm.weight" in shapes}


def _cbams(shapes: Shapes) -> Iterator[Made]:
    for gate, channel in _gates(ChannelGate, "channel.mlp.0", shapes):
        options = {"channels": channel.channels, "reduction": channel.reduction}
        text, made = _call(CBAM, **options, **_spatial("spatial.", shapes))
        if "channel.mlp.0.bias" not in shapes:
            made.channel, text = channel, f"{text} with {gate} at its .channel"
        yield text, made


def _kernels(shapes: Shapes) -> Iterator[Made]:
    hidden, channels = shapes["squeeze.weight"][:2]
    branches = sum(name.endswith(".0.weight") for name in shapes)
    each = channels // shapes["branches.0.0.weight"][1]
    for reduction, groups in product((16, channels // hidden), (32, each)):
        options = {"branches": branches, "reduction": reduction, "groups": groups}
        yield _call(SelectiveKernel, channels=channels, **options)


def _self_attentions(shapes: Shapes) -> Iterator[Made]:
    queries, channels = shapes["query.weight"][:2]
    value_reduction = channels // shapes["value.weight"][0]
    for reduction in (8, channels // queries):
        options = {"reduction": reduction, "value_reduction": value_reduction}
        bias = "query.bias" in shapes
        yield _call(SelfAttention2d, channels=channels, **options, bias=bias)


def _non_locals(module: Any, shapes: Shapes) -> Iterator[list[Made]]:
    """For each mode that has these parts."""
    inner, channels, *size = shapes["g.weight"]
    scaled, modes = module.scale != 1, ["embedded_gaussian", "dot_product"]
    if "theta.weight" not in shapes:
        modes = ["gaussian"]
    elif "compare.weight" in shapes:
        modes = ["concatenation"]
    for mode in modes:
        made = []
        flags = product((2, channels // inner), (False, True), (scaled, False))
        for reduction, subsample, scores in dict.fromkeys(flags):
            options = {"subsample": subsample, "reduction": reduction, "scaled": scores}
            text, one = _call(NonLocal, channels=channels, mode=mode, ndim=len(size), **options)
            if "norm.weight" not in shapes:
                kind = type(one.out)
                one.norm, one.out = nn.Identity(), kind(inner, channels, 1)
                text += f" with {kind.__name__}({inner}, {channels}, 1) at its .out and Identity() at its .norm"
            made.append((text, one))
        yield made


# For each mechanism: lists of ways to make it, of each the first that fits.
MAKERS: dict[type[nn.Module], Callable[[Any, Shapes], Iterable[Iterable[Made]]]] = {
    SqueezeExcitation: lambda _, shapes: [_gates(SqueezeExcitation, "squeeze", shapes)],
    ChannelGate: lambda _, shapes: [_gates(ChannelGate, "mlp.0", shapes)],
    EfficientChannelAttention: lambda module, shapes: [
        [_call(EfficientChannelAttention, channels=module.channels, kernel_size=shapes["conv.weight"][-1])]
    ],
    SpatialGate: lambda _, shapes: [[_call(SpatialGate, **_spatial("", shapes))]],
    CBAM: lambda _, shapes: [_cbams(shapes)],
    SelectiveKernel: lambda _, shapes: [_kernels(shapes)],
    SelfAttention2d: lambda _, shapes: [_self_attentions(shapes)],
    NonLocal: _non_locals,
}  # fmt: skip
