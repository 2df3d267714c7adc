"""Bare layers as the page has them: a convolution or a linear layer, with the normalisation behind it folded in."""

from typing import Any

from torch import Tensor, nn

Layer = dict[str, Any]
LAYERS = {"torch.nn.modules.conv.Conv2d", "torch.nn.modules.linear.Linear"}
NORMS = {"torch.nn.modules.batchnorm.BatchNorm2d", "torch.nn.modules.batchnorm.BatchNorm1d"}


def kind(module: nn.Module) -> str:
    return f"{type(module).__module__}.{type(module).__qualname__}"


def inside(name: str, part: str) -> str:
    return f"{name}.{part}" if name else part


def require_bare(name: str, module: nn.Module) -> None:
    """Refuse what does more than its class says."""
    if module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module):
        raise ValueError(
            f"the layer {name!r} bears hooks or a forward of its own, which the page would lose: take them off"
        )


def folded(name: str, module: Any, norm: Any) -> tuple[Tensor, Tensor]:
    """Weight and bias of a layer as float64, the normalisation behind it included."""
    own = kind(module)
    if own not in LAYERS:
        raise ValueError(
            f"network.js does not know {type(module).__name__}, the layer {name!r}: only bare layers"
        )
    weight = module.weight.double()
    bias = weight.new_zeros(len(weight)) if module.bias is None else module.bias.double()
    if norm is None:
        return weight, bias
    if kind(norm) not in NORMS or norm.running_mean is None or norm.weight is None:
        raise ValueError(
            f"network.js wants a batch normalisation with means, variances and weights of its own behind {name!r}"
        )
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    shift = norm.bias.double() - norm.running_mean.double() * scale
    return weight * scale.view(-1, *[1] * (weight.ndim - 1)), bias * scale + shift


def shape(name: str, module: nn.Module) -> Layer:
    """What a convolution or a linear layer is, besides its weights."""
    if isinstance(module, nn.Linear):
        given = {"inputs": module.in_features, "outputs": module.out_features}
        return {"kind": "affine", **given, "size": 1, "stride": 1, "padding": 0, "dilation": 1, "groups": 1}  # fmt: skip
    assert isinstance(module, nn.Conv2d)
    pairs = {
        "size": module.kernel_size,
        "stride": module.stride,
        "padding": module.padding,
        "dilation": module.dilation,
    }
    if module.padding_mode != "zeros" or any(
        isinstance(pair, str) or pair[0] != pair[1] for pair in pairs.values()
    ):
        raise ValueError(
            f"network.js knows square convolutions, padded by numbers of zeros; {name!r} is {module}"
        )
    sizes = {
        "inputs": module.in_channels,
        "outputs": module.out_channels,
        "groups": module.groups,
    }
    return {"kind": "affine", **sizes, **{key: pair[0] for key, pair in pairs.items()}}
