"""Tables that one can sort and filter: those of cells tagged `sortable`. Without a script they are tables.

The script stands here, not in _static: from there Jupyter Book would link it itself, and not deferred.
"""

import shutil
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx

SCRIPT = Path(__file__).with_name("sortable.js")


def setup(app: Sphinx) -> dict:
    app.connect("builder-inited", write_script)
    app.connect("html-page-context", link_script)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def write_script(app: Sphinx) -> None:
    static = Path(app.outdir) / "_static"
    static.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(SCRIPT, static / SCRIPT.name)


def link_script(app: Sphinx, page: str, template: str, context: dict, doctree) -> None:
    cells = doctree.findall(nodes.container) if doctree else ()
    if any("tag_sortable" in cell["classes"] for cell in cells):
        app.add_js_file(SCRIPT.name, loading_method="defer")
