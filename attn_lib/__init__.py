"""Attention mechanisms for images, each with the map that it computes."""

from .foundations import NonLocalMeans
from .mechanisms import available, create
from .module import AttentionModule, record
from .spatial import SelfAttention2d

__all__ = [
    "AttentionModule",
    "NonLocalMeans",
    "SelfAttention2d",
    "available",
    "create",
    "record",
]
