"""Attention mechanisms for images, each with the map that it computes."""

from .channel import (
    CrossCovarianceAttention,
    EfficientChannelAttention,
    SelectiveKernel,
    SqueezeExcitation,
)
from .contrastive import averaged_contrast, info_nce
from .foundations import AttentionPooling, NonLocalMeans
from .instruments.costs import Cost, cost
from .instruments.recording import record
from .instruments.rollout import rollout
from .instruments.tracing import trace_shapes
from .instruments.windows import unwindow
from .mechanisms import available, create
from .mixed import CBAM, ChannelGate, CoordinateAttention, SimAM, SpatialGate
from .module import AttentionModule
from .relations import LinearAttention, WindowAttention
from .spatial import GlobalContext, NonLocal, SelfAttention2d
from .surgery.inserting import insert, remove
from .surgery.public import load_public
from .vit import (
    Attention,
    FeatureViT,
    FeedForward,
    SimpleViT,
    Transformer,
)

__all__ = [
    "CBAM",
    "Attention",
    "AttentionModule",
    "AttentionPooling",
    "ChannelGate",
    "CoordinateAttention",
    "Cost",
    "CrossCovarianceAttention",
    "EfficientChannelAttention",
    "FeatureViT",
    "FeedForward",
    "GlobalContext",
    "LinearAttention",
    "NonLocal",
    "NonLocalMeans",
    "SelectiveKernel",
    "SelfAttention2d",
    "SimAM",
    "SimpleViT",
    "SpatialGate",
    "SqueezeExcitation",
    "Transformer",
    "WindowAttention",
    "available",
    "averaged_contrast",
    "cost",
    "create",
    "info_nce",
    "insert",
    "load_public",
    "record",
    "remove",
    "rollout",
    "trace_shapes",
    "unwindow",
]
