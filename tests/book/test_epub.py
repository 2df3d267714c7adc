"""The book as an EPUB: some of its pages, bound as all of them are."""

import re
import zipfile
from pathlib import PurePosixPath
from urllib.parse import urlsplit
from xml.etree import ElementTree

import epub
import pytest

ORDER = [
    (None, "index"),
    ("Appendix", "appendix/glossary"),
    ("Spatial", "spatial/self_attention"),
]
XHTML = "{http://www.w3.org/1999/xhtml}"


@pytest.fixture(scope="module")
def book(browsers, tmp_path_factory) -> zipfile.ZipFile:
    path = tmp_path_factory.mktemp("epub") / "book.epub"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(epub, "pages", lambda: iter(ORDER))
        assert epub.bind(path, browsers("DejaVu")) == len(ORDER)
    return zipfile.ZipFile(path)


def test_it_is_found_to_be_an_epub(book):
    first = book.infolist()[0]
    assert (first.filename, first.compress_type) == ("mimetype", zipfile.ZIP_STORED)
    assert book.read("mimetype") == b"application/epub+zip"


def test_every_file_is_named_once_and_every_page_stands_in_the_order(book):
    package = ElementTree.fromstring(book.read("book/package.opf"))
    items = {item.get("id"): item.get("href") for item in package.findall(".//{*}item")}
    within = [name for name in book.namelist() if name.startswith("book/")]
    assert sorted(f"book/{href}" for href in items.values()) == sorted(
        set(within) - {"book/package.opf"}
    )
    assert len(within) == len(set(within))
    read = [items[ref.get("idref")] for ref in package.findall(".//{*}itemref")]
    assert read == [f"{name}.xhtml" for _, name in ORDER]
    assert (
        len(
            [
                item
                for item in package.findall(".//{*}item")
                if "nav" in (item.get("properties") or "")
            ]
        )
        == 1
    )


def test_pages_are_xml_with_pictures_and_equations_and_ask_nothing_of_the_reader(book):
    for _, name in ORDER:
        page = ElementTree.fromstring(book.read(f"book/{name}.xhtml"))
        tags = {element.tag.split("}")[-1] for element in page.iter()}
        assert not tags & {"script", "button", "input", "select", "form"}
        ids = [element.get("id") for element in page.iter() if element.get("id")]
        assert len(ids) == len(set(ids))
        assert not page.findall(f".//{XHTML}summary//{XHTML}p")
        assert not any("-" in tag for tag in tags)
        assert page.find(f"{XHTML}head/{XHTML}title").text
    chapter = book.read("book/spatial/self_attention.xhtml")
    assert b"<math" in chapter and chapter.count(b"<img") >= 2


def test_what_the_style_asks_for_is_in_the_file(book):
    style = book.read("book/_static/bound.css").decode()
    asked = [
        url for url in re.findall(r'url\("([^"]+)"\)', style) if not url.startswith("data:")
    ]
    assert asked and {f"book/_static/{url}" for url in asked} <= set(book.namelist())


def test_links_lead_to_what_is_in_the_file(book):
    anchors = {}
    for name in book.namelist():
        if name.endswith(".xhtml"):
            page = ElementTree.fromstring(book.read(name))
            anchors[name] = {element.get("id") for element in page.iter()}
    followed = 0
    for name in anchors:
        for link in ElementTree.fromstring(book.read(name)).iter(f"{XHTML}a"):
            parts = urlsplit(link.get("href") or "http://nowhere")
            if parts.scheme:
                continue
            place = PurePosixPath(name).parent
            for part in PurePosixPath(parts.path).parts:
                place = place.parent if part == ".." else place / part
            there = str(place) if parts.path else name
            assert there in anchors, (name, link.get("href"))
            assert not parts.fragment or parts.fragment in anchors[there], (
                name,
                link.get("href"),
            )
            followed += 1
    assert followed > 20
