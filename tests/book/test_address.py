"""The repository's address is found, and where there is none, nothing is offered that wants it."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from address import PLACEHOLDER, ROOT, address, filled, pages_address
from colab import bound
from places import BUILT
from test_book import NOTEBOOKS, PAGES, cells


def clone_of(remote: str, folder: Path) -> Path:
    git = ["git", "-C", str(folder)]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "remote", "add", "origin", remote], check=True)
    return folder


@pytest.mark.parametrize(
    "remote",
    [
        "https://github.com/someone/their.book",
        "https://github.com/someone/their.book.git",
        "https://token@github.com/someone/their.book",
        "git@github.com:someone/their.book.git",
        "ssh://git@github.com/someone/their.book.git",
    ],
)
def test_it_is_that_of_the_clone_s_origin(remote: str, tmp_path: Path):
    assert address({}, clone_of(remote, tmp_path)) == "https://github.com/someone/their.book"


def test_the_run_s_own_repository_comes_first(tmp_path: Path):
    clone = clone_of("git@github.com:someone/old.git", tmp_path)
    assert address({"GITHUB_REPOSITORY": "a/b"}, clone) == "https://github.com/a/b"


@pytest.mark.parametrize(
    "remote", ["/a/folder", "https://example.org/a/b", "git@github.com:alone"]
)
def test_elsewhere_there_is_none(remote: str, tmp_path: Path):
    assert address({}, clone_of(remote, tmp_path)) is None


def test_without_a_clone_or_an_origin_there_is_none(tmp_path: Path):
    assert address({}, tmp_path) is None
    subprocess.run(["git", "-C", str(tmp_path), "init", "-q"], check=True)
    assert address({}, tmp_path) is None


def test_pages_lie_where_github_publishes_them():
    assert pages_address("https://github.com/Some/Book") == "https://some.github.io/Book"
    assert pages_address("https://github.com/Some/some.github.io") == "https://some.github.io"


def test_a_page_has_the_address_or_nothing_that_wants_it():
    text = f"before\n<!-- published -->\nclone {PLACEHOLDER}\n<!-- /published -->\nafter\n"
    assert filled(text, None) == "before\nafter\n"
    assert (
        filled(text, "https://github.com/a/b")
        == "before\nclone https://github.com/a/b\nafter\n"
    )


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_no_page_names_a_repository_that_is_not_there(path: Path):
    found = address()
    text = path.read_text(encoding="utf-8")
    assert PLACEHOLDER not in text or found == PLACEHOLDER
    buttons = re.findall(r'href="(https://colab[^"]*|https://github\.com/[^"]*)"', text)
    if found is None:
        assert not [link for link in buttons if "colab" in link or PLACEHOLDER in link]
    elif (ROOT / "book" / path.relative_to(BUILT)).with_suffix(".ipynb").is_file():
        assert any(
            link.startswith("https://colab.research.google.com/github/") for link in buttons
        )


def test_whatever_names_the_placeholder_is_filled_in_or_left_out():
    texts = [*ROOT.glob("*.*"), *ROOT.glob("attn_lib/**/*.py"), *ROOT.glob("book/**/*.md")]
    for path in filter(Path.is_file, texts):
        assert PLACEHOLDER not in filled(path.read_text(encoding="utf-8"), None), path


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_colab_s_notebook_fetches_the_library_of_its_own_commit(path: Path):
    library = "https://some.github.io/Book/library/attn_lib-1-py3-none-any.whl"
    notebook = bound(nbformat.read(path, as_version=4), library)
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    assert f'"attn-lib[all] @ {library}"' in first.source
    assert PLACEHOLDER not in nbformat.writes(notebook)
    assert notebook.metadata["accelerator"] == "GPU"


def test_a_notebook_that_fetches_nothing_is_refused():
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 + 1")])
    with pytest.raises(ValueError, match=r"fetches nothing .*1 \+ 1"):
        bound(notebook, "somewhere")


def test_a_first_cell_that_fetches_nothing_says_so_in_one_sentence(tmp_path: Path):
    """As where there is no network: pip fails, and the cell with it."""
    source = cells(NOTEBOOKS[0], "code")[0].source
    script = re.sub(r"^    %pip.*$", "    pass", source, flags=re.MULTILINE)
    done = subprocess.run(
        [sys.executable, "-S", "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={},
    )
    *_, last = done.stderr.strip().splitlines()
    assert done.returncode and "could not be fetched" in last and "run this cell again" in last
    assert "During handling" not in done.stderr
