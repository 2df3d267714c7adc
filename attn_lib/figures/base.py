"""What every living figure is: one widget, one script, and a picture for where neither runs."""

import base64
import io
import json
from pathlib import Path

import anywidget
import traitlets
from PIL import Image

from .static import require_alt

HERE = Path(__file__).parent


class LivingFigure(anywidget.AnyWidget):
    """A figure that responds to the reader with a kernel (Jupyter, Colab) and without (the published book).

    A subclass names its `tag`, sets `_esm` and `_css` to its files, declares synced traits, and writes
    `still()`. Its script is an ES module, `export default { render({ model, el }) }`. Jupyter runs it with
    the widget's model; on a page the custom element `tag` runs it with a model read from the page.
    """

    tag: str
    alt = traitlets.Unicode().tag(sync=True)

    @traitlets.validate("alt")
    def _check_alt(self, proposal):
        require_alt(proposal["value"])
        return proposal["value"]

    def still(self) -> str:
        """The figure before anyone touches it, as HTML: pictures with words, laid out like the living one."""
        raise NotImplementedError

    def _repr_mimebundle_(self, **kwargs):
        bundle, metadata = super()._repr_mimebundle_(**kwargs)  # type: ignore[misc]
        return bundle | {"text/html": self.to_html(), "text/plain": self.alt}, metadata

    def to_html(self) -> str:
        """The figure for a page: the same figure gives the same bytes."""
        data = {name: _encode(getattr(self, name)) for name in sorted(self._own_traits())}
        # "<" could end the script element early.
        payload = json.dumps(data, separators=(",", ":"), sort_keys=True).replace(
            "<", "\\u003c"
        )
        return (
            f'<{self.tag} class="attn-figure">{self.still()}'
            f'<script type="application/json">{payload}</script></{self.tag}>'
        )

    def _own_traits(self) -> set[str]:
        theirs = set(anywidget.AnyWidget.class_trait_names(sync=True))
        return {
            name
            for name in self.trait_names(sync=True)
            if name not in theirs and not name.startswith("_")
        }


def to_data_url(image: Image.Image) -> str:
    """A picture as a URL that carries it, lossless."""
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", lossless=True, method=6)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def _encode(value):
    return {"base64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def page_script() -> str:
    """All figures as one classic script: browsers refuse modules to pages opened from the file system."""
    figures = "".join(
        f'define("{figure.tag}", (() => {{\n{_module_body(figure)}}})());\n'
        for figure in LivingFigure.__subclasses__()
    )
    return f"(() => {{\n{(HERE / 'page.js').read_text()}\n{figures}}})();\n"


def _module_body(figure: type[LivingFigure]) -> str:
    source = str(figure._esm)
    if source.count("export default ") != 1:
        raise ValueError(f"the script of {figure.__name__} wants exactly one 'export default'")
    return source.replace("export default ", "return ")


def page_style() -> str:
    """The style of all figures."""
    return "".join(str(figure._css) for figure in LivingFigure.__subclasses__())
