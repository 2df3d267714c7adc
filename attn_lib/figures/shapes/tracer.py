"""ShapeTracer: the source of a module, line by line, with the tensors that are alive there."""

from typing import Any

import traitlets
from matplotlib.figure import Figure
from torch import nn

from ...instruments.tracing import trace_shapes
from ..base import LivingFigure
from ..skeleton import Tree, controls, hint, root
from ..traits import Whole, validates
from .blocks import tell
from .boxes import rounded
from .elements import measure, sections, step_button
from .words import PHRASES, describe_scale

TALLEST = 3  # an entry is at least this many times as wide as the tallest box in it is high


class ShapeTracer(LivingFigure):
    """What does each line do to the shapes? The module's own source, and under each line what it made.

    Beside it the tensors that are alive once a line has run, with a box to scale for each: one image of
    the batch, positions down, all else (features, keys, heads) across. Hover a line to see them; click or
    tap it, step with the buttons or the arrow keys to choose it. The functions that a method calls follow
    it, folded. Its text is the source with all shapes, so that stored outputs hold every one of them.

        ShapeTracer(SelfAttention2d(512), torch.randn(128, 512, 7, 7), alt="…")

    Args:
        module, inputs: as `trace_shapes` takes them.
        alt: what one sees in the first picture.
        step: the line chosen first, counted over the statements that ran, in all methods; None means the
            last of the first method.

    Raises:
        ValueError: there is no such step, or as `trace_shapes`.
    """

    name = "shape_tracer"
    phrases = PHRASES

    methods = traitlets.List(traitlets.Dict())
    full = Whole()  # how many numbers side by side fill an entry's width
    bar = Whole()  # how many the scale shows
    scale = traitlets.Unicode()  # the scale in words
    said = traitlets.List(traitlets.Unicode()).tag(sync=True)  # of each step, read aloud
    step = Whole().tag(sync=True, changes=True)

    def __init__(self, module: nn.Module, *inputs: Any, alt: str, step: int | None = None):
        walked = [pair for method in trace_shapes(module, *inputs) for pair in method.walk()]
        methods = [method for _, method in walked]
        self._text = "\n\n".join(map(str, methods))
        told: list[dict[str, Any]] = []
        said: list[str] = []
        for depth, method in walked:
            block, words = tell(method, depth, len(said))
            told.append(block)
            said += words
        states = [state for method in told for slot in method["slots"] for state in slot]
        full = max(max(s["across"] for s in states), TALLEST * max(s["down"] for s in states))
        bar = rounded(full / 4)
        super().__init__(
            alt=alt,
            methods=told,
            full=full,
            bar=bar,
            scale=describe_scale(methods, bar),
            said=said,
            step=told[0]["stop"] - 1 if step is None else step,
        )

    @validates("step")
    def _check_step(self, proposal):
        steps = len(self.said)
        if not 0 <= proposal["value"] < steps:
            raise ValueError(
                f"the step must be one of {steps} lines that ran, 0 to {steps - 1}; got {proposal['value']}"
            )
        return proposal["value"]

    def alive(self, step: int | None = None) -> dict[str, str]:
        """The tensors that exist once a step is done: the name of each and its sizes, as the figure shows them."""
        step = self.step if step is None else step
        method = next(method for method in self.methods if step < method["stop"])
        found = {}
        for slot in method["slots"]:
            for state in slot:
                if state["step"] <= step:
                    found[state["name"]] = state["sizes"]
        return found

    def _repr_mimebundle_(self, **kwargs):
        bundle, metadata = super()._repr_mimebundle_(**kwargs)
        return bundle | {"text/plain": f"{self.alt}\n\n{self._text}"}, metadata

    def plot(self) -> Figure:
        lines = f"{self.alt}\n\n{self._text}".splitlines()
        fig = Figure((0.095 * max(map(len, lines)) + 0.2, 0.19 * len(lines) + 0.2))
        text = "\n".join(lines)
        fig.text(0.01, 0.99, text, family="monospace", size=10, va="top", parse_math=False)
        return fig

    def skeleton(self, live: bool = False) -> Tree:
        said = ["output", {"class": "attn-said", "data-hole": "said"}, self.said[self.step]]
        scale = measure(self.bar, self.full, self.scale)
        return root(
            "attn-tracer",
            self.alt,
            controls(
                step_button("before", self.step == 0),
                step_button("next", self.step == len(self.said) - 1),
                hint(PHRASES["hint"]),
                said,
            ),
            *sections(self.methods, self.step, self.full, scale),
        )
