"""What every living figure is: one widget, one script, and a picture for where neither runs."""

import base64
import gzip
import html
import io
import json
import os
import re
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import anywidget
import numpy as np
import traitlets
from jaxtyping import Float
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from .colours import ALONE, BY_HOST, BY_SYSTEM, theme_css
from .skeleton import Tree, to_html
from .traits import validates

HERE = Path(__file__).parent
FIGURES: list[type["LivingFigure"]] = []  # in the order of their definition
# Set while the book is built: what readers of a page get is held to a weight and to words; what a script makes is not.
PUBLISHING = "ATTN_LIB_PUBLISHING"


class LivingFigure(anywidget.AnyWidget):
    """A figure that responds to the reader with a kernel (Jupyter, Colab) and without (the published book).

    A subclass has a `name`, the stem of its .js and .css beside it, declares synced traits, and writes `skeleton`
    and `plot`. A trait stays as the figure was made, but for those tagged `changes`.
    Its script is an ES module, `export default { render({ model, el }) }`, which may use all that common.js defines,
    and sees `constants` and, as PHRASES, `phrases`. Jupyter runs it with the widget's model; on a page the custom element
    `tag` runs it with a model read from the page. Either way `adopt(model, el)` gives it the skeleton to live in.

    Attributes:
        constants: what the script needs to know besides the traits, by name.
        phrases: templates of all that the figure says, such as "{share} inside the box", in Python and in its script.
        parts: stems of further .js files beside its own, which come before it and export nothing; each may have a .css.
    """

    name: str
    tag: str
    constants: ClassVar[Mapping[str, Any]] = {}
    phrases: ClassVar[Mapping[str, str]] = {}
    parts: ClassVar[Sequence[str]] = ()
    _made = False
    # In ipywidgets 7 (Colab, Notebook 6) it would win over `_repr_mimebundle_`, and a saved notebook lose the still.
    _ipython_display_ = None
    alt = traitlets.Unicode().tag(sync=True, changes=True)
    _skeleton: traitlets.List = traitlets.List().tag(sync=True)  # a page has it as HTML

    def __init__(self, **traits: Any):
        super().__init__(**traits)
        self._made = True

    @traitlets.default("_skeleton")
    def _build_skeleton(self) -> Tree:
        return self.skeleton(live=True)

    @validates("alt")
    def _check_alt(self, proposal):
        require_alt(proposal["value"])
        return proposal["value"]

    def __init_subclass__(cls, **kwargs):
        if "name" in vars(cls):  # not in the class that traitlets derives for each instance
            cls.tag = cls.name.replace("_", "-")
            cls._esm = _file("common.js") + _script(cls)
            cls._css = theme_css(BY_HOST) + page_style([cls])
            if names := [name for name, each in vars(cls).items() if _stays(each)]:
                cls._stay = validates(*names)(_refuse)
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

    def plot(self) -> Figure:
        """The figure's still picture as a matplotlib figure, of what is now chosen."""
        raise NotImplementedError

    def save(self, path: str | Path) -> None:
        """Write the figure to a file, as it now stands.

            figure.save("map.html")  # responds to mouse, fingers and keys, offline and without Python
            figure.save("map.png")   # its still picture

        Args:
            path: of the file; its suffix, .html or .png, says what it becomes.

        Raises:
            ValueError: another suffix.
        """
        kind = Path(path).suffix.lower()
        if kind == ".html":
            Path(path).write_text(self._page(), encoding="utf-8")
        elif kind == ".png":
            told = {"Description": self.alt}
            self.plot().savefig(
                path, dpi=150, bbox_inches="tight", facecolor="white", metadata=told
            )
        else:
            raise ValueError(
                f"a figure is saved as .html, which responds, or .png, its still picture; got {path}. "
                "figure.plot() gives the picture as a matplotlib figure, whose savefig knows more"
            )

    def _page(self) -> str:
        """A page that needs nothing else: style, script and data are in it."""
        title = html.escape(textwrap.shorten(self.alt, 80, placeholder=" …") or self.name)
        style = theme_css(BY_SYSTEM) + ALONE + page_style([type(self)])
        # "</script" would end the element.
        script = page_script([type(self)]).replace("</script", "<\\/script")
        return (
            f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{title}</title>\n'
            '<meta name="viewport" content="width=device-width">\n'
            f"<style>{style}</style>\n<main>{self.to_html()}</main>\n<script>{script}</script>\n</html>\n"
        )

    def __repr__(self) -> str:
        said = f" {textwrap.shorten(self.alt, 160, placeholder=' …')}" if self.alt else ""
        return (
            f"<{type(self).__name__}:{said} It responds in a notebook; "
            f"figure.save('{self.name}.html') makes a page of it, .png a picture>"
        )

    def say(self, phrase: str, **values: object) -> str:
        """One of the figure's `phrases`, filled."""
        return self.phrases[phrase].format(**values)

    def _repr_mimebundle_(self, **kwargs):
        bundle, metadata = super()._repr_mimebundle_(**kwargs)  # type: ignore[misc]
        # Elsewhere than in the book nobody else brings the still its style.
        style = "" if publishing() else f"<style>{self._css}</style>"
        return bundle | {"text/html": style + self.to_html(), "text/plain": self.alt}, metadata

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
        """While the book is built, refuse to be heavier for a reader than a page can bear.

        Args:
            budget: bytes, compressed.
            advice: what makes the figure lighter, but for smaller pictures.

        Raises:
            ValueError: with the weight, how much of it are pictures, the budget and the advice.
        """
        if not publishing() or (weight := self.weight()) <= budget:
            return
        found = "".join(re.findall(r"data:image/[^\s\"'<]+", self.to_html()))
        pictures = len(gzip.compress(found.encode()))
        if pictures > weight / 2:
            advice = f"give smaller pictures first; then, {advice}"
        raise ValueError(
            f"the figure weighs {weight:,} bytes compressed, {pictures:,} of them its pictures, more than its "
            f"{budget=:,}: {advice}"
        )

    def _own_traits(self) -> set[str]:
        theirs = set(anywidget.AnyWidget.class_trait_names(sync=True))
        return {
            name
            for name in self.trait_names(sync=True)
            if name not in theirs and not name.startswith("_")
        }


