"""What every living figure is: one widget, one script, and a picture for where neither runs."""

import base64
import gzip
import io
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import anywidget
import numpy as np
import traitlets
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from .skeleton import Tree, to_html

HERE = Path(__file__).parent
FIGURES: list[type["LivingFigure"]] = []  # in the order of their definition


class LivingFigure(anywidget.AnyWidget):
    """A figure that responds to the reader with a kernel (Jupyter, Colab) and without (the published book).

    A subclass has a `name`, the stem of its .js and .css beside it, declares synced traits, and writes `skeleton`.
    Its script is an ES module, `export default { render({ model, el }) }`, which may use all that common.js defines,
    and sees `constants` and, as PHRASES, `phrases`. Jupyter runs it with the widget's model; on a page the custom element
    `tag` runs it with a model read from the page. Either way `adopt(model, el)` gives it the skeleton to live in.

    Attributes:
        constants: what the script needs to know besides the traits, by name.
        phrases: templates of all that the figure says, such as "{share} inside the box", in Python and in its script.
    """

    name: str
    tag: str
    constants: ClassVar[Mapping[str, Any]] = {}
    phrases: ClassVar[Mapping[str, str]] = {}
    alt = traitlets.Unicode().tag(sync=True)
    _skeleton: traitlets.List = traitlets.List().tag(sync=True)  # a page has it as HTML

    @traitlets.default("_skeleton")
    def _build_skeleton(self) -> Tree:
        return self.skeleton(live=True)

    @traitlets.validate("alt")
    def _check_alt(self, proposal):
        require_alt(proposal["value"])
        return proposal["value"]

    def __init_subclass__(cls, **kwargs):
        if "name" in vars(cls):  # not in the class that traitlets derives for each instance
            cls.tag = cls.name.replace("_", "-")
            cls._esm = _file("common.js") + _script(cls)
            cls._css = _file("common.css") + _own_file(cls, "css")
            FIGURES.append(cls)
        super().__init_subclass__(**kwargs)

    def skeleton(self, live: bool = False) -> Tree:
        """All elements of the figure, as its traits now say it: see `attn_lib.figures.skeleton`.

        Args:
            live: whether a kernel listens, so that more may be offered.
        """
        raise NotImplementedError

    def still(self) -> str:
        """The figure before anyone touches it, as HTML; its script adopts these very elements."""
        return to_html(self.skeleton())

    def say(self, phrase: str, **values: object) -> str:
        """One of the figure's `phrases`, filled."""
        return self.phrases[phrase].format(**values)

    def _repr_mimebundle_(self, **kwargs):
        bundle, metadata = super()._repr_mimebundle_(**kwargs)  # type: ignore[misc]
        return bundle | {"text/html": self.to_html(), "text/plain": self.alt}, metadata

    def to_html(self) -> str:
        """The figure for a page: the same figure gives the same bytes."""
        data = {name: _encode(getattr(self, name)) for name in sorted(self._own_traits())}
        # "<" could end the script element early.
        payload = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
        return (
            f'<{self.tag} class="attn-figure">{self.still()}'
            f'<script type="application/json">{payload}</script></{self.tag}>'
        )

    def weight(self) -> int:
        """Bytes that a reader of the published page loads for this figure, compressed."""
        return len(gzip.compress(self.to_html().encode()))

    def require_budget(self, budget: int, advice: str) -> None:
        """Refuse to be heavier for a reader than a page can bear.

        Args:
            budget: bytes, compressed.
            advice: what makes the figure lighter.

        Raises:
            ValueError: with the weight, the budget and the advice.
        """
        if (weight := self.weight()) > budget:
            raise ValueError(
                f"the figure weighs {weight:,} bytes compressed, more than its {budget=:,}: {advice}"
            )

    def _own_traits(self) -> set[str]:
        theirs = set(anywidget.AnyWidget.class_trait_names(sync=True))
        return {
            name
            for name in self.trait_names(sync=True)
            if name not in theirs and not name.startswith("_")
        }


def require_alt(alt: str) -> None:
    """Refuse a description that describes nothing.

    Raises:
        ValueError: fewer than four words.
    """
    if len(alt.split()) < 4:
        raise ValueError(
            f"a figure needs alt text that says what one sees, in at least four words; got {alt!r}"
        )


def to_picture(image: Float[Tensor, "3 h w"]) -> Image.Image:
    """An image as a picture of 8 bits a colour.

    Raises:
        ValueError: a value lies outside [0, 1].
    """
    if not (image.min() >= 0 and image.max() <= 1):
        low, high = image.min().item(), image.max().item()
        raise ValueError(f"an image has values in [0, 1]; got {low:.3g} to {high:.3g}")
    pixels = image.detach().cpu().permute(1, 2, 0).numpy()
    return Image.fromarray((pixels * 255).round().astype(np.uint8))


def to_data_url(image: Image.Image, quality: int | None = None) -> str:
    """A picture as a URL that carries it: lossless, or smaller, with a quality of at most 100."""
    buffer = io.BytesIO()
    loss = {"lossless": True} if quality is None else {"quality": quality}
    image.save(buffer, "WEBP", method=6, **loss)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def _encode(value):
    return {"base64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def _file(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _own_file(figure: type[LivingFigure], kind: str) -> str:
    folder = Path(sys.modules[figure.__module__].__file__ or "").parent
    return (folder / f"{figure.name}.{kind}").read_text(encoding="utf-8")


def _script(figure: type[LivingFigure]) -> str:
    """A figure's own module, after what its class declares."""
    given = {**figure.constants, "PHRASES": figure.phrases}
    declared = (f"const {name} = {json.dumps(value)};\n" for name, value in given.items())
    return "".join(declared) + _own_file(figure, "js")


def page_script() -> str:
    """All figures as one classic script: browsers refuse modules to pages opened from the file system."""
    figures = "".join(
        f'define("{figure.tag}", (() => {{\n{_module_body(figure)}}})());\n'
        for figure in FIGURES
    )
    return f"(() => {{\n{_file('common.js')}\n{_file('page.js')}\n{figures}}})();\n"


def _module_body(figure: type[LivingFigure]) -> str:
    source = _script(figure)
    if source.count("export default ") != 1:
        raise ValueError(f"{figure.name}.js wants exactly one 'export default'")
    return source.replace("export default ", "return ")


def page_style() -> str:
    """The style of all figures."""
    return _file("common.css") + "".join(_own_file(figure, "css") for figure in FIGURES)
