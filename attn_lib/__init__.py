"""Attention mechanisms for images, each with the map that it computes."""

from .channel import EfficientChannelAttention, SelectiveKernel, SqueezeExcitation
from .foundations import AttentionPooling, NonLocalMeans
from .mechanisms import available, create, insert
from .mixed import CBAM, ChannelGate, SpatialGate
from .module import AttentionModule, record
from .spatial import NonLocal, SelfAttention2d

__all__ = [
    "CBAM",
    "AttentionModule",
    "AttentionPooling",
    "ChannelGate",
    "EfficientChannelAttention",
    "NonLocal",
    "NonLocalMeans",
    "SelectiveKernel",
    "SelfAttention2d",
    "SpatialGate",
    "SqueezeExcitation",
    "available",
    "create",
    "insert",
    "record",
]
