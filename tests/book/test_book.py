"""The book's sources and its built pages, read as text."""

import ast
import functools
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
from address import PLACEHOLDER
from places import BUILT, ROOT

from attn_lib.figures import QUANTITIES

NOTEBOOKS = sorted((ROOT / "book").glob("*/*.ipynb"))
PAGES = sorted(page for page in BUILT.rglob("*.html") if "_static" not in page.parts)

CHAPTERS = [path for path in NOTEBOOKS if path.parent.name != "appendix"]
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
every_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
every_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)


def cells(path: Path, kind: str) -> list:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind]


def outputs(path: Path) -> list[str]:
    found = []
    for cell in cells(path, "code"):
        for output in cell.outputs:
            found.append(output.text if "text" in output else output.data["text/plain"])
    return found


def test_there_are_notebooks_and_each_is_built():
    assert NOTEBOOKS
    for path in NOTEBOOKS:
        assert BUILT / path.relative_to(ROOT / "book").with_suffix(".html") in PAGES


@every_notebook
def test_the_first_cell_fetches_the_library_where_it_is_missing_and_is_folded(path):
    first = cells(path, "code")[0]
    assert "except ModuleNotFoundError" in first.source
    assert f'%pip install -q "attn-lib[all] @ git+{PLACEHOLDER}"' in first.source
    assert first.metadata["jupyter"] == {"source_hidden": True}
    assert first.metadata["cellView"] == "form" and "remove-cell" in first.metadata["tags"]


@every_notebook
def test_code_cells_are_short(path):
    lengths = {cell.id: len(cell.source.splitlines()) for cell in cells(path, "code")}
    assert max(lengths.values()) <= 35, lengths


def statements(cell) -> list[ast.stmt]:
    return ast.parse(re.sub(r"^\s*%.*", "    pass", cell.source, flags=re.MULTILINE)).body


@every_notebook
def test_a_figure_is_the_last_word_of_its_cell(path):
    """What makes a figure and is not the last expression shows nothing."""
    for cell in cells(path, "code"):
        for statement in statements(cell)[:-1]:
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
                called = ast.unparse(statement.value.func)
                assert not re.search(r"^explore$|(Explorer|Tracer)$", called), cell.id


@every_notebook
def test_what_checks_a_sentence_leaves_no_empty_fold(path):
    for cell in cells(path, "code"):
        *_, last = statements(cell)
        while isinstance(last, ast.For):
            *_, last = last.body
        if isinstance(last, ast.Assert) and not cell.outputs:
            assert "remove-cell" in cell.metadata.get("tags", []), cell.id


@every_notebook
def test_text_reads_well_outside_the_book(path):
    for cell in cells(path, "markdown"):
        assert not re.search(r"^(:::|```\{)|\{[a-z:]+\}`", cell.source, re.MULTILINE), (
            cell.source
        )


@every_notebook
def test_stored_outputs_are_text(path):
    for cell in cells(path, "code"):
        for output in cell.outputs:
            assert output.output_type != "error", output
            assert set(output.get("data", {})) <= {"text/plain", "text/markdown"}


@every_chapter
def test_each_of_three_exercises_refuses_its_stub_and_takes_its_solution(path):
    # `grade` printed these, and nbval holds them to be what running the notebook prints.
    graded = [text.strip() for text in outputs(path) if re.match(r"Not yet: |Passes\.", text)]
    assert len(graded) >= 6 and len(graded) % 2 == 0
    assert all(text.startswith("Not yet: ") for text in graded[::2]), graded
    assert set(graded[1::2]) == {"Passes."}, graded


@every_chapter
def test_a_chapter_asks_to_predict_to_implement_and_to_find_a_bug(path):
    text = "\n".join(cell.source for cell in cells(path, "markdown"))
    kinds = re.findall(r"^\*\*\d\. (.*?)\.\*\*", text, re.MULTILINE)
    assert 3 <= len(kinds) <= 5
    assert {"Predict, then look", "Implement", "Spot the bug"} <= set(kinds), kinds


@every_chapter
def test_what_teaches_is_open_and_the_rest_is_folded(path):
    for cell in cells(path, "code")[1:]:
        tags = set(cell.metadata.get("tags", []))
        folds = {"hide-cell", "hide-input", "remove-cell"} & tags
        if "grade(" in cell.source or "remove-cell" in tags:
            # Where a reader runs them, checks, of answers and of sentences, and solutions are folded as well.
            assert folds and cell.metadata["cellView"] == "form", cell.source
            assert cell.metadata["jupyter"] == {"source_hidden": True}, cell.source
        drawn = re.search(r"\b(show|show_images|explore|\w+(Explorer|Tracer))\(", cell.source)
        assert folds or (not drawn and len(cell.source.splitlines()) <= 24), cell.source


@every_notebook
def test_equations_use_the_quantities_colours_only(path):
    known = {light for light, _ in QUANTITIES.values()}
    for cell in cells(path, "markdown"):
        assert set(re.findall(r"\\color\{(#\w+)\}", cell.source)) <= known


class References(HTMLParser):
    """What a page asks for (`loads`), where it leads (`links`), and its anchors."""

    def __init__(self, page: Path):
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.images_without_words = 0
        self.feed(page.read_text())

    def handle_starttag(self, tag: str, attrs: list) -> None:
        given = dict(attrs)
        self.anchors.add(given.get("id"))
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag == "link" and given.get("rel") in (
            "stylesheet",
            "preload",
            "icon",
            "shortcut icon",
        ):
            self.loads.append(given["href"])
        elif tag in ("script", "img", "iframe", "source") and "src" in given:
            self.loads.append(given["src"])
        if tag == "img" and not re.match(r"\w[^.]* \w", given.get("alt", "")):
            self.images_without_words += 1


@functools.cache
def references(page: Path) -> References:
    return References(page)


@every_page
def test_a_page_shows_no_error(path):
    text = path.read_text()
    assert not re.search(r"Traceback \(most recent|<span class=\"gt\">|\b[A-Z]\w+Error:", text)


@every_page
def test_a_page_asks_nobody_else_and_for_nothing_that_is_not_there(path):
    for url in references(path).loads:
        if url.startswith("data:"):
            continue
        assert not urlsplit(url).scheme and not url.startswith("//"), url
        assert (path.parent / unquote(urlsplit(url).path)).is_file(), url


@every_page
def test_a_page_says_what_it_is_about(path):
    found = re.findall(r'<meta name="description" content="(.*?)">', path.read_text())
    assert [25 < len(words) < 200 for words in found] == [True] or path.stem in (
        "search",
        "genindex",
    ), found


@every_page
def test_every_image_has_words(path):
    assert references(path).images_without_words == 0


@every_page
def test_every_internal_link_leads_somewhere(path):
    for link in references(path).links:
        parts = urlsplit(link)
        if parts.scheme or not link:
            continue
        target = path if not parts.path else (path.parent / unquote(parts.path)).resolve()
        assert target.is_file(), f"{path.name} links to {link}"
        if parts.fragment and target.suffix == ".html":
            assert unquote(parts.fragment) in references(target).anchors, (
                f"{path.name} links to {link}"
            )


@every_page
def test_no_page_carries_widget_state_or_a_widget_manager(path):
    assert not re.search(
        r"jupyter\.widget|require(\.min)?\.js|html-manager|thebe-lite", path.read_text()
    )
