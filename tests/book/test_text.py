"""What the pages say: every name, symbol, reference and term in them stands for something."""

import ast
import builtins
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import nbformat
import pytest
from docstrings import to_rst
from places import BOOK, BUILT, ROOT, TESTS
from references import entries, is_further_reading, title_of
from test_book import CHAPTERS, NOTEBOOKS, cells
from torch import nn

import attn_lib
import attn_lib.figures

TEXTS = [*NOTEBOOKS, *sorted(BOOK.rglob("*.md")), *sorted(ROOT.glob("*.md"))]
MODULES = [
    importlib.import_module(found.name)
    for found in pkgutil.walk_packages(attn_lib.__path__, "attn_lib.")
]
CITATION = re.compile(r'\["([^"]+)"\]\([\w./]*references\.md#([\w-]+)\)')

every_text = pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)


def prose(path: Path) -> str:
    """A page's Markdown without its code."""
    if path.suffix == ".ipynb":
        return "\n\n".join(cell.source for cell in cells(path, "markdown"))
    return re.sub(r"^```.*?^```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)


def code(path: Path) -> str:
    """A page's Python."""
    if path.suffix == ".ipynb":
        listings = [cell.source for cell in cells(path, "code")]
    else:
        fence = r"^```(?:python|\{code-cell\} ipython3)\n(?::tags:[^\n]*\n)?(.*?)^```"
        listings = re.findall(fence, path.read_text(), re.DOTALL | re.MULTILINE)
    return re.sub(r"^\s*%.*", "    pass", "\n".join(listings), flags=re.MULTILINE)


def chapters_with(heading: str) -> pytest.MarkDecorator:
    found = [path for path in CHAPTERS if f"## {heading}\n" in prose(path)]
    return pytest.mark.parametrize("path", found, ids=lambda path: path.stem)


def words(text: str) -> set[str]:
    return set(re.findall(r"[^\W\d]\w*", text))


def library_names() -> Iterator[str]:
    for module in MODULES:
        yield from (module.__name__.split(".")[-1], *vars(module))
        for thing in vars(module).values():
            if (getattr(thing, "__module__", None) or "").startswith("attn_lib"):
                yield from getattr(thing, "__dict__", ())
                yield from inspect.signature(thing).parameters if callable(thing) else ()


KNOWN = {"attn_lib", *attn_lib.available(), *library_names(), *vars(nn), *vars(builtins)}
# What the errata quote of the notes.
NOTES = {"Self_Attn_bchw", "Self_Attn_channel", "Self_Attn_spatial"} | {
    "expand_as",
    "in_dim",
    "inner_dim",
    "max_pool2d",
    "one_hot_labels",
    "out_channel",
    "out_channels",
    "pool_types",
}


# What other libraries call theirs, where the API pages say how one meets the other.
OTHERS = {"need_weights", "fuse_modules", "r3d_18", "SyncBatchNorm", "DeepViT", "DataParallel"}


@every_text
def test_every_name_that_a_page_mentions_exists(path):
    known = KNOWN | words(code(path))
    if path.stem.startswith("api_"):
        known |= OTHERS
    if path.stem == "errata":
        known |= NOTES
    if path.stem == "CONTRIBUTING":  # it names the tests' tables too
        known |= words("".join(test.read_text() for test in TESTS.rglob("*.py")))
    for span in re.findall(r"`([^`\n]+)`", prose(path)):
        if re.search(r"[/ ]|\.(py|yml|json|ipynb|md)$", span) and "(" not in span:
            continue  # a path or a command
        telling = {name for name in words(span) if "_" in name or name != name.lower()}
        lonely = {name for name in telling if len(name) == 1}
        assert telling - lonely <= known, f"`{span}`: nothing is called {telling - known}"
        if span.startswith("attn_lib."):
            assert pkgutil.resolve_name(span) is not None


@every_text
def test_every_import_from_the_library_works(path):
    for node in ast.walk(ast.parse(code(path))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("attn_lib"):
            module = importlib.import_module(node.module)
            assert all(hasattr(module, alias.name) for alias in node.names), ast.unparse(node)


def shown(path: Path) -> str:
    """A page's code, and the library's source that it shows."""
    own = code(path)
    calls = re.findall(r"^show_source\((.*?)\)$", own, re.DOTALL | re.MULTILINE)
    names = [name for call in calls for name in re.findall(r"[\w.]+", call)]
    return own + "".join(
        inspect.getsource(pkgutil.resolve_name(f"attn_lib:{name}")) for name in names
    )


@chapters_with("The equation")
def test_every_row_of_the_symbol_table_names_a_variable_of_the_code_on_the_page(path):
    section = prose(path).split("## The equation\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| *(.+?) *\| *(.+?) *\|.*\|$", section, re.MULTILINE)
    start = rows.index(("symbol", "in the code"))
    names = [code for _, code in rows[start + 2 :] if code == "the result" or "`" in code]
    assert len(names) >= 4 and len(names) == len(rows) - start - 2, rows
    found = words(shown(path))
    for name in (word for cell in names for word in re.findall(r"`([^`]+)`", cell)):
        assert words(name) <= found, f"{name} is in no code on the page"


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_takes_as_long_to_read_as_it_says(path):
    """200 words a minute, half a minute for a living figure, a second for a line of open code; no exercises."""
    cells = nbformat.read(path, as_version=4).cells
    [end] = [i for i, cell in enumerate(cells) if "\n## Exercises\n" in f"\n{cell.source}"]
    text = "\n\n".join(cell.source for cell in cells[: end + 1] if cell.cell_type == "markdown")
    promised = int(re.search(r"\*(\d+) minutes to read", text)[1])
    text = text.split("## Exercises")[0]
    text = re.sub(
        r"\$\$.*?\$\$|^\|[^\n]*$|\]\([^)]*\)", "", text, flags=re.DOTALL | re.MULTILINE
    )
    code = [cell for cell in cells[:end] if cell.cell_type == "code"]
    figures = sum(bool(re.search(r"(Explorer|Tracer|explore)\(", cell.source)) for cell in code)
    lines = sum(len(c.source.splitlines()) for c in code if not c.metadata.get("tags"))
    minutes = len(text.split()) / 200 + figures / 2 + lines / 60
    assert minutes <= promised <= min(15, minutes + 2), minutes


def test_the_cover_counts_its_mechanisms_its_chapters_and_their_minutes():
    (first,) = re.findall(r"^\*\*A tutorial.*$", prose(BOOK / "index.md"), re.MULTILINE)
    assert "nine attention mechanisms" in first and len(re.findall(r"\]\(", first)) == 9 + 2
    assert "Fourteen chapters of five to fifteen minutes, two and a half hours in all" in first
    minutes = [int(re.search(r"\*(\d+) minutes to read", prose(path))[1]) for path in CHAPTERS]
    assert (len(minutes), min(minutes), max(minutes)) == (14, 5, 15)
    assert round(sum(minutes) / 30) == 5


@every_text
def test_every_link_to_a_file_of_the_book_finds_it(path):
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)[^)]*\)", prose(path))
    assert all((path.parent / link).is_file() for link in links), links


