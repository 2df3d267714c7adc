"""explore: any plotting function of a few choices as a figure that responds, with a kernel and without."""

import itertools
import math
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import traitlets
from matplotlib.figure import Figure

from ..base import LivingFigure, require_alt
from ..skeleton import Tree, controls, hint, root, select, slider
from ..traits import plain, validates
from .frames import common_window, plot, size_of, to_pictures

SHORT = 3  # values that a list shows as well as a slider


def explore(
    fn: Callable,
    *,
    alt: str | Callable[..., str],
    live: Mapping[str, Iterable] | None = None,
    budget: int = 150_000,
    **grid: Iterable,
) -> "FrameExplorer":
    """Let the reader choose the arguments of `fn`: `explore(plot, alt=…, strength=[0.1, 0.2], patch=[3, 5])`.

    `fn` is called for every choice at once; these frames are what the published page shows. `choice` is
    what the reader chose: set it from Python or `observe` it.

    Args:
        fn: called by keyword with one value of each argument. It returns a matplotlib figure, an image
            (3, h, w) with values in [0, 1] (others are clipped), or several images by name; and, unless
            `alt` is a function, with it the words that say what one sees: `return figure, words`.
        alt: what the whole figure shows; or a function of the choices that says what one sees in a frame.
        live: further values of some arguments, offered only where a kernel can call `fn` for them.
        budget: the most bytes that a reader of a book's page may have to load for this figure, compressed;
            elsewhere nothing is refused.
        grid: the values of each argument: text, numbers (NumPy's and PyTorch's, too), or True and False. The first of each come first.

    Raises:
        ValueError: there is nothing to choose, a value cannot be offered, a frame has no words or
            another size than the first, or the frames weigh more than the budget.
    """
    offered, more = (
        {name: [plain(value) for value in values] for name, values in each.items()}
        for each in (grid, live or {})
    )
    figure = FrameExplorer(fn, alt, offered, more)
    figure.require_budget(
        budget,
        f"its {len(figure.frames)} frames are too many or too large; give fewer values, smaller pictures "
        "or a larger budget",
    )
    return figure


