"""Playground: a trained network that runs in the page, on a canvas that the reader changes."""

import copy
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
import traitlets
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor, nn

from ...instruments.recording import record
from ..base import LivingFigure
from ..colours import QUANTITIES, colour_table
from ..skeleton import Tree, root
from ..traits import Whole, validates
from . import canvas as canvases
from .canvas import Canvas, make_parts, paint, painted
from .elements import BAR, FULL, canvas_controls, canvas_tree, foot, panel, play_controls
from .network import write_down
from .picture import SCALE
from .plot import plot
from .view import KINDS, PHRASES, View, drawn, shown_layer

STATE = ("digit", "place", "side", "scraps", "scrap_places", "noise", "paint")


class Playground(LivingFigure):
    """Move, hide and paint a digit, and see at once what a network says, and where it looks.

    The network itself runs in the page, as plain JavaScript, with a kernel and without. Drag the digit or a scrap of
    other digits with mouse or finger, or choose it by Tab and press arrow keys. A scrap that was moved lies over the
    digit. What is on the canvas are traits that Python sees and sets: `digit`, which of the digits; `place`, its top
    and left; `side`, its size in pixels; `scraps`, how many; `scrap_places`; `noise`, its σ in hundredths; `paint`.
    `network` is the one that is shown, `query` the position, counted row by row, whose row of a relation is drawn;
    None draws the mean over all queries.

    Args:
        networks: one, or several by name, each from an image (3, h, w) to a logit for each class: a `HostCNN`, or an
            `nn.Sequential` of convolutions, mechanisms and a linear layer.
        digits: (classes, each, 8, 8), values in [0, 1]: equally many of each class, as `digit_examples` gives them.
        alt: what one sees in the first picture.
        together: whether all networks are shown at once, not one after another. The canvas is then carried in the
            page's address, which can be sent.
        names: of the classes; None counts them from 0.
        size: height and width of the canvas.
        seed: of colours, scraps and noise.
        budget: bytes, compressed, that the figure may weigh in a book; a network weighs about 55,000.

    Raises:
        ValueError: a network has a layer that the page does not know, which is named, or another number of classes
            than `digits` or `names`; digits leave [0, 1]; a trait is set to what there is not; or the figure is heavier
            than its budget.
    """

    name = "network_playground"
    parts = ("network", "canvas", "drawing", "hands", "panel")
    phrases = PHRASES
    constants = {
        "SCALE": SCALE,
        "BAR": BAR,
        "FULL": FULL,
        "KINDS": KINDS,
        "QUERY": QUANTITIES["query"][1],
        "WEIGHT": QUANTITIES["weight"][1],
        **{each: getattr(canvases, each) for each in ("SCRAP", "SIDES", "NOISES", "GROUND", "PAINT", "PATTERN")},
    }  # fmt: skip

    networks = traitlets.List(traitlets.Dict()).tag(sync=True)  # each: name, layers, start
    weights = traitlets.Bytes().tag(sync=True)  # network after network
    digits = traitlets.Bytes().tag(sync=True)  # uint8 (classes · each, 8, 8), 0 to 16
    classes = traitlets.List(traitlets.Unicode()).tag(sync=True)
    size = traitlets.List(Whole()).tag(sync=True)
    pattern = traitlets.Bytes().tag(sync=True)  # int8 (3, h, w)
    colour = traitlets.List(Whole()).tag(sync=True)
    pieces = traitlets.List(traitlets.List()).tag(sync=True)  # the scraps: see `Parts`
    start = traitlets.Dict().tag(sync=True)  # the canvas at first
    colours = traitlets.Bytes().tag(sync=True)  # 256 × RGB
    together = traitlets.Bool().tag(sync=True)
    digit = Whole().tag(sync=True, changes=True)
    place = traitlets.List(Whole()).tag(sync=True, changes=True)
    side = Whole().tag(sync=True, changes=True)
    scraps = Whole().tag(sync=True, changes=True)
    scrap_places = traitlets.List(traitlets.List(Whole())).tag(sync=True, changes=True)
    noise = Whole().tag(sync=True, changes=True)
    paint = traitlets.Unicode().tag(
        sync=True, changes=True
    )  # a bit a pixel, in base64 for URLs
    network = Whole().tag(sync=True, changes=True)
    query = Whole(None, allow_none=True).tag(sync=True, changes=True)

    def __init__(
        self,
        networks: nn.Module | Mapping[str, nn.Module],
        digits: Float[Tensor, "classes b 8 8"],
        *,
        alt: str,
        together: bool = False,
        names: Sequence[str] | None = None,
        size: tuple[int, int] = (40, 40),
        seed: int = 0,
        digit: int | None = None,
        side: int = 18,
        scraps: int = 6,
        noise: int = 8,
        budget: int = 150_000,
    ):
        given = {"network": networks} if isinstance(networks, nn.Module) else dict(networks)
        names = [str(i) for i in range(len(digits))] if names is None else list(names)
        levels = levels_of(digits)
        self._networks = {each: copy.deepcopy(one).eval() for each, one in given.items()}
        written = write_all(self._networks, len(digits), names)
        self._parts = make_parts(levels, size, seed)
        self._each = digits.shape[1]
        digit = 3 % len(digits) * self._each if digit is None else digit
        canvas = Canvas(
            digit=digit,
            place=[(length - side) // 2 for length in size],
            side=side,
            scraps=scraps,
            scrap_places=self._parts.places,
            noise=noise,
            paint="",
        )
        starts = np.cumsum([0, *(len(each.weights) for each in written)]).tolist()
        super().__init__(
            alt=alt,
            networks=[
                {"name": each, "layers": one.layers, "start": first}
                for each, one, first in zip(given, written, starts, strict=False)
            ],
            weights=b"".join(each.weights for each in written),
            digits=levels.tobytes(),
            classes=names,
            size=list(size),
            pattern=self._parts.pattern.tobytes(),
            colour=self._parts.colour,
            pieces=self._parts.scraps,
            start=vars(canvas),
            colours=colour_table(),
            together=together,
            **vars(canvas),
        )
        self.require_budget(
            budget,
            f"its {len(given)} networks are too many; show fewer, or give a larger budget",
        )

    @validates("place", "scrap_places", "side")
    def _check_place(self, proposal):
        name, value = proposal["trait"].name, proposal["value"]
        h, w = self.size or self._parts.size
        low, high = canvases.SIDES
        if name == "side":
            if not low <= value <= min(high, h, w):
                raise ValueError(
                    f"side goes from {low} to {min(high, h, w)} pixels; got {value}"
                )
            return value
        places = [value] if name == "place" else value
        side = (self.side or low) if name == "place" else canvases.SCRAP
        count = 1 if name == "place" else canvases.MOST_SCRAPS
        inside = (
            len(p) == 2 and 0 <= p[0] <= h - side and 0 <= p[1] <= w - side for p in places
        )
        if len(places) != count or not all(inside):
            raise ValueError(
                f"{name} is top and left of {count} within {h}×{w} pixels; got {value}"
            )
        return value

    @validates("digit", "scraps", "noise", "network", "query")
    def _check_choice(self, proposal):
        name, value = proposal["trait"].name, proposal["value"]
        last = {
            "digit": len(self._parts.digits) - 1,
            "scraps": canvases.MOST_SCRAPS,
            "noise": canvases.NOISES[1],
            "network": len(self._networks) - 1,
            "query": self.size[0] * self.size[1] - 1 if self.size else 0,
        }[name]
        if value is not None and not 0 <= value <= last:
            raise ValueError(f"{name} goes from 0 to {last}; got {value}")
        return value

    @validates("paint")
    def _check_paint(self, proposal):
        painted(proposal["value"], self._parts.size)
        return proposal["value"]

    @traitlets.observe("side")
    def _keep_inside(self, _) -> None:
        if self.place and self.size:
            room = (length - self.side for length in self.size)
            self.place = [min(at, most) for at, most in zip(self.place, room, strict=True)]

    def canvas(self) -> Canvas:
        """What is on the canvas."""
        return Canvas(**{name: getattr(self, name) for name in STATE})

    def image(self) -> Float[Tensor, "3 h w"]:
        """The canvas as networks see it."""
        return paint(self._parts, self.canvas())

    def views(self) -> list[View]:
        """What the networks that are shown make of the canvas."""
        shown = self.networks if self.together else self.networks[self.network :][:1]
        image = self.image()
        return [self._view(each["name"], each["layers"], image) for each in shown]

    def _view(self, name: str, layers: list[dict], image: Tensor) -> View:
        where, kind = shown_layer(layers)
        network = self._networks[name]
        recorded: Any = nullcontext({}) if kind == "none" else record(network)
        with torch.no_grad(), recorded as maps:
            shares = network(image[None])[0].softmax(0).double().numpy()
        whole = np.empty(0) if kind == "none" else maps[where][0].double().numpy()
        weights, query = drawn(kind, whole, self.size, self.query)
        (top, left), (h, w) = self.place, self.size
        box = (top, left, self.side, h, w)
        return View(name, self.classes, self.digit // self._each, shares, kind, weights, query, box)  # fmt: skip

    def skeleton(self, live: bool = False) -> Tree:
        canvas, image, views = self.canvas(), self.image(), self.views()
        names = [each["name"] for each in self.networks]
        several = self.network if len(names) > 1 and not self.together else None
        relations = any(shown_layer(each["layers"])[1] == "relation" for each in self.networks)
        return root(
            "attn-playground attn-together" if self.together else "attn-playground",
            self.alt,
            canvas_controls(canvas, self.classes, self._each),
            play_controls(names, several, (self.query is not None) if relations else None),
            [
                "div",
                {"class": "attn-board"},
                canvas_tree(canvas, image, self.classes, self._each),
                ["div", {"class": "attn-panels"}, *(panel(view, image) for view in views)],
            ],
            foot(self.together),
        )

    def plot(self) -> Figure:
        return plot(self.image(), self.views())


def levels_of(digits: Tensor) -> np.ndarray:
    """Digits as whole numbers of 0 to 16, in one row.

    Raises:
        ValueError: they leave [0, 1].
    """
    if not (digits.numel() and digits.min() >= 0 and digits.max() <= 1):
        among = f" from {digits.min():g} to {digits.max():g}" if digits.numel() else ""
        raise ValueError(
            f"the page wants digits (classes, each, 8, 8) in [0, 1]; got {tuple(digits.shape)}{among}"
        )
    return (16 * digits).round().byte().numpy().reshape(-1, 8, 8)


def write_all(networks: Mapping[str, nn.Module], classes: int, names: Sequence[str]):
    written = [write_down(each) for each in networks.values()]
    counts = {name: each.classes for name, each in zip(networks, written, strict=True)}
    if not networks or {len(names), *counts.values()} != {classes}:
        raise ValueError(
            f"the page wants one network or more, each with as many classes as there are digits and names; got "
            f"{counts}, digits of {classes} and {len(names)} names"
        )
    return written
