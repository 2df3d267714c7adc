"""What goes wrong in public code, planted in a trained layer: faults.js does the same to the layer in the page."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ...fast import tokens
from ...mixed import CBAM
from ...module import AttentionModule
from ...spatial import NonLocal, SelfAttention2d

FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)  # of scores
RELATIONS = (SelfAttention2d, NonLocal)


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        applies: whether a layer can have it.
        plant: given a layer of its own, and a factor of scores, gives it with the fault.
        shows: the part whose map tells most, "" for the layer itself.
    """

    applies: Callable[[nn.Module], bool]
    plant: Callable[[Any, float], nn.Module]
    shows: str = ""


def plant(network: nn.Module, where: str, name: str, factor: float) -> nn.Module:
    """A copy of a network whose layer `where` has the fault of that name; "" is no fault."""
    network = copy.deepcopy(network)
    if name:
        parent, _, child = where.rpartition(".")
        layer = FAULTS[name].plant(network.get_submodule(where), factor)
        setattr(network.get_submodule(parent), child, layer)
    return network


class Times(nn.Module):
    def __init__(self, factor: float):
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x


class ReadAsPositions(nn.Module):
    """Maps (d, h, w), whose memory is then read as n positions of d features: a reshape in place of a transpose."""

    def forward(self, x: Float[Tensor, "b d h w"]) -> Float[Tensor, "b d h w"]:
        positions = x.flatten(1).unflatten(1, (-1, x.shape[1]))
        return positions.mT.reshape(x.shape)


class ReadAsMaps(nn.Module):
    """Positions of d features, whose memory is then read as maps (d, h, w): the same mistake on the way back."""

    def forward(self, x: Float[Tensor, "b d h w"]) -> Float[Tensor, "b d h w"]:
        return x.flatten(2).mT.reshape(x.shape)


def _is_relation(layer: nn.Module) -> bool:
    return isinstance(layer, RELATIONS)


def _has_softmax(layer: nn.Module) -> bool:
    return isinstance(layer, SelfAttention2d) or (
        isinstance(layer, NonLocal) and "gaussian" in layer.mode
    )


def _is_cbam(layer: nn.Module) -> bool:
    return isinstance(layer, CBAM)


def _changed(layer: Any, **methods: Callable) -> Any:
    """The layer with other methods; its `forward` is `attention` and `reweight` in turn."""
    own = type(layer)
    methods = {"forward": AttentionModule.forward} | methods
    layer.__class__ = type(own.__name__, (own,), methods)
    return layer


def _behind(layer: Any, part: str, *more: nn.Module) -> Any:
    """The layer with something more behind one of its parts."""
    setattr(layer, part, nn.Sequential(getattr(layer, part), *more))
    return layer


def _asks(layer: Any) -> str:
    """What its queries come from."""
    return "query" if isinstance(layer, SelfAttention2d) else "theta"


def _scores(layer: Any, x: Tensor) -> Float[Tensor, "b n m"]:
    if isinstance(layer, SelfAttention2d):
        return tokens(layer.query(x)) @ tokens(layer.pool(layer.key(x))).mT
    return layer.scale * tokens(layer.theta(x)) @ layer._others(layer.phi, x).mT


def _softmax_over_queries(layer: Any, _: float) -> Any:
    return _changed(layer, attention=lambda self, x: _scores(self, x).softmax(dim=1))


def _reshaped_queries(layer: Any, _: float) -> Any:
    return _behind(layer, _asks(layer), ReadAsPositions())


def _reshaped_output(layer: Any, _: float) -> Any:
    layer.out = nn.Sequential(ReadAsMaps(), layer.out)
    return layer


def _nothing_added(layer: Any, _: float) -> Any:
    silenced = [layer.gamma] if isinstance(layer, SelfAttention2d) else layer.norm.parameters()
    for parameter in silenced:
        nn.init.zeros_(parameter)
    return layer


def _even_weights(layer: Any, _: float) -> Any:
    return _behind(layer, _asks(layer), Times(0.0))


def _another_image(layer: Any, _: float) -> Any:
    """Of the image before it in the batch."""
    own = type(layer)

    def attention(self, x: Tensor) -> Tensor:
        return own.attention(self, x.roll(1, dims=0))

    def forward(self, x: Tensor) -> Tensor:
        own.forward(self, x.roll(1, dims=0))  # for whoever records the gates of its parts
        return self.reweight(x, self.attention(x))

    return _changed(layer, attention=attention, forward=forward)


def _scores_times(layer: Any, factor: float) -> Any:
    if isinstance(layer, CBAM):
        _behind(layer.channel, "mlp", Times(factor))
        _behind(layer.spatial, "norm", Times(factor))
        return layer
    part = "compare" if getattr(layer, "mode", "") == "concatenation" else _asks(layer)
    return _behind(layer, part, Times(factor))


def _average_is_max(layer: CBAM, _: float) -> CBAM:
    def attention(self, x: Tensor) -> Tensor:
        highest = self.mlp(x.amax((2, 3)))
        return (highest + highest).sigmoid()[..., None, None]

    _changed(layer.channel, attention=attention)
    return layer


def _averages_first(layer: CBAM, _: float) -> CBAM:
    """The order of the equation, with the weights of the released code."""
    layer.spatial.conv.weight.data = layer.spatial.conv.weight.data.flip(1)
    return layer


def _gates(part: str, change: Callable[[Tensor], Tensor]) -> Callable[[CBAM, float], CBAM]:
    """CBAM with other gates in one of its parts."""

    def planted(layer: CBAM, _: float) -> CBAM:
        gate: Any = layer.get_submodule(part)
        own = type(gate)
        _changed(gate, attention=lambda self, x: change(own.attention(self, x)))
        return layer

    return planted


def _even(gates: Tensor) -> Tensor:
    return gates.mean((1, 2, 3), keepdim=True).expand_as(gates)


# In the order in which they are offered.
FAULTS: Mapping[str, Fault] = {
    "softmax_over_queries": Fault(_has_softmax, _softmax_over_queries),
    "reshaped_queries": Fault(_is_relation, _reshaped_queries),
    "reshaped_output": Fault(_is_relation, _reshaped_output),
    "nothing_added": Fault(_is_relation, _nothing_added),
    "even_weights": Fault(_has_softmax, _even_weights),
    "average_is_max": Fault(_is_cbam, _average_is_max, "channel"),
    "sigmoid_twice": Fault(_is_cbam, _gates("channel", torch.sigmoid), "channel"),
    "channel_gate_lost": Fault(_is_cbam, _gates("channel", torch.ones_like), "spatial"),
    "averages_first": Fault(_is_cbam, _averages_first, "spatial"),
    "even_channels": Fault(_is_cbam, _gates("channel", _even), "channel"),
    "even_positions": Fault(_is_cbam, _gates("spatial", _even), "spatial"),
    "another_image": Fault(
        lambda layer: _is_relation(layer) or _is_cbam(layer), _another_image
    ),
    "scores_times": Fault(lambda layer: _is_relation(layer) or _is_cbam(layer), _scores_times),
}
