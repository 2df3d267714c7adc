"""Notebooks as they are kept: run, with text alone as output. Pictures come back when the book is built.

python book/_ext/store_outputs.py book/spatial/self_attention.ipynb
python book/_ext/store_outputs.py --clean book/spatial/self_attention.ipynb  # not run, only cleaned
"""

import argparse
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

TEXT = ("text/plain", "text/markdown")
KERNEL = {
    "display_name": "Python 3",
    "language": "python",
    "name": "python3",
}
# What says how a cell is shown; all else is of the editor, or of one run.
SHOWN = ("cellView", "jupyter", "tags")


def clean(notebook: NotebookNode) -> NotebookNode:
    """Leave, in place, what readers see and tests compare."""
    notebook.metadata = NotebookNode(kernelspec=NotebookNode(KERNEL))
    for cell in notebook.cells:
        cell.metadata = _only(SHOWN, cell.metadata)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for count, cell in enumerate(code, 1):
        cell.execution_count = count
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = count
            if "data" in output:
                output.data = _only(TEXT, output.data)
                output.metadata = NotebookNode()
    return notebook


def _only(names: tuple[str, ...], given: NotebookNode) -> NotebookNode:
    return NotebookNode({k: v for k, v in given.items() if k in names})


def run(notebook: NotebookNode, folder: Path) -> None:
    resources = {"metadata": {"path": str(folder)}}
    # One stream a cell, however often it was flushed.
    NotebookClient(notebook, timeout=600, resources=resources, coalesce_streams=True).execute()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("notebooks", nargs="+", type=Path)
    parser.add_argument("--clean", action="store_true", help="do not run them")
    given = parser.parse_args()
    for path in given.notebooks:
        notebook = nbformat.read(path, as_version=4)
        if not given.clean:
            run(notebook, path.parent)
        nbformat.write(clean(notebook), path)
