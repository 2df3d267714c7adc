"""What the published book does beyond Jupyter Book.

Figures outlive the kernel, and a page asks for nothing that it does not use.
"""

import os
import re
import shutil
import textwrap
from html import escape
from pathlib import Path

from docutils import nodes
from myst_nb.sphinx_ import (
    HideCodeCellNode,
    HideInputCells,
    depart_HideCellInput,
    visit_HideCellInput,
)
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

from attn_lib.figures import page_script, page_style, theme_css
from attn_lib.figures.base import PUBLISHING

BOOK = Path(__file__).parent.parent
# They stand here, not in _static: from there Jupyter Book would link them itself, and not deferred.
SCRIPTS = ("controls.js", "paper.js")


def setup(app: Sphinx) -> dict:
    os.environ[PUBLISHING] = (
        "1"  # to the kernels that run notebooks: figures are held to weight and words
    )
    app.setup_extension("myst_nb")  # before what is overridden of it
    app.setup_extension("references")
    app.setup_extension("address")
    app.setup_extension("cited")
    app.setup_extension("docstrings")
    app.setup_extension("equations")
    app.setup_extension("freshness")
    app.setup_extension("index_terms")
    app.setup_extension("lighter")
    app.setup_extension("progress")
    app.setup_extension("shapes_in_text")
    app.setup_extension("sortable")
    app.config.templates_path.append(str(BOOK / "_templates"))
    app.add_node(nodes.table, override=True, html=(visit_table, None))
    app.add_node(
        addnodes.desc_parameterlist,
        override=True,
        html=(visit_parameters, depart_parameters),
    )
    app.add_node(
        HideCodeCellNode,
        override=True,
        html=(visit_hidden_cell, depart_HideCellInput),
    )
    app.add_post_transform(FoldedCodeLast)
    app.connect("builder-inited", write_figures)
    app.connect("html-page-context", describe)
    app.connect("html-page-context", drop_scripts, priority=900)
    app.add_css_file("attn-figures.css")
    app.add_js_file("attn-figures.js", loading_method="defer")
    for name in SCRIPTS:
        app.add_js_file(name, loading_method="defer")
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def visit_table(self, node: nodes.table) -> None:
    # Likewise for a table: the theme lets it scroll, but not by keyboard.
    start = len(self.body)
    type(self).visit_table(self, node)
    box = 'class="pst-scrollable-table-container"'
    focusable = f'{box} tabindex="0" role="group" aria-label="Table"'
    self.body[start:] = [part.replace(box, focusable) for part in self.body[start:]]


def visit_parameters(self, node: addnodes.desc_parameterlist) -> None:
    node["start"] = len(self.body)
    type(self).visit_desc_parameterlist(self, node)


def depart_parameters(self, node: addnodes.desc_parameterlist) -> None:
    # Sphinx lays a long signature out as a list of definitions without terms, which is none.
    type(self).depart_desc_parameterlist(self, node)
    for old, new in {"dl": "ul", "dd": "li"}.items():
        self.body[node["start"] :] = [
            re.sub(rf"^(</?){old}\b", rf"\1{new}", part) for part in self.body[node["start"] :]
        ]


class FoldedCodeLast(SphinxPostTransform):
    """Put folded code below what it shows: the picture follows the text, the code is its footnote."""

    default_priority = HideInputCells.default_priority + 1
    formats = ("html",)

    def run(self, **kwargs) -> None:
        for cell in self.document.findall(nodes.container):
            if cell.get("hide_mode") == "input":
                cell.append(cell.pop(0))


def visit_hidden_cell(self, node: HideCodeCellNode) -> None:
    # What one sees ("Show the solution") is also what one may say to open it.
    changes = {
        ' aria-label="Toggle hidden content"': "",
        "the content<": "the solution<",
        "the source<": "the code<",
    }
    start = len(self.body)
    visit_HideCellInput(self, node)
    for old, new in changes.items():
        self.body[start:] = [part.replace(old, new) for part in self.body[start:]]


def write_figures(app: Sphinx) -> None:
    static = Path(app.outdir) / "_static"
    static.mkdir(parents=True, exist_ok=True)
    (static / "attn-figures.js").write_text(page_script(), encoding="utf-8")
    for name in SCRIPTS:
        shutil.copyfile(Path(__file__).with_name(name), static / name)
    (static / "attn-figures.css").write_text(theme_css() + page_style(), encoding="utf-8")


def describe(app, page, template, context: dict, doctree) -> None:
    """Tell search engines what a page is about: its first paragraph, cut to the length that they show."""
    first = doctree and next(doctree.findall(nodes.paragraph), None)
    if first:
        words = escape(textwrap.shorten(first.astext(), 155, placeholder=" …"))
        context["metatags"] += f'\n<meta name="description" content="{words}">'


def drop_scripts(app, page, template, context: dict, doctree) -> None:
    """Leave out what no page uses: Thebe (needs a server), the state of widgets, toggle buttons, design."""

    def wanted(script) -> bool:
        body = script.attributes.get("body") or ""
        is_state = script.attributes.get("type") == "application/vnd.jupyter.widget-state+json"
        name = f"{script.filename} {body}".lower()
        return (
            not is_state
            and "thebe" not in name
            and "toggle" not in name
            and "design" not in name
        )

    for kind in ("script_files", "css_files"):
        context[kind] = [script for script in context.get(kind, []) if wanted(script)]
