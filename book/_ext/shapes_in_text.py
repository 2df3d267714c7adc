"""A shape such as (b, branches, c) is one word: no line breaks within it."""

import re

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

# Two to five sizes or names in parentheses or brackets: (b, c, h, w), (2b, n), [avg; max].
SHAPE = re.compile(r"[(\[]\w[\w·×²/+−-]{0,9}(?:[,;] [\w·×²/+−-]{1,10}){1,4}[)\]]")


def setup(app: Sphinx) -> dict:
    app.add_post_transform(ShapesWhole)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


class ShapesWhole(SphinxPostTransform):
    """In prose no-break spaces hold a shape together; in code, which one copies, a style does."""

    default_priority = 900
    formats = ("html",)

    def run(self, **kwargs) -> None:
        for text in [*self.document.findall(nodes.Text)]:
            if isinstance(text.parent, nodes.literal):
                if SHAPE.fullmatch(text):
                    text.parent["classes"].append("attn-shape")
            elif not isinstance(text.parent, nodes.FixedTextElement | nodes.math | nodes.raw):
                if (
                    whole := SHAPE.sub(lambda shape: shape[0].replace(" ", "\xa0"), text)
                ) != text:
                    text.parent.replace(text, nodes.Text(whole))
