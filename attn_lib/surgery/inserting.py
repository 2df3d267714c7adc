"""Mechanisms behind the layers of any network, and out of it again."""

from collections.abc import Iterable
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from ..mechanisms import create, find, name_of
from .behind import Behind, slots
from .widths import Seen, guess, watch

Where = str | type[nn.Module] | Iterable[str | type[nn.Module]]


def insert(model: nn.Module, name: str | type[nn.Module], after: Where, *, channels: int | None = None,
           example: Tensor | tuple | list | dict | None = None, identity: bool = False,
           channels_last: bool = False, shared: bool = False, **options) -> nn.Module:  # fmt: skip
    """Put a mechanism behind layers of a network, in place, without touching its code.

        insert(resnet18(), "squeeze_excitation", after=["layer1.0.bn2", "layer1.1.bn2"], reduction=8)
        insert(resnet18(), CBAM, after="layer[34]")                     # shell patterns, part by part
        insert(resnet18(), "efficient_channel", after=BasicBlock)       # behind every block
        insert(trained, "cbam", after="layer4", identity=True)          # its output stays, until it is trained on
        remove(trained)                                                 # the very network again

    Where the layer stood now stands a `Behind`: the layer, at `.layer`, and the mechanism, under its own name
    (`layer4.cbam`). Convert, freeze, fuse or replace the layer there, and the mechanism still runs behind it.

    Most mechanisms start as gates near ½: a trained network is back to guessing, in silence, until it is trained
    on. `identity=True` starts where nothing changes.

    The order is: insert, load weights, make the optimiser, wrap (DDP, FSDP) or compile. An optimiser made before
    does not know the new parameters. The network's own weights load with and without mechanisms, under the same
    keys, with `strict=False`. To load what was saved with them, insert the same first:

        torch.save(insert(resnet18(), "cbam", after="layer4").state_dict(), path)
        insert(resnet18(), "cbam", after="layer4").load_state_dict(torch.load(path))

    Code that reads `model.conv1.weight` finds it at `model.conv1.layer.weight`, and else meets an error that says
    so; plain attributes, such as `stride`, are where they were.

    Args:
        model: any network whose layers give features (b, c, h, w), not compiled, not wrapped.
        name: of the mechanism (`available()`), or a class, also one of your own.
        after: a dotted name as in `model.named_modules()`, a pattern of one (`*`, `?` and `[34]` stay within a
            part), a class of layers, or several of these.
        channels: c, of each of these layers; without it, `insert` finds out, by running the network, or else the
            layer, on images of two sizes on the meta device.
        example: an input of the model, for networks that take no image; several in a tuple, or in a dict by
            name. The model runs on it once.
        identity: start as x + γ (f(x) - x) with a learned γ = 0, one for each place (`cbam_gamma`). It is our
            option, not the papers'. At first γ alone learns; once it moves, all does. Mechanisms that start as the
            identity by themselves (`self_attention`, `non_local`) stay as they are.
        channels_last: the layers give (b, h, w, c), as Swin's do.
        shared: let one mechanism run behind every call of a layer that the network runs several times, or has
            in several places; without it such a layer is refused.
        options: go to the mechanism.

    Returns:
        The model.

    Raises:
        ValueError: no mechanism or layer has that name, no layer is named, the layer holds such a mechanism
            already, is shared, does not give features of that layout, or its channels cannot be known; or the
            model is compiled or wrapped. The model is then as it was.
    """
    _require_bare(model)
    kind, name = find(name, **options), name_of(name)
    layers = _chosen(model, after)
    for layer, places in layers.items():
        _require_free(layer, places[0], name)
    ndim = options.get("ndim", 2)
    seen = _see(model, layers, example, ndim)
    made = {}
    for layer, places in layers.items():
        _require_single(seen[layer].calls, places, shared)
        width = _width(layer, places[0], seen[layer], channels, ndim, channels_last)
        mechanism, residual = create(kind, width, **options), nn.ParameterDict()
        if identity and not _is_identity(kind, width, ndim, options):
            residual["gamma"] = torch.zeros(1)
        made[layer] = mechanism, residual
    for layer, (mechanism, residual) in made.items():
        like = [p for p in [*layer.parameters(), *model.parameters()] if p.is_floating_point()]
        for new in (mechanism, residual):
            new.to(like[0].device, like[0].dtype) if like else new
        behind = _around(layer, model)
        behind.put(name, mechanism.train(layer.training), residual.get("gamma"), channels_last)
    return model


def _around(layer: nn.Module, model: nn.Module) -> Behind:
    """What stands around the layer, in all its places."""
    if isinstance(layer, Behind):
        return layer
    behind = Behind(layer)
    for _, holder, key in [*slots(model)]:
        if holder._modules[key] is layer:
            holder._modules[key] = behind
    return behind


def remove(model: nn.Module, name: str | type[nn.Module] | None = None, after: Where | None = None) -> nn.Module:  # fmt: skip
    """Take out again what `insert` put in, in place: what is left is the very network that was there.

        remove(model)                            # all
        remove(model, "cbam", after="layer[34]")

    The layers, and hooks upon them, were inside all the time; hooks upon what stood around them go with it.

    Args:
        model: in which something was inserted.
        name: of the mechanism, or its class; None takes all.
        after: behind which layers, as in `insert`; None takes all.

    Returns:
        The model.

    Raises:
        ValueError: there is nothing to take, or the model is compiled or wrapped.
    """
    _require_bare(model)
    layers = (
        _chosen(model, after)
        if after is not None
        else [s[1]._modules[s[2]] for s in slots(model)]
    )
    wrappers = [layer for layer in dict.fromkeys(layers) if isinstance(layer, Behind)]
    wanted = None if name is None else name_of(name)
    found = [
        (wrapper, own) for wrapper in wrappers for own in wrapper.names if wanted in (None, own)
    ]
    if not found:
        what = "mechanism" if wanted is None else repr(wanted)
        where = "" if after is None else f" behind {after!r}"
        raise ValueError(f"no {what} was inserted{where}: there is nothing to remove")
    for wrapper, own in found:
        wrapper.take(own)
    for _, holder, key in [*slots(model)]:
        module = holder._modules[key]
        if isinstance(module, Behind) and not module.names:
            holder._modules[key] = module.layer
    return model


