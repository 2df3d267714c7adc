"""Everything that a reader looks at."""

from .base import LivingFigure, page_script, page_style
from .colours import QUANTITIES, theme_css
from .explorer import AttentionExplorer
from .relations import coarsen
from .static import show, show_images, show_source, style

__all__ = [
    "QUANTITIES",
    "AttentionExplorer",
    "LivingFigure",
    "coarsen",
    "page_script",
    "page_style",
    "show",
    "show_images",
    "show_source",
    "style",
    "theme_css",
]
