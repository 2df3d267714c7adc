"""Any drop-in mechanism by its name, alone or behind the layers of any network."""

import copy
from collections.abc import Callable, Iterable
from difflib import get_close_matches

import torch
from torch import Tensor, nn

from .channel import EfficientChannelAttention, SelectiveKernel, SqueezeExcitation
from .mixed import CBAM, ChannelGate, SpatialGate
from .module import AttentionModule
from .spatial import NonLocal, SelfAttention2d

_MECHANISMS: dict[str, Callable[..., AttentionModule]] = {
    "cbam": CBAM,
    "channel_gate": ChannelGate,
    "efficient_channel": EfficientChannelAttention,
    "non_local": NonLocal,
    "selective_kernel": SelectiveKernel,
    "self_attention": SelfAttention2d,
    "spatial_gate": lambda channels, **options: SpatialGate(**options),
    "squeeze_excitation": SqueezeExcitation,
}


def available() -> list[str]:
    """The names that `create` knows: mechanisms that take (b, c, h, w) and give back the same shape."""
    return sorted(_MECHANISMS)


def create(name: str, channels: int, **options) -> AttentionModule:
    """A mechanism for features of `channels` channels; `options` go to its class.

    Raises:
        ValueError: no mechanism has that name.
    """
    if name not in _MECHANISMS:
        raise ValueError(f"no mechanism {name!r}; there are {', '.join(available())}")
    return _MECHANISMS[name](channels, **options)


def insert(model: nn.Module, name: str, after: str | Iterable[str], *, channels: int | None = None,
           example: Tensor | None = None, **options) -> nn.Module:  # fmt: skip
    """Put a mechanism behind layers of a network, in place, without touching its code.

        insert(resnet18(), "squeeze_excitation", after=["layer1.0.bn2", "layer1.1.bn2"], reduction=8)

    The mechanism becomes a child of its layer, under its own name (`layer1.0.bn2.squeeze_excitation`), and a
    hook runs it on what the layer gives back; behind a plain `nn.Sequential` it is simply the next part. The
    layer stays where it was, so weights of the network load as before with `strict=False`, code that reads
    `model.conv1.weight` still finds it, and a copy or a pickle of the model holds the mechanism.

    Args:
        model: any network whose layers give features (b, c, h, w).
        name: of the mechanism (`available()`).
        after: dotted names of layers, as in `model.named_modules()`: one, or several.
        channels: c, of each of these layers; without it, `insert` finds out, by running the layer alone on the
            meta device, with as many input channels as its first convolution or normalisation wants.
        example: an input of the model, for layers that do not tell: the model runs on it once.
        options: go to the mechanism.

    Returns:
        The model.

    Raises:
        ValueError: no mechanism or layer has that name, no layer is named, the layer holds such a mechanism
            already, or its channels cannot be known. The model is then as it was.
    """
    names = [after] if isinstance(after, str) else list(after)
    if not names:
        raise ValueError(
            "insert wants at least one layer to put the mechanism behind; got none"
        )
    layers = {layer: _layer(model, layer, name) for layer in names}
    found = {} if example is None else _run(model, layers, example)
    mechanisms = {}
    for layer, module in layers.items():
        width = channels or found.get(layer) or _alone(module)
        if width is None:
            raise ValueError(
                f"cannot know how many channels {layer!r}, a {type(module).__name__}, gives: "
                "pass channels=, or example= with an input of the model"
            )
        mechanisms[layer] = create(name, width, **options)
    for layer, mechanism in mechanisms.items():
        _attach(layers[layer], name, mechanism, model)
    return model


def _layer(model: nn.Module, layer: str, name: str) -> nn.Module:
    modules = dict(model.named_modules())
    if layer not in modules:
        near = get_close_matches(layer, modules, n=5, cutoff=0.4) or list(modules)[1:6]
        raise ValueError(
            f"{type(model).__name__} has no layer {layer!r}; near it: {', '.join(near)}"
        )
    if hasattr(modules[layer], name):
        raise ValueError(f"{layer!r} already has a {name!r}")
    return modules[layer]


def _attach(layer: nn.Module, name: str, mechanism: AttentionModule, model: nn.Module) -> None:
    like = next(
        (p for p in [*layer.parameters(), *model.parameters()] if p.is_floating_point()), None
    )
    if like is not None:
        mechanism.to(like.device, like.dtype)
    layer.add_module(name, mechanism.train(layer.training))
    if not _runs_its_parts(layer):
        layer.register_forward_hook(_Then(name))


def _runs_its_parts(layer: nn.Module) -> bool:
    return type(layer).forward is nn.Sequential.forward


class _Then:
    """A hook that runs a child of the module on its output; it knows only a name, so copies stay apart."""

    def __init__(self, name: str):
        self.name = name

    def __call__(self, module: nn.Module, inputs: tuple, output: Tensor) -> Tensor:
        return module.get_submodule(self.name)(output)


def _channels(output: object) -> int | None:
    return output.shape[1] if isinstance(output, Tensor) and output.ndim == 4 else None


def _alone(layer: nn.Module) -> int | None:
    """The channels that a layer gives, run on its own; None where it does not run or gives no feature map.

    The order in which a block lists its layers says nothing of the order in which they run. A run that
    succeeds does: convolutions and normalisations refuse features of any other width than theirs.
    """
    twin = copy.deepcopy(layer).to("meta", torch.float32).eval()
    for part in twin.modules():
        sizes = (
            getattr(part, size, None)
            for size in ("in_channels", "num_features", "num_channels")
        )
        width = next(filter(None, sizes), None)
        try:
            if width and (c := _channels(twin(torch.empty(1, width, 224, 224, device="meta")))):
                return c
        except Exception:  # whatever a foreign layer raises when its input does not fit
            continue
    return None


def _run(
    model: nn.Module, layers: dict[str, nn.Module], example: Tensor
) -> dict[str, int | None]:
    """The channels that layers give when the model runs on `example`, in evaluation mode."""
    found, training = {}, {module: module.training for module in model.modules()}

    def watch(name: str):
        return lambda module, inputs, output: found.update({name: _channels(output)})

    hooks = [layer.register_forward_hook(watch(name)) for name, layer in layers.items()]
    try:
        with torch.no_grad():
            model.eval()(example)
    finally:
        for hook in hooks:
            hook.remove()
        for module, mode in training.items():
            module.training = mode
    return found
