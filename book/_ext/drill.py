"""Notebooks as strangers run them: each from top to bottom in an empty folder, the library as pip installed it.

    python book/_ext/drill.py book/spatial/*.ipynb

Then each figure is asked for what a reader would do to it: every choice is made anew, as a front end does.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

EXERCISE = """
import gc
from attn_lib.figures import LivingFigure

import attn_lib
assert "site-packages" in attn_lib.__file__, attn_lib.__file__
figures = [each for each in gc.get_objects() if isinstance(each, LivingFigure)]
told = 0
for figure in figures:
    seen = []
    figure.observe(seen.append)
    for name, value in figure.get_state().items():
        trait = figure.traits().get(name)
        if trait is None or not trait.metadata.get("changes"):
            continue
        if name == "choice":
            other = dict(zip(figure.names, (values[-1] for values in figure.offered)))
        elif isinstance(value, bool):
            other = not value
        elif isinstance(value, int):
            other = value - 1 if value else 1
        else:
            continue
        try:
            figure.set_state({name: other})
        except ValueError:  # there is but one
            other = value
        assert getattr(figure, name) == other, (figure, name)
    figure._repr_mimebundle_()
    told += len(seen)
print(f"{len(figures)} figures, {told} choices")
"""


def run(path: Path) -> str:
    """What the last cell says once all others have run without an error."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(EXERCISE))
    with tempfile.TemporaryDirectory() as empty:
        NotebookClient(notebook, timeout=900, resources={"metadata": {"path": empty}}).execute()
    return notebook.cells[-1].outputs[-1].text.strip()


def main() -> None:
    os.environ.pop("PYTHONPATH", None)
    for name in sys.argv[1:]:
        begun = time.monotonic()
        print(
            f"{Path(name).stem:28} {run(Path(name))}, {time.monotonic() - begun:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
