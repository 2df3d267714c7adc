"""Attention mechanisms for images, each with the map that it computes."""

from .contrastive import averaged_contrast, info_nce
from .costs import Cost, cost
from .foundations import NonLocalMeans
from .mechanisms import available, create
from .module import AttentionModule
from .recording import record
from .spatial import SelfAttention2d
from .tracing import trace_shapes
from .vit import Attention, FeatureViT, FeedForward, SimpleViT, Transformer

__all__ = [
    "Attention",
    "AttentionModule",
    "Cost",
    "FeatureViT",
    "FeedForward",
    "NonLocalMeans",
    "SelfAttention2d",
    "SimpleViT",
    "Transformer",
    "available",
    "averaged_contrast",
    "cost",
    "create",
    "info_nce",
    "record",
    "trace_shapes",
]
