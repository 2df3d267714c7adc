"""Any drop-in mechanism by its name or its class."""

import inspect
import re
from difflib import get_close_matches

from torch import nn

from .channel import (
    CrossCovarianceAttention,
    EfficientChannelAttention,
    SelectiveKernel,
    SqueezeExcitation,
)
from .foundations import AttentionPooling
from .mixed import CBAM, ChannelGate, CoordinateAttention, SimAM, SpatialGate
from .relations import LinearAttention, WindowAttention
from .spatial import GlobalContext, NonLocal, SelfAttention2d

_MECHANISMS: dict[str, type[nn.Module]] = {
    "cbam": CBAM,
    "channel_gate": ChannelGate,
    "coordinate": CoordinateAttention,
    "cross_covariance": CrossCovarianceAttention,
    "efficient_channel": EfficientChannelAttention,
    "global_context": GlobalContext,
    "linear_attention": LinearAttention,
    "non_local": NonLocal,
    "selective_kernel": SelectiveKernel,
    "self_attention": SelfAttention2d,
    "simam": SimAM,
    "spatial_gate": SpatialGate,
    "squeeze_excitation": SqueezeExcitation,
    "window_attention": WindowAttention,
}

# What the papers and their users say.
_SAID = {
    "ca": "coordinate", "coordatt": "coordinate", "coordattn": "coordinate", "eca": "efficient_channel", "ecanet": "efficient_channel", "gc": "global_context",
    "gcnet": "global_context", "nl": "non_local", "nonlocalblock": "non_local", "sagan": "self_attention", "se": "squeeze_excitation",
    "selayer": "squeeze_excitation", "senet": "squeeze_excitation", "sk": "selective_kernel",
    "efficientattention": "linear_attention", "sknet": "selective_kernel", "swin": "window_attention", "xca": "cross_covariance", "xcit": "cross_covariance",
}  # fmt: skip


def available() -> list[str]:
    """The names that `create` knows: mechanisms that take (b, c, h, w) and give back the same shape."""
    return sorted(_MECHANISMS)


def create(name: str | type[nn.Module], channels: int, **options) -> nn.Module:
    """A mechanism for features of `channels` channels.

        create("cbam", 64, reduction=8)
        create(CBAM, 64, reduction=8)

    Args:
        name: of the mechanism (`available()`), or a class, also one of your own: any module that gives back
            features of the shape that it takes.
        channels: c. A class whose constructor has no `channels` does without.
        options: go to the class.

    Raises:
        ValueError: no mechanism has that name, it does not keep the shape, or it has no such option.
    """
    kind = find(name, **options)
    if "channels" in inspect.signature(kind).parameters:
        return kind(channels, **options)
    return kind(**options)


def find(name: str | type[nn.Module], **options) -> type[nn.Module]:
    """The class behind a name.

    Raises:
        ValueError: there is none, it does not give back the shape that it takes, or has no such option.
    """
    kind = _class(name)
    known = inspect.signature(kind).parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values())
    own = [option for option in known if option != "channels"]
    if (unknown := options.keys() - {*own}) and not takes_any:
        raise ValueError(
            f"{kind.__name__} has no option {', '.join(sorted(unknown))}; it has {', '.join(own) or 'none'}"
        )
    return kind


def _class(name: str | type[nn.Module]) -> type[nn.Module]:
    if name in ("attention_pooling", "AttentionPooling", AttentionPooling):
        raise ValueError(
            "AttentionPooling turns (b, c, h, w) into (b, c): it stands in place of a pooling layer, as in "
            "net.avgpool = AttentionPooling(512), and not behind a layer"
        )
    if isinstance(name, type) and issubclass(name, nn.Module):
        return name
    if name not in _MECHANISMS:
        near = _near(str(name))
        meant = f" (did you mean {' or '.join(map(repr, near))}?)" if near else ""
        raise ValueError(f"no mechanism {name!r}{meant}; there are {', '.join(available())}")
    return _MECHANISMS[name]


def _near(name: str) -> list[str]:
    """Names whose mechanism may be meant by something else: another spelling, a class, a usual abbreviation."""
    spellings = {_plain(known): known for known in _MECHANISMS}
    spellings |= {_plain(kind.__name__): known for known, kind in _MECHANISMS.items()} | _SAID
    if _plain(name) in spellings:
        return [spellings[_plain(name)]]
    near = get_close_matches(_plain(name), spellings, n=3, cutoff=0.6)
    return list(dict.fromkeys(spellings[spelling] for spelling in near))


def _plain(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())


def name_of(kind: str | type[nn.Module]) -> str:
    """The name of a mechanism that is given by its name or its class: its own classes' as in `available()`."""
    if isinstance(kind, str):
        return kind
    known = {own: name for name, own in _MECHANISMS.items()}
    return known.get(kind) or re.sub("(?<=[a-z0-9])(?=[A-Z])", "_", kind.__name__).lower()
