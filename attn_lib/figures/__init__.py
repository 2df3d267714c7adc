"""Everything that a reader looks at."""

from .base import LivingFigure, page_script, page_style
from .channels import ChannelExplorer
from .colours import QUANTITIES, theme_css
from .cost import CostExplorer
from .explore import FrameExplorer, explore
from .explorer import AttentionExplorer
from .live import retrain, upload
from .relations import coarsen
from .static import show, show_images, show_source, show_table, style
from .tracer import ShapeTracer

__all__ = [
    "QUANTITIES",
    "AttentionExplorer",
    "ChannelExplorer",
    "CostExplorer",
    "FrameExplorer",
    "LivingFigure",
    "ShapeTracer",
    "coarsen",
    "explore",
    "page_script",
    "page_style",
    "retrain",
    "show",
    "show_images",
    "show_source",
    "show_table",
    "style",
    "theme_css",
    "upload",
]