def _stays(declared: object) -> bool:
    if not isinstance(declared, traitlets.TraitType):
        return False
    return bool(declared.metadata.get("sync")) and not declared.metadata.get("changes")


def _refuse(figure: LivingFigure, proposal):
    """What a figure is made of stays: scripts read it once, and a page would differ from what they show."""
    if figure._made:
        name = proposal["trait"].name
        raise ValueError(
            f"{name} is what the figure was made of, and stays; make another figure"
        )
    return proposal["value"]


def publishing() -> bool:
    """Whether the book is being built."""
    return PUBLISHING in os.environ


def require_alt(alt: str) -> None:
    """While the book is built, refuse a description that describes nothing.

    Raises:
        ValueError: fewer than four words.
    """
    if publishing() and len(alt.split()) < 4:
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


def _own_file(figure: type[LivingFigure], kind: str, stem: str = "") -> str:
    folder = Path(sys.modules[figure.__module__].__file__ or "").parent
    return (folder / f"{stem or figure.name}.{kind}").read_text(encoding="utf-8")


def _styles(figure: type[LivingFigure]) -> list[str]:
    folder = Path(sys.modules[figure.__module__].__file__ or "").parent
    styled = [part for part in figure.parts if (folder / f"{part}.css").is_file()]
    return [_own_file(figure, "css", stem) for stem in (*styled, figure.name)]


def _script(figure: type[LivingFigure]) -> str:
    """Its parts first, so near to another figure's that a packer sees that they are the same; then what its class declares."""
    given = {**figure.constants, "PHRASES": figure.phrases}
    declared = (f"const {name} = {json.dumps(value)};\n" for name, value in given.items())
    parts = (_own_file(figure, "js", stem) for stem in figure.parts)
    return "".join(parts) + "".join(declared) + _own_file(figure, "js", figure.name)


def page_script(figures: Sequence[type[LivingFigure]] = FIGURES) -> str:
    """Figures as one classic script: browsers refuse modules to pages opened from the file system."""
    defined = "".join(
        f'define("{figure.tag}", (() => {{\n{_module_body(figure)}}})());\n'
        for figure in figures
    )
    return f"(() => {{\n{_file('common.js')}\n{_file('page.js')}\n{defined}}})();\n"


def _module_body(figure: type[LivingFigure]) -> str:
    source = _script(figure)
    if source.count("export default ") != 1:
        raise ValueError(f"{figure.name}.js wants exactly one 'export default'")
    return source.replace("export default ", "return ")


def page_style(figures: Sequence[type[LivingFigure]] = FIGURES) -> str:
    """The style of figures, without their colours: see `theme_css`."""
    styles = (style for figure in figures for style in _styles(figure))
    return _file("common.css") + "".join(dict.fromkeys(styles))  # shared parts once
