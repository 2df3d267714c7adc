"""Each mechanism as the page has it: by its class's full name, how it is written down."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from .affine import LAYERS, Layer, folded, inside, kind, require_bare, shape


def _affine(writer, name: str, module) -> Layer:
    return writer.affine(name, module)


def _self_attention(writer, name: str, module) -> Layer:
    parts = {
        part: writer.affine(inside(name, part), getattr(module, part))
        for part in ("query", "key", "value")
    }
    out = [writer.affine(inside(name, "out"), module.out)] if module.value_reduction > 1 else []
    halved = type(module.pool) is not nn.Identity
    gamma = float(module.gamma)
    return {"kind": "self_attention", "name": name, **parts, "out": out, "halved": halved, "gamma": gamma}  # fmt: skip


def _non_local(writer, name: str, module) -> Layer:
    embedded = module.mode != "gaussian"
    parts = {
        part: [writer.affine(inside(name, part), getattr(module, part))] if part == "g" or embedded else []
        for part in ("theta", "phi", "g")
    }  # fmt: skip
    if module.mode == "concatenation":
        require_bare(inside(name, "compare"), module.compare)
        writer.keep(name, module.compare.weight)
    out = writer.affine(inside(name, "out"), module.out, module.norm)
    pool = (
        "none" if type(module.pool) is nn.Identity else "first" if module.pool_first else "last"
    )
    given = {"mode": module.mode, "scale": module.scale, "inner": module.inner, "pool": pool}
    return {"kind": "non_local", "name": name, **parts, "out": out, **given}


def _squeeze_excitation(writer, name: str, module) -> Layer:
    squeeze = writer.affine(inside(name, "squeeze"), module.squeeze, relu=True)
    excite = writer.affine(inside(name, "excite"), module.excite)
    return {"kind": "channel_gate", "name": name, "mlp": [squeeze, excite], "pools": ["mean"]}


def _efficient_channel(writer, name: str, module) -> Layer:
    require_bare(inside(name, "conv"), module.conv)
    writer.keep(name, module.conv.weight)
    return {"kind": "efficient_channel", "name": name, "size": module.conv.kernel_size[0]}


def _channel_gate(writer, name: str, module) -> Layer:
    first, _, second = module.mlp
    mlp = [
        writer.affine(inside(name, "mlp.0"), first, relu=True),
        writer.affine(inside(name, "mlp.2"), second),
    ]
    return {"kind": "channel_gate", "name": name, "mlp": mlp, "pools": ["mean", "max"]}


def _spatial_gate(writer, name: str, module) -> Layer:
    norm = None if type(module.norm) is nn.Identity else module.norm
    conv = writer.affine(inside(name, "conv"), module.conv, norm)
    return {"kind": "spatial_gate", "name": name, "conv": conv}


def _cbam(writer, name: str, module) -> Layer:
    channel = _channel_gate(writer, inside(name, "channel"), module.channel)
    spatial = _spatial_gate(writer, inside(name, "spatial"), module.spatial)
    return {"kind": "cbam", "name": name, "channel": channel, "spatial": spatial}


def _selective_kernel(writer, name: str, module) -> Layer:
    branches = [
        writer.layers(inside(name, f"branches.{i}"), branch)[0]
        for i, branch in enumerate(module.branches)
    ]
    select = []
    if kind(module) != EVEN:
        select = [
            writer.affine(inside(name, "squeeze"), module.squeeze, module.norm, relu=True),
            writer.affine(inside(name, "select"), module.select),
        ]
    return {"kind": "selective_kernel", "name": name, "branches": branches, "select": select}


def _pointwise(writer, name: str, module) -> Layer:
    """A residual block of 1×1 convolutions is one 1×1 convolution."""
    g, g_bias = folded(inside(name, "g"), module.g, None)
    out, out_bias = folded(inside(name, "out"), module.out, module.norm)
    out = out.flatten(1)
    eye = torch.eye(len(out), dtype=out.dtype)
    writer.keep(name, eye + out @ g.flatten(1))
    writer.keep(name, (out @ g_bias + out_bias)[:, None])
    return shape(name, module.g) | {"relu": False}


def _attention_pooling(writer, name: str, module) -> Layer:
    writer.keep(name, module.query)
    return {"kind": "attention_pooling", "name": name, "channels": len(module.query)}


def _average(writer, name: str, module) -> Layer:
    return {"kind": "average"}


# By their full names: figures know mechanisms, but neither the lab nor its controls. A subclass is another layer.
EVEN = "attn_lib.lab.controls.EvenKernels"
WRITTEN: dict[str, Callable[[Any, str, Any], Layer]] = {
    **dict.fromkeys(LAYERS, _affine),
    "attn_lib.channel.EfficientChannelAttention": _efficient_channel,
    "attn_lib.channel.SelectiveKernel": _selective_kernel,
    "attn_lib.channel.SqueezeExcitation": _squeeze_excitation,
    "attn_lib.foundations.AttentionPooling": _attention_pooling,
    "attn_lib.lab.controls.FrozenGate": _squeeze_excitation,
    "attn_lib.lab.controls.LoudGate": _squeeze_excitation,
    "attn_lib.lab.controls.Pointwise": _pointwise,
    "attn_lib.lab.networks._Average": _average,
    "attn_lib.mixed.CBAM": _cbam,
    "attn_lib.mixed.ChannelGate": _channel_gate,
    "attn_lib.mixed.SpatialGate": _spatial_gate,
    "attn_lib.spatial.NonLocal": _non_local,
    "attn_lib.spatial.SelfAttention2d": _self_attention,
    EVEN: _selective_kernel,
}