_WRAPPERS = {
    "OptimizedModule": "is compiled, and a compiled network does not see what comes later",
    "ScriptModule": "is TorchScript, whose code is fixed",
    "DistributedDataParallel": "averages the gradients of the parameters that it had when it was wrapped, and of no others",
    "FullyShardedDataParallel": "is sharded, and what comes later would not be",
    "FSDPModule": "is sharded, and what comes later would not be",
}


def _require_bare(model: nn.Module) -> None:
    for path, module in model.named_modules():
        bases = [base.__name__ for base in type(module).__mro__ if base.__name__ in _WRAPPERS]
        own_forward = vars(module).get("forward")
        if module._compiled_call_impl is not None or hasattr(
            own_forward, "_torchdynamo_orig_callable"
        ):
            bases.append("OptimizedModule")
        if bases:
            called = repr(path) if path else f"the {type(module).__name__}"
            raise ValueError(
                f"{called} {_WRAPPERS[bases[0]]}: insert and remove first, then wrap or compile"
            )


def _chosen(model: nn.Module, after: Where) -> dict[nn.Module, list[str]]:
    """The layers, each with all the places in which it stands."""
    wanted = [after] if isinstance(after, str | type) else list(after)
    if not wanted:
        raise ValueError("after wants at least one layer to put the mechanism behind; got none")
    places: dict[nn.Module, list[str]] = {}
    for place, holder, key in slots(model):
        places.setdefault(getattr(holder, key), []).append(place)
    chosen: dict[nn.Module, list[str]] = {}
    for one in wanted:
        found = [layer for layer, names in places.items() if _fits(one, layer, names)]
        if not found:
            raise ValueError(
                _nowhere(model, one, [name for names in places.values() for name in names])
            )
        chosen |= {layer: places[layer] for layer in found}
    return chosen


def _fits(wanted: str | type[nn.Module], layer: nn.Module, names: list[str]) -> bool:
    if isinstance(wanted, type):
        return isinstance(layer.layer if isinstance(layer, Behind) else layer, wanted)
    parts = wanted.split(".")
    return any(
        len(own := name.split(".")) == len(parts) and all(map(fnmatchcase, own, parts))
        for name in names
    )


def _nowhere(model: nn.Module, wanted: str | type[nn.Module], names: list[str]) -> str:
    kind = type(model).__name__
    if isinstance(wanted, type):
        return f"{kind} has no layer of the class {wanted.__name__}"
    if not wanted:
        return f"{kind} itself stands in no place: use nn.Sequential(model, create(...)) to put something behind it"
    near = get_close_matches(wanted, names, n=5, cutoff=0.4) or names[:5]
    return f"{kind} has no layer {wanted!r}; near it: {', '.join(near)}"


def _require_free(layer: nn.Module, place: str, name: str) -> None:
    behind = layer if isinstance(layer, Behind) else Behind(layer)
    if hasattr(behind, name) or hasattr(behind.layer, name):
        raise ValueError(f"{place!r} already has a {name!r}")
    if type(layer).forward is nn.Module.forward:
        raise ValueError(
            f"{place!r}, a {type(layer).__name__}, never runs: name the parts that it holds"
        )


def _require_single(calls: int, places: list[str], shared: bool) -> None:
    if (calls > 1 or len(places) > 1) and not shared:
        how = (
            f"runs {calls} times in one pass"
            if calls > 1
            else f"stands in {len(places)} places"
        )
        raise ValueError(
            f"{places[0]!r} {how}, and the one mechanism would each time: put it behind a layer that "
            f"runs once, or pass shared=True (places: {', '.join(places)})"
        )


def _see(
    model: nn.Module, layers: Iterable[nn.Module], example: Any, ndim: int
) -> dict[nn.Module, Seen]:
    seen = watch(model, layers, example) if example is not None else guess(model, layers, ndim)
    for layer in layers:
        if layer not in seen or not seen[layer].calls:
            seen |= guess(layer, [layer], ndim) or {layer: Seen()}
    return seen


def _width(layer: nn.Module, place: str, seen: Seen, channels: int | None, ndim: int, channels_last: bool) -> int:  # fmt: skip
    called = f"{place!r}, a {type(layer).__name__},"
    if not seen.shapes and channels is not None:
        return channels
    if not seen.shapes:
        raise ValueError(
            f"cannot know how many channels {called} gives: pass channels=, or example= with an input of the model"
        )
    try:
        width = seen.channels(ndim, channels_last)
    except ValueError as error:
        raise ValueError(f"{called} {error}") from None
    if channels not in (None, width):
        raise ValueError(f"channels={channels}, but {called} gives {width}, in {seen.shape}")
    return width


def _is_identity(kind: type[nn.Module], width: int, ndim: int, options: dict[str, Any]) -> bool:
    """Whether such a mechanism changes nothing as it starts: one made for this, on the CPU, is tried."""
    with torch.device("cpu"), torch.random.fork_rng(devices=[]), torch.no_grad():
        x = torch.randn(2, width, *(8,) * ndim)
        return torch.equal(create(kind, width, **options).eval()(x), x)
