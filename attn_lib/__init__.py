"""Attention mechanisms for images, each with the map that it computes."""

from .mechanisms import available, create
from .module import AttentionModule, record
from .spatial import NonLocalMeans, SelfAttention2d

__all__ = [
    "AttentionModule",
    "NonLocalMeans",
    "SelfAttention2d",
    "available",
    "create",
    "record",
]
