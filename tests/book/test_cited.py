"""A page says how to cite it, and search engines are told of all pages."""

import types
from xml.etree import ElementTree

import pytest
from cited import bibtex, map_site
from places import BUILT
from test_pages import PAGES

NOTES = [name for name in PAGES if name not in ("search", "genindex")]


@pytest.mark.parametrize("name", NOTES)
def test_a_page_ends_with_its_citation(name):
    text = (BUILT / f"{name}.html").read_text(encoding="utf-8")
    assert text.count("Cite this page") == 1
    entry = text.split("Cite this page")[1].split("<pre>")[1].split("</pre>")[0]
    assert "Attention for images" in entry and "year = {20" in entry


def test_an_entry_has_the_address_where_one_is_known():
    assert bibtex("spatial/self_attention", "Self-attention", "The book", "https://a.b/c/") == (
        "@misc{self_attention,\n  author = {{the maintainers of attn_lib}},\n"
        "  title = {Self-attention. In: The book},\n  year = {2026},\n  version = {0.1.0},\n"
        "  url = {https://a.b/c/spatial/self_attention.html}\n}"
    )
    cover = bibtex("index", "The book", "The book", "")
    assert "title = {The book}" in cover and "url" not in cover


def test_the_map_of_the_site_names_every_page_where_the_site_is_known(tmp_path):
    app = types.SimpleNamespace(
        outdir=str(tmp_path),
        config=types.SimpleNamespace(html_baseurl=""),
        env=types.SimpleNamespace(found_docs={"index", "spatial/self_attention"}),
    )
    map_site(app, None)
    assert not (tmp_path / "sitemap.xml").exists()
    app.config.html_baseurl = "https://a.b/c/"
    map_site(app, None)
    urls = [
        one.text for one in ElementTree.parse(tmp_path / "sitemap.xml").iterfind(".//{*}loc")
    ]
    assert urls == ["https://a.b/c/index.html", "https://a.b/c/spatial/self_attention.html"]