@every_text
def test_every_citation_names_the_paper_that_it_leads_to(path):
    text = prose(path)
    citations = CITATION.findall(text)
    if path.stem != "index":  # the cover leads to the list itself
        assert "references.md)" not in text, "say which paper: references.md#key"
    assert len(citations) == text.count("references.md#"), (
        'cite as ["title"](…references.md#key)'
    )
    for title, key in citations:
        assert key in entries(), f"references.bib has no {key}"
        assert title == title_of(entries()[key])


@chapters_with("Sources")
def test_a_paper_among_the_sources_is_cited_by_a_link(path):
    sources = prose(path).split("## Sources")[1]
    linked = {title for title, _ in CITATION.findall(sources)}
    titles = {title_of(entry) for entry in entries().values()}
    assert set(re.findall(r'"([^"]+)"', sources)) & titles <= linked


@pytest.mark.parametrize("key", sorted(entries()))
def test_every_paper_is_cited_or_else_marked_as_further_reading(key):
    page = (BUILT / "appendix" / "references.html").read_text()
    (item,) = re.findall(rf'<li id="{key}">(.*?)</li>', page, re.DOTALL)
    cited = "Cited in" in item
    assert cited != ("Further reading." in item)
    assert cited != is_further_reading(entries()[key]), (
        "mark it in references.bib, keywords = {further reading}, exactly if no page cites it"
    )


