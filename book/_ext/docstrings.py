"""Docstrings as pages: written in Markdown, as notebooks are, and read by Sphinx as reStructuredText."""

import re

from sphinx.application import Sphinx
from sphinx.util import inspect

import attn_lib
from references import keys_by_title

SECTION = re.compile(r"(Args|Attributes|Raises):\n")
GIVEN = re.compile(r"(Returns|Yields):\n")
LABEL = re.compile(r"(Shapes|Source): ")
FIELD = re.compile(r"( +[\w, ]+: )(.*)", re.DOTALL)
# In this order: code, equation, a title in quotes, what reStructuredText would take for its own.
SPAN = re.compile(r'`([^`]+)`|\$([^$]+)\$|"([^"`$]+)"|([*|\\]|_\b)')
METHODS = ("attention", "reweight", "forward")


def setup(app: Sphinx) -> dict:
    app.setup_extension("sphinx.ext.autodoc")
    app.setup_extension("sphinx.ext.napoleon")
    # Before napoleon.
    app.connect("autodoc-process-docstring", process, priority=400)
    app.connect("autodoc-process-signature", process_signature)
    app.connect("autodoc-skip-member", skip)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def process(app: Sphinx, what, name, obj, options, lines: list[str]) -> None:
    # A module's own text is laid out for those who read its file: the page takes its first line.
    wanted = lines[:1] if what == "module" else lines
    lines[:] = to_rst("\n".join(wanted)).split("\n")


def process_signature(app: Sphinx, what, name, obj, options, signature, returns):
    """Of a class, how it is made: a widget's inherited `__new__` would hide that."""
    if what != "class" or "__init__" not in vars(obj):
        return None
    own = inspect.signature(obj.__init__, bound_method=True)
    return inspect.stringify_signature(
        own, show_return_annotation=False, unqualified_typehints=True
    ), None


def skip(app: Sphinx, what, name: str, obj, skipped: bool, options) -> bool | None:
    """The methods that every mechanism has need no words: their signatures say it."""
    return False if name in METHODS else None


def to_rst(docstring: str) -> str:
    blocks = re.split(r"\n\s*\n", docstring.strip("\n"))
    return "\n\n".join(_block(block) for block in blocks if block)


def _block(block: str) -> str:
    # What a function gives: napoleon would take what stands before a colon for a type.
    if given := GIVEN.match(block):
        text = " ".join(block[given.end() :].split())
        return f":{given[1].lower()}: {_inline(text)}"
    if SECTION.match(block):
        head, *fields = re.split(r"\n(?= {4}\S)", block)
        return "\n".join([head, *map(_field, fields)])
    if all(line.startswith("    ") for line in block.splitlines()):
        return f".. code-block:: python\n\n{block}"
    if label := LABEL.match(block):
        return f"**{label[1]}:** {_inline(block[label.end() :])}"
    text, *rest = re.split(r"\$\$(.+?)\$\$", block, flags=re.DOTALL)
    parts = [_inline(text)]
    for equation, text in zip(rest[::2], rest[1::2], strict=True):
        one_line = " ".join(equation.split())
        parts += [f".. math:: {one_line}", _inline(text.strip("\n"))]
    return "\n\n".join(filter(str.strip, parts))


def _field(field: str) -> str:
    named = FIELD.fullmatch(field)
    return named[1] + _inline(named[2]) if named else _inline(field)


def _inline(text: str) -> str:
    return SPAN.sub(_span, text)


def _span(found: re.Match) -> str:
    code, equation, quoted, special = found.groups()
    of_others = found.string[: found.start()].endswith("'s ")
    if code in attn_lib.__all__ and not of_others:
        return f":py:obj:`~attn_lib.{code}`"
    if code:
        return f"``{code}``"
    if equation:
        return f":math:`{' '.join(equation.split())}`"
    if special:
        return f"\\{special}"
    title = " ".join(quoted.split())
    key = keys_by_title().get(title)
    return f':paper:`"{title}" <{key}>`' if key else found[0]
