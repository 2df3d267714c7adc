"""The whole book as one EPUB: its built pages, figures still, for a reader of books.

    python book/_ext/epub.py

writes _build/attention.epub. A browser turns pages into XHTML; links between them stay within the file.
"""

import re
import zipfile
from collections.abc import Iterator
from datetime import datetime, timezone
from html import escape
from os.path import relpath
from pathlib import Path
from urllib.parse import unquote, urlsplit

from playwright.sync_api import Browser

from pdf import HTML, pages, write

# The article alone: no scripts, no controls, folds open, and no element of our own making.
ARTICLE = """() => {
  const article = document.querySelector("article");
  article.querySelectorAll("script, .headerlink, .attn-controls, .attn-hint, button, input, select")
    .forEach(element => element.remove());
  article.querySelectorAll("details").forEach(fold => fold.open = true);
  const become = (tag, elements) => [...elements].forEach(element => {
    const plain = document.createElement(tag);
    plain.className = element.className;
    plain.append(...element.childNodes);
    element.replaceWith(plain);
  });
  // A form would count as a script, and a paragraph may not stand in what one clicks to unfold.
  become("div", article.querySelectorAll("form"));
  become("span", article.querySelectorAll("summary p"));
  become("div", [...article.querySelectorAll("*")].filter(one => one.localName.includes("-")));
  // Plots that share a mark have it under one name: one of them is enough.
  const ids = new Set();
  for (const element of article.querySelectorAll("[id]"))
    if (ids.has(element.id)) element.removeAttribute("id");
    else ids.add(element.id);
  article.querySelectorAll("[tabindex]").forEach(element => element.removeAttribute("tabindex"));
  return [article.querySelector("h1").firstChild.textContent.trim(), new XMLSerializer().serializeToString(article)];
}"""
PAGE = """<?xml version="1.0" encoding="utf-8"?>
<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops" lang="en">
<head><title>{title}</title>{head}</head>
<body>{body}</body>
</html>
"""
CONTAINER = """<?xml version="1.0" encoding="utf-8"?>
<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>
<rootfile full-path="book/package.opf" media-type="application/oebps-package+xml"/>
</rootfiles></container>
"""
PACKAGE = """<?xml version="1.0" encoding="utf-8"?>
<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="id" xml:lang="en">
<metadata xmlns:dc="http://purl.org/dc/elements/1.1/">
<dc:identifier id="id">attn_lib</dc:identifier><dc:title>Attention for images</dc:title>
<dc:language>en</dc:language><meta property="dcterms:modified">{now}</meta>
</metadata>
<manifest>{manifest}</manifest>
<spine>{spine}</spine>
</package>
"""
KINDS = {
    ".xhtml": "application/xhtml+xml",
    ".css": "text/css",
    ".woff2": "font/woff2",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}


def articles(browser: Browser, names: list[str]) -> Iterator[tuple[str, str]]:
    """Each page's title, and its article as XHTML."""
    context = browser.new_context(java_script_enabled=False, offline=True)
    tab = context.new_page()
    for name in names:
        tab.goto((HTML / f"{name}.html").as_uri())
        title, article = tab.evaluate(ARTICLE)
        yield title, within(article, name, set(names))
    context.close()


def within(article: str, name: str, names: set[str]) -> str:
    """The article with its links to the book's other pages as they are in the file."""

    def moved(link: re.Match) -> str:
        parts = urlsplit(unquote(link[1]))
        target = relpath(Path("/", name).parent / parts.path, "/").removesuffix(".html")
        if parts.scheme or not parts.path:
            return link[0]
        if target not in names:  # a file beside the pages: the book has none
            return ""
        there = relpath(f"/{target}.xhtml", Path("/", name).parent)
        return f'href="{there}{f"#{parts.fragment}" if parts.fragment else ""}"'

    return re.sub(r'(?<=\s)href="([^"]*)"', moved, article)


def contents(order: list[tuple[str | None, str]], titles: list[str]) -> str:
    """The table of contents: parts, and their pages."""
    parts: dict[str | None, str] = {}
    for (part, name), title in zip(order, titles, strict=True):
        parts[part] = (
            parts.get(part, "") + f'<li><a href="{name}.xhtml">{escape(title)}</a></li>'
        )
    lists = "".join(
        f"<li><span>{escape(part)}</span><ol>{pages}</ol></li>" if part else pages
        for part, pages in parts.items()
    )
    return f'<nav epub:type="toc"><h1>Contents</h1><ol>{lists}</ol></nav>'


def assets() -> dict[str, bytes]:
    """The style sheet, and what it asks for."""
    static = HTML / "_static"
    files = {"_static/bound.css": (static / "bound.css").read_bytes()}
    for url in re.findall(rb'url\("([^":]+)"\)', files["_static/bound.css"]):
        files[f"_static/{url.decode()}"] = (static / url.decode()).read_bytes()
    return files


def bind(path: Path, browser: Browser) -> int:
    """Write the book; how many pages it has."""
    order = [*pages()]
    names = [name for _, name in order]
    made = [*articles(browser, names)]
    files = assets()
    for name, (title, article) in zip(names, made, strict=True):
        up = "../" * name.count("/")
        head = f'<link rel="stylesheet" href="{up}_static/bound.css"/>'
        files[f"{name}.xhtml"] = PAGE.format(
            title=escape(title), head=head, body=article
        ).encode()
    toc = contents(order, [title for title, _ in made])
    files["contents.xhtml"] = PAGE.format(title="Contents", head="", body=toc).encode()
    ids = {name: f"file{index}" for index, name in enumerate(files)}
    manifest = "".join(
        f'<item id="{ids[name]}" href="{name}" media-type="{KINDS[Path(name).suffix]}"{_properties(name, data)}/>'
        for name, data in files.items()
    )
    spine = "".join(f'<itemref idref="{ids[f"{name}.xhtml"]}"/>' for name in names)
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("mimetype", "application/epub+zip", zipfile.ZIP_STORED)  # first, and bare
        book.writestr("META-INF/container.xml", CONTAINER)
        book.writestr(
            "book/package.opf", PACKAGE.format(manifest=manifest, spine=spine, now=now)
        )
        for name, data in files.items():
            book.writestr(f"book/{name}", data)
    return len(names)


def _properties(name: str, data: bytes) -> str:
    """What a reader of books is to know of a page beforehand."""
    tags = {"mathml": b"<math", "svg": b"<svg"}
    found = [kind for kind, tag in tags.items() if name.endswith(".xhtml") and tag in data]
    found += ["nav"] if name == "contents.xhtml" else []
    return f' properties="{" ".join(found)}"' if found else ""


if __name__ == "__main__":
    write("attention.epub", bind, "pages")
