"""How others find and name a page: a citation at its end, and a map of the site for search engines."""

from html import escape
from pathlib import Path

import yaml
from sphinx.application import Sphinx

CITATION = yaml.safe_load(
    (Path(__file__).parents[2] / "CITATION.cff").read_text(encoding="utf-8")
)
FOLD = """
<details class="attn-cite d-print-none"><summary>Cite this page</summary>
<div class="highlight-bibtex notranslate"><div class="highlight"><pre>{entry}</pre></div></div></details>
"""


def setup(app: Sphinx) -> dict:
    app.connect("html-page-context", cite)
    app.connect("build-finished", map_site)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def bibtex(page: str, title: str, root: str, base: str) -> str:
    """The entry of a page, or of the book where the page is its cover."""
    fields = {
        "author": f"{{{CITATION['authors'][0]['name']}}}",
        "title": root if title == root else f"{title}. In: {root}",
        "year": str(CITATION["date-released"].year),
        "version": CITATION["version"],
        "url": base and f"{base}{page}.html",
    }
    lines = [f"  {name} = {{{value}}}" for name, value in fields.items() if value]
    key = page.split("/")[-1] if title != root else "attention_for_images"
    return f"@misc{{{key},\n" + ",\n".join(lines) + "\n}"


def cite(app: Sphinx, page: str, template: str, context: dict, doctree) -> None:
    if doctree is None:
        return
    cover = page == app.config.root_doc
    title = app.config.html_title if cover else app.env.titles[page].astext()
    entry = bibtex(page, title, app.config.html_title, app.config.html_baseurl)
    context["body"] += FOLD.format(entry=escape(entry, quote=False))


def map_site(app: Sphinx, error: Exception | None) -> None:
    """sitemap.xml, where it is known where the pages will be."""
    if error or not (base := app.config.html_baseurl):
        return
    urls = "".join(
        f"<url><loc>{base}{page}.html</loc></url>\n" for page in sorted(app.env.found_docs)
    )
    text = f'<?xml version="1.0" encoding="utf-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{urls}</urlset>\n'
    (Path(app.outdir) / "sitemap.xml").write_text(text, encoding="utf-8")
