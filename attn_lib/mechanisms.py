"""Any drop-in mechanism by its name."""

from .module import AttentionModule
from .spatial import SelfAttention2d

_MECHANISMS = {"self_attention": SelfAttention2d}


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
