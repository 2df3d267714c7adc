"""Everything that a reader looks at."""

from ..extras import require

require(__name__, "figures", "IPython", "PIL", "anywidget", "ipywidgets", "matplotlib", "sympy")

from .attention.explorer import AttentionExplorer
from .attention.recorded import show_maps
from .attention.relations import coarsen
from .base import LivingFigure, page_script, page_style
from .channels.explorer import ChannelExplorer
from .colours import QUANTITIES, theme_css
from .cost.explorer import CostExplorer
from .frames.explore import FrameExplorer, explore
from .live import retrain, upload
from .playground.fault_explorer import FaultExplorer
from .playground.playground import Playground
from .shapes.tracer import ShapeTracer
from .static import (
    show,
    show_images,
    show_source,
    show_table,
    style,
)

__all__ = [
    "QUANTITIES",
    "AttentionExplorer",
    "ChannelExplorer",
    "CostExplorer",
    "FaultExplorer",
    "FrameExplorer",
    "LivingFigure",
    "Playground",
    "ShapeTracer",
    "coarsen",
    "explore",
    "page_script",
    "page_style",
    "retrain",
    "show",
    "show_images",
    "show_maps",
    "show_source",
    "show_table",
    "style",
    "theme_css",
    "upload",
]
