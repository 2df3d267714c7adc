"""A trained network written down for network.js: layers as plain data, weights as numbers of 16 bits in their order.

Each convolution has its batch normalisation in its own weights, and a linear layer is a convolution of size 1. Weights
are whole numbers of 16 bits, in steps of their row's own: with as many bytes as float16, a tenth of its error.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from .affine import Layer, folded, inside, kind, require_bare, shape
from .mechanisms import WRITTEN

HOST = "attn_lib.lab.networks.HostCNN"  # by its name: figures do not know the lab
CONTAINERS = {HOST, "torch.nn.modules.container.Sequential"}
PASSED = {"torch.nn.modules.linear.Identity"}
STEPS = 32_767  # to the largest weight of a row


@dataclass(frozen=True)
class Network:
    """What network.js runs.

    Attributes:
        layers: each a `kind` and what network.js wants to know of it.
        weights: in the order in which network.js asks for them, row after row: a step (float32), and how many of it
            each weight is (int16).
        classes: how many numbers it gives.
    """

    layers: list[Layer]
    weights: bytes
    classes: int


def write_down(network: nn.Module) -> Network:
    """The network as it is in evaluation: of this library's layers, a `HostCNN` or an `nn.Sequential`.

    Raises:
        ValueError: network.js does not know a layer, which is named; a layer bears hooks, which would be lost; or a
            weight is not finite.
    """
    writer = _Writer()
    with torch.no_grad():
        layers = writer.layers("", network)
    if not layers or "outputs" not in layers[-1]:
        raise ValueError(
            f"a network for the page ends in a linear layer; {kind(network)} does not"
        )
    return Network(layers, b"".join(writer.rows), layers[-1]["outputs"])


@dataclass
class _Writer:
    rows: list[bytes] = field(default_factory=list)

    def layers(self, name: str, module: nn.Module) -> list[Layer]:
        """A part of the network, itself perhaps of parts, as layers in the order in which they run."""
        require_bare(name, module)
        own = kind(module)
        if own in CONTAINERS:
            parts = [
                (inside(name, part), module.get_submodule(part)) for part in _parts(module)
            ]
            return self._row(parts)
        if own in PASSED:
            return []
        if own not in WRITTEN:
            raise ValueError(
                f"network.js does not know {type(module).__name__}, the layer {name!r}; it knows "
                f"{', '.join(sorted(each.rpartition('.')[2] for each in WRITTEN))}"
            )
        return [WRITTEN[own](self, name, module)]

    def _row(self, parts: list[tuple[str, nn.Module]]) -> list[Layer]:
        layers: list[Layer] = []
        while parts:
            (name, module), *parts = parts
            if isinstance(module, nn.Conv2d | nn.Linear):
                norm, parts = _next(parts, nn.BatchNorm2d | nn.BatchNorm1d)
                relu, parts = _next(parts, nn.ReLU)
                layers.append(self.affine(name, module, norm, relu is not None))
            else:
                layers += self.layers(name, module)
        return layers

    def affine(
        self, name: str, module: nn.Module, norm: nn.Module | None = None, relu: bool = False
    ) -> Layer:
        """A convolution or a linear layer, and the normalisation and ReLU behind it."""
        require_bare(name, module)
        if norm is not None:
            require_bare(f"the normalisation behind {name}", norm)
        weight, bias = folded(name, module, norm)
        self.keep(name, weight)
        self.keep(name, bias[:, None])  # each of its own size
        return shape(name, module) | {"relu": relu}

    def keep(self, name: str, weight: Tensor) -> None:
        """Add weights to those in the page: a matrix by its rows, a vector as one row."""
        rows = (
            weight.detach().double().cpu().reshape(1 if weight.ndim == 1 else len(weight), -1)
        )
        if not (finite := rows.isfinite()).all():
            raise ValueError(
                f"a network for the page has finite weights; {(~finite).sum()} of {rows.numel()} in {name!r} are not"
            )
        for row in rows.numpy():
            step = np.abs(row).max() / STEPS or 1.0
            self.rows += [
                np.array(step, "<f4").tobytes(),
                np.round(row / step).astype("<i2").tobytes(),
            ]


def _parts(module: nn.Module) -> list[str]:
    """The children in the order in which they run, which of the host is another than that of their making."""
    if kind(module) == HOST:
        return ["features", "slot", "readout", "classifier"]
    return [name for name, _ in module.named_children()]


def _next(parts: list, kind) -> tuple[nn.Module | None, list]:
    """The module that comes next if it is of this kind, and what is left."""
    return (
        (parts[0][1], parts[1:]) if parts and isinstance(parts[0][1], kind) else (None, parts)
    )
