"""A layer of somebody's network, and what runs behind it, as one module in the layer's place."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ..module import AttentionModule


class Behind(nn.Module):
    """Runs `layer`, then the mechanisms that `insert` put behind it, each a child under its own name.

    It stands around the layer, so whoever converts, freezes or replaces the layer (`SyncBatchNorm`, timm) does
    so inside, and the mechanisms run where they ran. Its state dict has the keys of the network without it
    (`bn2.weight`, not `bn2.layer.weight`), then the mechanisms' own (`bn2.cbam.…`): weights go both ways.

    It shows the layer's plain attributes (`stride`, `out_channels`, what YOLO's layers know of their sources),
    but neither its weights nor its parts nor its methods: whoever fuses `conv.weight` with `bn.weight` and throws
    both away would lose the mechanism without a word, and meets an error here. They are at `.layer`. What is set
    from outside is set at the layer.

    Args:
        layer: any module that gives one tensor.
    """

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.channels_last: dict[str, bool] = {}  # by mechanisms' names, as they run
        self.training = layer.training
        self.add_module("layer", layer)
        self.register_load_state_dict_post_hook(_name_as_without)

    def put(self, name: str, mechanism: nn.Module, gamma: nn.Parameter | None, channels_last: bool) -> None:  # fmt: skip
        """Let a mechanism run behind all that runs here already.

        Args:
            name: of the child that it becomes.
            mechanism: from features to features of the same shape.
            gamma: the share (1,) of what it changes, as in x + γ (f(x) - x); None where it gives f(x).
            channels_last: whether features are (b, …, c).
        """
        self.add_module(name, mechanism)
        self.register_parameter(f"{name}_gamma", gamma)
        self.channels_last[name] = channels_last

    def take(self, name: str) -> None:
        """Undo `put`."""
        self._modules.pop(name)
        self._parameters.pop(f"{name}_gamma")
        self.channels_last.pop(name)

    @property
    def names(self) -> list[str]:
        """Of the mechanisms, in the order in which they run."""
        return list(self.channels_last)

    def forward(self, *args, **kwargs) -> Tensor:
        x = self.layer(*args, **kwargs)
        for name in self.names:
            x = self._then(name, x)
        return x

    def _then(self, name: str, x: Tensor) -> Tensor:
        mechanism, gamma = getattr(self, name), getattr(self, f"{name}_gamma")
        last = self.channels_last[name]
        y = mechanism(x.movedim(-1, 1)).movedim(1, -1) if last else mechanism(x)
        return y if gamma is None else x + gamma.to(x.dtype) * (y.to(x.dtype) - x)

    def __iter__(self) -> Iterator[nn.Module]:
        """The parts of a Sequential layer, for networks that run them one by one: the last with what runs here."""
        if not runs_its_parts(self.layer):
            raise TypeError(f"{self._here()} is not to be iterated over")
        *first, last = [*self.layer] or [nn.Identity()]
        yield from first
        joined = Behind(last)
        for name in self.names:
            mechanism, gamma = getattr(self, name), getattr(self, f"{name}_gamma")
            joined.put(name, mechanism, gamma, self.channels_last[name])
        yield joined

    def __getitem__(self, index: Any) -> nn.Module:
        raise TypeError(f"{self._here()} shows no parts: they are at .layer[{index}]")

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            layer = self.__dict__.get("_modules", {}).get("layer")
            if name.startswith("_") or not hasattr(layer, name):
                raise
        value = getattr(layer, name)
        if name == "attention" and isinstance(layer, AttentionModule):
            return value  # only looks: the layer's own weights, as ever
        if isinstance(value, torch.Tensor | nn.Module) or callable(value):
            raise AttributeError(
                f"{self._here()} does not show its {name!r}, which is at .layer.{name}; what takes the layer's "
                "place, such as a fused one, belongs at .layer"
            )
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        layer = self.__dict__.get("_modules", {}).get("layer")
        own = name.startswith("_") or name in self.__dict__ or hasattr(type(self), name)
        if layer is None or own or name in self._own():
            super().__setattr__(name, value)
        else:
            setattr(layer, name, value)

    def _own(self) -> set[str]:
        return {"layer", *self.names, *(f"{name}_gamma" for name in self.names)}

    def _here(self) -> str:
        return f"the {type(self.layer).__name__} behind which {', '.join(self.names)} runs"

    def state_dict(self, *, destination=None, prefix="", keep_vars=False) -> dict[str, Any]:  # type: ignore[override]
        destination = self.layer.state_dict(
            destination=destination, prefix=prefix, keep_vars=keep_vars
        )
        self._save_to_state_dict(destination, prefix, keep_vars)
        for name in self.names:
            getattr(self, name).state_dict(
                destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars
            )
        return destination

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args) -> None:
        self._prefix = prefix
        own = self._own() - {"layer"}
        for key in [key for key in state_dict if key.startswith(prefix)]:
            bare = key.removeprefix(prefix)
            if bare.split(".")[0] not in own:
                state_dict[f"{prefix}layer.{bare}"] = state_dict.pop(key)
        super()._load_from_state_dict(state_dict, prefix, *args)


def _name_as_without(behind: Behind, incompatible: Any) -> None:
    """Keys that were missing have the names that they have in the state dict."""
    prefix = behind.__dict__.pop("_prefix")
    inner = f"{prefix}layer."
    for keys in incompatible:
        keys[:] = [
            prefix + key.removeprefix(inner) if key.startswith(inner) else key for key in keys
        ]


def runs_its_parts(layer: nn.Module) -> bool:
    """Whether it is a Sequential that does nothing besides."""
    return type(layer).forward is nn.Sequential.forward


def slots(parent: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module, str]]:
    """Each place for a module: its dotted name in the network without mechanisms, who holds it, under which key.

    A module that stands in several places appears as often; what is inside an inserted mechanism does not.
    """
    holder = parent.layer if isinstance(parent, Behind) else parent
    for key, module in holder._modules.items():
        if module is not None:
            yield prefix + key, holder, key
            yield from slots(module, f"{prefix}{key}.")
