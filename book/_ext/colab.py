"""The notebooks as Colab opens them: each installs the library of the commit that it belongs to.

    python book/_ext/colab.py _build/colab

writes them into a folder, for a branch of their own, and that library as a wheel among the pages: a notebook and
its library never drift apart.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import nbformat

from address import PLACEHOLDER, ROOT, address, pages_address

PAGES = ROOT / "_build" / "html"


def wheel(folder: Path) -> str:
    """Build the library into a folder, anew, and give the file's name."""
    shutil.rmtree(folder, ignore_errors=True)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(folder),
        str(ROOT),
    ]
    subprocess.run(command, check=True)
    (built,) = folder.glob("*.whl")
    return built.name


def bound(notebook: nbformat.NotebookNode, library: str) -> nbformat.NotebookNode:
    """A notebook whose first cell fetches the library from an address, to be run on a GPU.

    Raises:
        ValueError: its first cell fetches no library.
    """
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    usual = f"git+{PLACEHOLDER}"
    if usual not in first.source:
        raise ValueError(f"the first cell fetches nothing from {usual}: {first.source!r}")
    first.source = first.source.replace(usual, library)
    notebook.metadata |= {"accelerator": "GPU", "colab": {"gpuType": "T4"}}
    return notebook


def main() -> None:
    if not (found := address()):
        raise SystemExit(
            "no repository on GitHub: neither $GITHUB_REPOSITORY nor a remote `origin` names one"
        )
    folder = Path(sys.argv[1])
    library = f"{pages_address(found)}/library/{wheel(PAGES / 'library')}"
    for path in sorted((ROOT / "book").glob("*/*.ipynb")):
        there = folder / path.relative_to(ROOT)
        there.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(bound(nbformat.read(path, as_version=4), library), there)
    print(f"{folder}: notebooks that install {library}")


if __name__ == "__main__":
    main()
