"""Everything that a reader looks at."""

from .base import LivingFigure, page_script, page_style
from .colours import QUANTITIES, theme_css
from .explore import FrameExplorer, explore
from .explorer import AttentionExplorer
from .live import retrain, upload
from .static import show, show_images, show_source, style

__all__ = [
    "QUANTITIES",
    "AttentionExplorer",
    "FrameExplorer",
    "LivingFigure",
    "explore",
    "page_script",
    "page_style",
    "retrain",
    "show",
    "show_images",
    "show_source",
    "style",
    "theme_css",
    "upload",
]
