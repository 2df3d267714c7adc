"""The papers: a link to each, and under each the pages that cite it."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from docutils import nodes
from pybtex.database import Entry, parse_file
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import ReferenceRole

PAGE = "appendix/references"
BIB = Path(__file__).parent.parent / f"{PAGE}.bib"


def setup(app: Sphinx) -> dict:
    app.config.bibtex_bibfiles = [f"{PAGE}.bib"]
    app.config.bibtex_cite_id = "{key}"
    app.setup_extension("sphinxcontrib.bibtex")
    app.add_role("paper", Paper())
    app.connect("env-get-outdated", lambda *_: [PAGE])
    app.connect("doctree-read", name_entries)
    app.connect("doctree-resolved", say_where_cited)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


@cache
def entries() -> dict[str, Entry]:
    return dict(parse_file(BIB).entries)


def title_of(entry: Entry) -> str:
    return re.sub(r"[{}]", "", entry.fields["title"])


def is_further_reading(entry: Entry) -> bool:
    return entry.fields.get("keywords") == "further reading"


@cache
def keys_by_title() -> dict[str, str]:
    """The key of each paper by its title, and by what of it stands before a colon."""
    titles = {title_of(entry): key for key, entry in entries().items()}
    return {title.split(":")[0]: key for title, key in titles.items()} | titles


class Paper(ReferenceRole):
    """:paper:`text <key>`: what ["text"](../appendix/references.md#key) is in Markdown."""

    def run(self):
        link = addnodes.pending_xref(
            refdoc=self.env.docname,
            refdomain="doc",
            reftype="myst",
            reftarget=PAGE,
            reftargetid=self.target,
            refexplicit=True,
        )
        link += nodes.inline(text=self.title)
        return [link], []


def name_entries(app: Sphinx, doctree: nodes.document) -> None:
    """Let links in Markdown find the entries, as they find headings."""
    if app.env.docname == PAGE:
        slugs = app.env.metadata[PAGE].setdefault("myst_slugs", {})
        slugs |= {key: (0, key, title_of(entry)) for key, entry in entries().items()}


def say_where_cited(app: Sphinx, doctree: nodes.document, page: str) -> None:
    if page != PAGE:
        return
    citing = pages_by_key(app.env)
    for item in doctree.findall(nodes.list_item):
        for key in entries().keys() & set(item["ids"]):
            item += _where(app, citing.get(key, []))


def _where(app: Sphinx, pages: list[str]) -> nodes.paragraph:
    paragraph = nodes.paragraph(text="" if pages else "Further reading.", classes=["cited"])
    for page in pages:
        paragraph += nodes.Text(", " if len(paragraph) else "Cited in ")
        uri = app.builder.get_relative_uri(PAGE, page)
        text = app.env.titles[page].astext()
        paragraph += nodes.reference("", text, refuri=uri, internal=True)
    return paragraph


def pages_by_key(env: BuildEnvironment) -> dict[str, list[str]]:
    """The pages that link to each entry, in the order of the book."""
    found: dict[str, list[str]] = {}
    for page in _in_order(env, env.config.root_doc):
        links = env.get_doctree(page).findall(addnodes.pending_xref)
        keys = {link["reftargetid"] for link in links if link["reftarget"] == PAGE}
        for key in keys - {None}:
            found.setdefault(key, []).append(page)
    return found


def _in_order(env: BuildEnvironment, page: str) -> Iterator[str]:
    yield page
    for below in env.toctree_includes.get(page, []):
        yield from _in_order(env, below)
