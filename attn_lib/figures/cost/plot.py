"""The chart of a CostExplorer as a matplotlib figure."""

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from ..static import STYLE
from .chart import LOOKS, Scene, power_of_ten

MARKS = "os^Dvx+s"  # of the chart's looks, in their order


def plot(scene: Scene, setting: str) -> Figure:
    """A line for each mechanism, on logarithmic axes.

    Args:
        scene: what the chart shows.
        setting: at which sizes, in words.
    """
    with mpl.rc_context(STYLE):
        fig = Figure((7, 4.5), layout="constrained")
        axis = fig.subplots()
        for line, (colour, _, _), mark in zip(scene.lines, LOOKS, MARKS, strict=False):
            if min(line.values) > 0:
                at = [] if line.at is None else [scene.stops.index(line.at)]
                axis.loglog(
                    scene.stops, line.values, color=colour, marker=mark, markevery=at,
                    label=f"{line.name}: {line.value:,}",
                )  # fmt: skip
        low, high = scene.decades
        axis.set(ylim=(10**low, 10**high), xlabel=f"{scene.axis}. {setting}")
        axis.set_title(scene.title, loc="left")
        axis.set_xticks(scene.stops, [str(stop) for stop in scene.stops])
        axis.xaxis.set_minor_locator(NullLocator())
        axis.yaxis.set_major_formatter(
            FuncFormatter(lambda value, _: power_of_ten(len(str(round(value))) - 1, scene.unit))
        )
        for text in axis.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5)).texts:
            text.set_parse_math(False)
    return fig