@pytest.mark.parametrize("name", attn_lib.__all__)
def test_a_docstring_s_source_leads_to_a_paper(name):
    source = (inspect.getdoc(getattr(attn_lib, name)) or "").partition("Source: ")[2]
    assert not source or source.startswith("no paper") or ":paper:" in to_rst(source)


API = "".join(
    re.findall(r"<article.*?</article>", page.read_text(), re.DOTALL)[0]
    for page in sorted((BUILT / "appendix").glob("api_*.html"))
)


def documented() -> Iterator[str]:
    for package in (attn_lib, attn_lib.figures):
        yield from package.__all__
    lab = (
        "checkpoint", "comparison", "exercises", "networks", "processes", "sanity", "statistics", "training",
    )  # fmt: skip
    for name in (
        "data",
        "instruments.localisation",
        *(f"lab.{room}" for room in (*lab, "zoo")),
    ):
        module = importlib.import_module(f"attn_lib.{name}")
        for word, thing in vars(module).items():
            own = getattr(thing, "__module__", None) == module.__name__
            if own and not word.startswith("_") and word != "main":
                yield word


@pytest.mark.parametrize("name", sorted(set(documented())))
def test_the_api_pages_have_every_public_name(name):
    assert re.search(rf'id="attn_lib\.([\w.]+\.)?{name}"', API)


def test_docstrings_are_translated_whole():
    text = re.sub(r"<math.*?</math>|<[^>]*>", "", API, flags=re.DOTALL)
    for raw in ("$", "`", ":math:", ":paper:", ":py:obj:", r"\*"):
        assert raw not in text, text[max(0, text.find(raw) - 200) :][:300]
    for shape in ("Float[Tensor, 'b c h w']", "(b, c, *size)"):
        assert shape in text


def glossary() -> dict[str, str]:
    text = (BOOK / "appendix" / "glossary.md").read_text()
    pairs = re.findall(r"^(\S.*)\n  (\S.*)$", text, re.MULTILINE)
    assert len(pairs) == len(dict(pairs)), "a term stands there twice"
    return dict(pairs)


def test_every_term_is_told_in_both_languages_and_where_it_is_used():
    for term, meaning in glossary().items():
        assert re.match(r'<span lang="zh">[^<]*[\u4e00-\u9fff][^<]*</span>', meaning), term
        assert re.search(r"\.\)? → (every chapter|\[.+\]\(.+\))$", meaning), term


def axes() -> set[str]:
    """The names in the shapes of the library's signatures."""
    sources = chain(*(re.findall(r'Tensor, "([^"]*)"', inspect.getsource(m)) for m in MODULES))
    return {name for shape in sources for name in shape.split() if name.isidentifier()}


def test_every_axis_in_a_signature_is_in_the_glossary():
    told = words(" ".join(re.findall(r"`(\w+)`", " ".join(glossary().values()))))
    assert {"b", "c", "h", "w", "n", "heads"} <= axes()
    assert {name.strip("_") for name in axes()} <= told


def test_chinese_is_marked_as_chinese():
    for path in TEXTS:
        unmarked = re.sub(r'<span lang="zh">.*?</span>', "", prose(path))
        assert not re.search("[\u4e00-\u9fff]", unmarked), path.name


def test_the_spelling_is_clean():
    pages = [page.name for page in ROOT.glob("*.md")]
    command = [sys.executable, "-m", "codespell_lib", "book", "attn_lib", *pages]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
