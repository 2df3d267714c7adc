"""The whole book as one PDF: its built pages as a browser prints them, figures still, with bookmarks.

    python book/_ext/pdf.py

writes _build/attention.pdf. Links between pages stay within the file.
"""

import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import yaml
from playwright.sync_api import Browser, sync_playwright
from pypdf import PdfReader, PdfWriter
from pypdf.generic import ArrayObject, NameObject

ROOT = Path(__file__).parents[2]
HTML = ROOT / "_build" / "html"
sys.path.append(str(ROOT / "tests"))

from machine import chromium  # noqa: E402 (it lies among the tests, which want a browser more often)

MARGIN = {side: "16mm" for side in ("top", "right", "bottom", "left")}


def pages() -> Iterator[tuple[str | None, str]]:
    """Each page in the order of the contents, and the part that it belongs to."""
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    yield None, contents["root"]
    for part in contents["parts"]:
        for page in part["chapters"]:
            yield part["caption"], page["file"]


def printed(browser: Browser, names: list[str]) -> Iterator[tuple[str, PdfReader]]:
    """Each page's title and print; scripts are off, so figures show their still pictures."""
    context = browser.new_context(java_script_enabled=False, offline=True)
    page = context.new_page()
    for name in names:
        page.goto((HTML / f"{name}.html").as_uri())
        made = page.pdf(format="A4", margin=MARGIN, print_background=True)
        title = page.locator("article h1").first.inner_text().rstrip("#").strip()
        yield title, PdfReader(io.BytesIO(made))
    context.close()


def bind(path: Path, browser: Browser) -> int:
    """Write the book; how many sheets it has."""
    book, parts, starts = PdfWriter(), {}, {}
    order = [*pages()]
    for (part, name), (title, made) in zip(
        order, printed(browser, [name for _, name in order]), strict=True
    ):
        start = starts[HTML / f"{name}.html"] = len(book.pages)
        book.append(made, import_outline=False)
        if part and part not in parts:
            parts[part] = book.add_outline_item(title=part, page_number=start)
        book.add_outline_item(title=title, page_number=start, parent=parts.get(part))
    for sheet in book.pages:
        for link in sheet.get("/Annots", ()):
            keep_within(link.get_object(), book, starts)
    book.add_metadata({"/Title": "Attention for images"})
    book.write(path)
    return len(book.pages)


def keep_within(link, book: PdfWriter, starts: dict[Path, int]) -> None:
    """Let a link to another page of the book lead to where that page begins in the file."""
    parts = urlsplit(link.get("/A", {}).get("/URI", ""))
    there = starts.get(Path(unquote(parts.path))) if parts.scheme == "file" else None
    if there is not None:
        del link["/A"]
        to = [book.pages[there].indirect_reference, NameObject("/Fit")]
        link[NameObject("/Dest")] = ArrayObject(to)


def write(name: str, bind: Callable[[Path, Browser], int], counted: str) -> None:
    """Bind the built pages into a file beside them, and say where it is and how many it has."""
    if not chromium():
        raise SystemExit("no Chromium or Chrome: `make machine` says what to install")
    target = HTML.parent / name
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        print(f"{target}: {bind(target, browser)} {counted}")


if __name__ == "__main__":
    write("attention.pdf", bind, "sheets")
