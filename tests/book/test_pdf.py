"""The book on paper: some of its pages, bound as all of them are."""

import pdf
import pytest
from pypdf import PdfReader

ORDER = [(None, "index"), ("Appendix", "appendix/glossary"), ("Appendix", "appendix/speed")]


@pytest.fixture(scope="module")
def bound(browsers, tmp_path_factory) -> PdfReader:
    path = tmp_path_factory.mktemp("paper") / "book.pdf"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pdf, "pages", lambda: iter(ORDER))
        sheets = pdf.bind(path, browsers("DejaVu"))
    read = PdfReader(path)
    assert len(read.pages) == sheets > len(ORDER)
    return read


def test_the_order_is_that_of_the_contents():
    names = [name for _, name in pdf.pages()]
    assert names[0] == "index" and "comparison/which_one" in names
    assert len(set(names)) == len(names) > 20


def test_bookmarks_name_its_pages_under_their_parts(bound: PdfReader):
    cover, appendix, under = bound.outline
    assert [cover.title, appendix.title] == ["Attention for images", "Appendix"]
    assert [mark.title for mark in under] == ["Glossary", "How fast"]
    first = bound.pages[bound.get_destination_page_number(under[0])]
    assert "Glossary" in first.extract_text()


def test_links_between_its_pages_stay_within_the_file(bound: PdfReader):
    links = [link.get_object() for page in bound.pages for link in page.get("/Annots", ())]
    within = [link for link in links if "/Dest" in link]
    starts = {page.indirect_reference.idnum for page in bound.pages}
    assert within and all(
        link["/Dest"][0].idnum in starts for link in within if isinstance(link["/Dest"], list)
    )
    asked = [link["/A"].get("/URI", "") for link in links if "/A" in link]
    gone = [
        url for url in asked if url.startswith("file:") and "glossary" in url and "#" not in url
    ]
    assert not gone, gone


def test_figures_show_their_still_pictures_and_nothing_is_asked_of_the_reader(bound: PdfReader):
    cover = "".join(page.extract_text() for page in bound.pages[:3])
    assert "most on row" in cover and "Point, tap" not in cover
