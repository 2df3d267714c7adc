"""Run notebooks and store the outputs that tests compare: text alone. Pictures come back when the book is built.

python book/_ext/store_outputs.py book/spatial/self_attention.ipynb
"""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

TEXT = ("text/plain", "text/markdown")


def store(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook,
        timeout=600,
        resources={"metadata": {"path": str(path.parent)}},
    ).execute()
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"]}
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", []):
            if "data" in output:
                output["data"] = {
                    kind: value for kind, value in output["data"].items() if kind in TEXT
                }
                output["metadata"] = {}
    nbformat.write(notebook, path)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        store(Path(name))
