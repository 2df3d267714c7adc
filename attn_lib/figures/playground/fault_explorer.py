"""FaultExplorer: what goes wrong in public code, planted in a trained network that runs in the page."""

import copy
from collections.abc import Sequence

import numpy as np
import torch
import traitlets
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor, nn

from ...instruments.recording import record
from ..base import LivingFigure
from ..colours import colour_table
from ..skeleton import Tree, root
from ..traits import Number, Whole, validates
from . import fault_elements as elements
from . import scenes as made
from .canvas import paint
from .elements import panel
from .fault_elements import PHRASES, Cost, fault_words, say
from .faults import FACTORS, FAULTS, plant
from .playground import Playground, levels_of, write_all
from .plot import plot
from .view import View, drawn, shown_layer


class FaultExplorer(LivingFigure):
    """Break a trained network, and see at once what it still answers, and where it now looks.

    A fault is planted in the network's attention layer: a softmax over the wrong axis, a reshape in place of a
    transpose, even weights and others; those are offered that the layer can have. The network runs in the page, as
    plain JavaScript, with a kernel and without, on held-out digits that are composed there, each once, like those of
    `cluttered_digits`. Right answers before and after are counted in the background. Traits that Python sees and sets:
    `fault`, one of `faults`, or "" for none; `factor`, of scores, for the fault `scores_times`; `scene`, the image that
    is shown; `query`, the position, counted row by row, whose row of a relation is drawn, None for the mean over all.

    Args:
        network: from an image (3, h, w) to a logit for each class, with a `SelfAttention2d`, a `NonLocal` or a `CBAM`:
            a `HostCNN`, or an `nn.Sequential` of convolutions, mechanisms and a linear layer. Of several such layers
            the last is broken.
        digits: (classes, each, 8, 8), values in [0, 1], as `digit_examples` gives them; none of the training.
        alt: what one sees in the first picture.
        fault: the one that is planted at first.
        factor: of scores: ¼, ½, 1, 2 or 4.
        scene: the image that is shown at first.
        names: of the classes; None counts them from 0.
        size: height and width of the images, 20 pixels at least.
        seed: of places, sizes, colours, scraps and noise.
        budget: bytes, compressed, that the figure may weigh in a book.

    Raises:
        ValueError: a layer that the page does not know, which is named; no layer that can be broken; another number of
            classes than `digits` or `names`; digits leave [0, 1] or have no room; a trait is set to what there is not; or the figure is
            heavier than its budget.
    """

    name = "fault_explorer"
    parts = ("network", "canvas", "drawing", "hands", "panel", "faults")
    phrases = PHRASES
    constants = {
        **Playground.constants,
        "FACTORS": FACTORS,
        "SCENE_NOISE": made.NOISE,
        "SCENE_SCRAPS": made.SCRAPS,
    }
    constants |= {"SHOWN_PARTS": {name: fault.shows for name, fault in FAULTS.items()}}

    layers = traitlets.List(traitlets.Dict()).tag(sync=True)
    weights = traitlets.Bytes().tag(sync=True)
    where = traitlets.Unicode().tag(sync=True)  # the layer that is broken
    faults = traitlets.List(traitlets.Unicode()).tag(sync=True)  # that it can have
    digits = traitlets.Bytes().tag(sync=True)  # uint8 (classes · each, 8, 8), 0 to 16
    classes = traitlets.List(traitlets.Unicode()).tag(sync=True)
    size = traitlets.List(Whole()).tag(sync=True)
    pattern = traitlets.Bytes().tag(sync=True)  # int8 (3, h, w), the noise of all scenes
    scenes = traitlets.Bytes().tag(sync=True)  # uint16: see `pack`
    colours = traitlets.Bytes().tag(sync=True)  # 256 × RGB
    fault = traitlets.Unicode().tag(sync=True, changes=True)
    factor = Number(FACTORS[-1]).tag(sync=True, changes=True)
    scene = Whole().tag(sync=True, changes=True)
    query = Whole(None, allow_none=True).tag(sync=True, changes=True)

    def __init__(
        self,
        network: nn.Module,
        digits: Float[Tensor, "classes b 8 8"],
        *,
        alt: str,
        fault: str = "",
        factor: float = FACTORS[-1],
        scene: int = 0,
        names: Sequence[str] | None = None,
        size: tuple[int, int] = (40, 40),
        seed: int = 0,
        budget: int = 120_000,
    ):
        names = [str(i) for i in range(len(digits))] if names is None else list(names)
        levels, self._each = levels_of(digits), digits.shape[1]
        [written] = write_all({"network": network}, len(digits), names)
        self._network = copy.deepcopy(network).eval()
        self._spec, offered = _breakable(network, written.layers)
        self._scenes = made.make_scenes(levels, size, seed)
        self._images = torch.stack([paint(each.parts, each.canvas) for each in self._scenes])
        self._said: dict[tuple[str, float], Tensor] = {}
        pattern = np.roll(
            self._scenes[0].parts.pattern, [-by for by in self._scenes[0].rolled], (1, 2)
        )
        self._offered = offered
        super().__init__(
            alt=alt,
            layers=written.layers,
            weights=written.weights,
            where=self._spec["name"],
            faults=offered,
            digits=levels.tobytes(),
            classes=names,
            size=list(size),
            pattern=pattern.tobytes(),
            scenes=made.pack(self._scenes),
            colours=colour_table(),
            fault=fault,
            factor=factor,
            scene=scene,
        )
        self.require_budget(budget, "give fewer digits, or a larger budget")

    @validates("fault", "factor", "scene", "query")
    def _check_choice(self, proposal):
        name, value = proposal["trait"].name, proposal["value"]
        if name in ("fault", "factor"):
            choices = ("", *self._offered) if name == "fault" else FACTORS
            if value not in choices:
                raise ValueError(f"{name} is one of {choices}; got {value!r}")
            return value
        last = (self.size[0] * self.size[1] if name == "query" else len(self._scenes)) - 1
        if value is not None and not 0 <= value <= last:
            raise ValueError(f"{name} goes from 0 to {last}; got {value}")
        return value

    def images(self) -> Float[Tensor, "b 3 h w"]:
        """The held-out scenes as networks see them."""
        return self._images

    def broken(self, fault: str | None = None) -> nn.Module:
        """A copy of the network with a fault.

        Args:
            fault: one of `faults`, or "" for none; None takes the one that is chosen.

        Raises:
            ValueError: the layer cannot have it.
        """
        fault = self.fault if fault is None else fault
        if fault not in ("", *self.faults):
            raise ValueError(f"no fault {fault!r}; there are {', '.join(self.faults)}")
        return plant(self._network, self.where, fault, self.factor)

    def cost(self, fault: str | None = None) -> Cost:
        """What a fault costs, of all scenes.

        Args:
            fault: as for `broken`.

        Returns:
            `count` of the scenes; how many are right as trained, `before`, and with the fault, `after`; and to how
            many the answers differ, `changed`.

        Raises:
            ValueError: the layer cannot have it.
        """
        answer = torch.tensor([each.canvas.digit // self._each for each in self._scenes])
        before, after = self._answers(""), self._answers(self.fault if fault is None else fault)
        right, still = (int((said == answer).sum()) for said in (before, after))
        return Cost(len(answer), right, still, changed=int((before != after).sum()))

    def _answers(self, fault: str) -> Tensor:
        key = fault, self.factor if fault == "scores_times" else 1.0
        if key not in self._said:
            with torch.no_grad():
                self._said[key] = self.broken(fault)(self._images).argmax(1)
        return self._said[key]

    def views(self) -> list[View]:
        """What the network makes of the scene as trained, and with the fault."""
        return [
            self._view(say("trained"), ""),
            self._view(say("faulty", fault=fault_words(self.fault)), self.fault),
        ]

    def _view(self, title: str, fault: str) -> View:
        network, canvas = self.broken(fault), self._scenes[self.scene].canvas
        pair = self._images[
            [self.scene - 1, self.scene]
        ]  # another image's map is that of the one before
        with torch.no_grad(), record(network) as maps:
            shares = network(pair)[1].softmax(0).double().numpy()
        where, kind = shown_layer([self._shown()])
        weights, query = drawn(kind, maps[where][1].double().numpy(), self.size, self.query)
        box = (*canvas.place, canvas.side, *self.size)
        return View(
            title, self.classes, canvas.digit // self._each, shares, kind, weights, query, box
        )

    def _shown(self) -> dict:
        """The layer, or the part of it, whose map tells most of the fault."""
        part = FAULTS[self.fault].shows if self.fault else ""
        return self._spec[part] if part else self._spec

    def skeleton(self, live: bool = False) -> Tree:
        image, views = self._images[self.scene], self.views()
        relation = shown_layer([self._spec])[1] == "relation"
        return root(
            "attn-playground attn-faults",
            self.alt,
            elements.chooser(self.faults, self.fault, self.factor),
            elements.tally(self.fault, self.cost()),
            elements.image_controls(
                self.scene, len(self._scenes), (self.query is not None) if relation else None
            ),
            [
                "div",
                {"class": "attn-board"},
                elements.picture(image, self.classes[views[0].answer]),
                ["div", {"class": "attn-panels"}, *(panel(view, image) for view in views)],
            ],
            elements.foot(),
        )

    def plot(self) -> Figure:
        return plot(self._images[self.scene], self.views())


def _breakable(network: nn.Module, layers: list[dict]) -> tuple[dict, list[str]]:
    """The last layer that can be broken, and the names of its faults."""
    for layer in reversed([each for each in layers if "name" in each]):
        module = network.get_submodule(layer["name"])
        if names := [name for name, fault in FAULTS.items() if fault.applies(module)]:
            return layer, names
    kinds = [layer["kind"] for layer in layers if "name" in layer]
    raise ValueError(
        f"a FaultExplorer breaks a SelfAttention2d, a NonLocal or a CBAM; this network has {kinds}"
    )