class FrameExplorer(LivingFigure):
    """The frames of a function over the grid of its choices: made by `explore`, which see."""

    name = "frame_explorer"
    phrases = {"computing": "computing …"}

    names = traitlets.List(traitlets.Unicode()).tag(sync=True)  # of the choices
    grid = traitlets.List(traitlets.List()).tag(sync=True)  # their values in the page
    offered = traitlets.List(traitlets.List()).tag(sync=True)  # and where there is a kernel
    labels = traitlets.List(traitlets.List()).tag(sync=True)  # what is offered, in words
    ranges = traitlets.List(traitlets.Bool()).tag(sync=True)  # whether a slider offers them
    panels = traitlets.List(traitlets.Unicode()).tag(
        sync=True
    )  # the names of a frame's pictures
    pictures = traitlets.List(traitlets.Unicode()).tag(sync=True)  # each once: SVG or data URL
    frames = traitlets.List(traitlets.List()).tag(sync=True)  # the pictures of each frame
    words = traitlets.List(traitlets.Unicode()).tag(sync=True)  # of each frame
    fresh = traitlets.Dict().tag(
        sync=True, changes=True
    )  # the last frame beyond the grid, or what went wrong
    choice = traitlets.Dict().tag(sync=True, changes=True)

    def __init__(
        self,
        fn: Callable,
        alt: str | Callable[..., str],
        grid: dict[str, list],
        live: Mapping[str, Sequence] | None,
    ):
        offered = _require_offers(grid, live or {})
        labels = [[_label(value) for value in values] for values in offered.values()]
        self._fn, self._alt = fn, alt
        choices = [
            dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())
        ]
        results = [self._call(choice) for choice in choices]
        self._window = common_window([result for result, _ in results])
        frames = [to_pictures(result, words, self._window) for result, words in results]
        self._sizes = size_of(results[0][0])
        for choice, (result, _) in zip(choices, results, strict=True):
            self._require_size(choice, result)
        pictures: dict[str, int] = {}  # in order, each once
        for frame in frames:
            for picture in frame.values():
                pictures.setdefault(picture, len(pictures))
        super().__init__(
            alt=results[0][1] if callable(alt) else alt,
            names=list(grid),
            grid=list(grid.values()),
            offered=list(offered.values()),
            labels=labels,
            ranges=[_is_range(values) for values in grid.values()],
            panels=list(frames[0]),
            pictures=list(pictures),
            frames=[[pictures[picture] for picture in frame.values()] for frame in frames],
            words=[words for _, words in results],
            choice=choices[0],
        )

    def _call(self, choice: dict) -> tuple[Any, str]:
        """What `fn` returns for a choice, and the words that go with it."""
        result = self._fn(**choice)
        if callable(self._alt):
            result = result, self._alt(**choice)
        if not isinstance(result, tuple) or len(result) != 2 or not isinstance(result[1], str):
            raise ValueError(
                f"the frame for {choice} has no words: return (picture, words), or give alt as a "
                f"function of the choices; got {type(result).__name__}"
            )
        require_alt(result[1])
        if isinstance(result[0], Figure):
            plt.close(result[0])  # from pyplot's list; it can still be drawn
        return result

    def _require_size(self, choice: dict, result) -> None:
        if (sizes := size_of(result)) != self._sizes:
            raise ValueError(
                f"frames have one size, so that nothing jumps: the first has {self._sizes}, "
                f"that for {choice} has {sizes}"
            )

    @validates("choice")
    def _check_choice(self, proposal):
        given = proposal["value"]
        offered = dict(zip(self.names, self.offered, strict=True))
        if set(given) != set(offered) or any(
            given[name] not in offered[name] for name in given
        ):
            raise ValueError(f"a choice names one value of each of {offered}; got {given}")
        # JavaScript has no 1.0: what `fn` gets is the author's own value.
        return {name: values[values.index(given[name])] for name, values in offered.items()}

    @traitlets.observe("choice")
    def _draw(self, _) -> None:
        if self._index(self.choice) is not None:
            return
        try:
            result, words = self._call(self.choice)
            self._require_size(self.choice, result)
            pictures = list(to_pictures(result, words, self._window).values())
        except Exception:
            # The reader's click has no cell under which Jupyter could show this: the figure does.
            self.fresh = {"choice": self.choice, "error": traceback.format_exc()}
            raise
        self.fresh = {"choice": self.choice, "pictures": pictures, "words": words}

    def _index(self, choice: dict) -> int | None:
        """Which frame shows a choice; None if it lies beyond the grid."""
        values = [choice[name] for name in self.names]
        if any(value not in axis for value, axis in zip(values, self.grid, strict=True)):
            return None
        places = [axis.index(value) for value, axis in zip(values, self.grid, strict=True)]
        return int(np.ravel_multi_index(places, [len(axis) for axis in self.grid]))

    def plot(self) -> Figure:
        return plot(*self._call(self.choice))

    def skeleton(self, live: bool = False) -> Tree:
        # A page has no frame beyond the grid, and begins with the first in its place.
        chosen = self.choice if live or self._index(self.choice) is not None else self._first()
        index = self._index(chosen)
        if index is None:
            frame, words = [""] * len(self.panels), self.phrases["computing"]
        else:
            frame = [self.pictures[picture] for picture in self.frames[index]]
            words = self.words[index]
        panels = zip(self.panels, frame, strict=True)
        room = max(self.words, key=len)  # for the longest words, so that nothing jumps
        return root(
            "attn-frames",
            self.alt,
            controls(
                hint(""), *(self._control(axis, chosen, live) for axis in range(len(chosen)))
            ),
            ["div", {"class": "attn-panels"}, *(_panel(*panel, words) for panel in panels)],
            [
                "div",
                {"class": "attn-words"},
                ["output", {"data-hole": "words"}, words],
                ["span", {"aria-hidden": "true"}, room],
            ],
            ["pre", {"class": "attn-error", "role": "alert", "data-hole": "error"}],
        )

    def _first(self) -> dict:
        return {name: axis[0] for name, axis in zip(self.names, self.grid, strict=True)}

    def _control(self, axis: int, choice: dict, live: bool) -> Tree:
        name, offered = self.names[axis], self.offered[axis]
        values = offered if live else self.grid[axis]
        labels = [self.labels[axis][offered.index(value)] for value in values]
        place, label = values.index(choice[name]), name.replace("_", " ")
        if self.ranges[axis]:
            return slider("choice", label, (0, len(values) - 1), place, labels[place])
        return select("choice", label, labels, place)


def _panel(name: str, picture: str, words: str) -> Tree:
    if picture.startswith("<svg"):
        drawn = [["#markup", {}, picture]]
    else:
        said = f"{name}: {words}" if name else words
        drawn = [["img", {"src": picture, "alt": said}]] if picture else []
    caption = [["figcaption", {}, name]] if name else []
    return ["figure", {"data-hole": "panel"}, *drawn, *caption]


def _is_range(values: list) -> bool:
    numbers = all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in values
    )
    return numbers and len(values) > SHORT and values == sorted(values)


def _label(value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _require_offers(grid: dict[str, list], live: Mapping[str, Sequence]) -> dict[str, list]:
    """The values of each choice, with those that only a kernel offers, or a ValueError."""
    if not grid or not all(grid.values()):
        raise ValueError(f"explore wants at least one value of at least one choice; got {grid}")
    if unknown := set(live) - set(grid):
        raise ValueError(f"live offers more of {sorted(grid)}; it knows no {sorted(unknown)}")
    offered = {}
    for name, values in grid.items():
        more = [value for value in live.get(name, ()) if value not in values]
        for value in values + more:
            if not isinstance(value, str | int | float) or (
                isinstance(value, float) and not math.isfinite(value)
            ):
                raise ValueError(
                    f"a choice is text, a finite number, True or False; {name} has {value!r}"
                )
        offered[name] = sorted(values + more) if _is_range(values) else values + more
        labels = [_label(value) for value in offered[name]]
        if len(set(labels)) < len(labels):
            raise ValueError(f"the values of {name} must look different; got {labels}")
    return offered
