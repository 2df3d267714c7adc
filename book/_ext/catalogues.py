"""What a translator fills: one catalogue a page, of the text that people wrote and no program made.

    make translations                              # all catalogues anew, and what each lacks
    python book/_ext/catalogues.py channel/cbam    # what one page lacks, at once

A catalogue keeps what is translated. A sentence that changed is fuzzy, with its old translation, until someone has
looked; one that went is dropped; one that another page has translated is taken from there. Docstrings, references,
formulas, and what cells print are in no page's catalogue.
"""

import io
import json
import re
import sys

from babel.messages import Catalog
from babel.messages.pofile import read_po, write_po
from jupyter_book.config import get_final_config
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace, patch_docutils

from faithful import problems
from uses import ROOT

BOOK = ROOT / "book"
LOCALE = "zh_CN"
FOLDER = BOOK / "locale" / LOCALE / "LC_MESSAGES"
UNTRANSLATED = ("appendix/references",)  # titles of papers


def setup(app: Sphinx) -> dict:
    """As an extension: all that decides how a page is read, and nothing that runs code or writes pages."""
    for name in ("myst_nb", "references", "address", "docstrings"):
        app.setup_extension(name)
    app.connect("source-read", _without_outputs)
    return {"parallel_read_safe": True}


def _without_outputs(app: Sphinx, page: str, source: list[str]) -> None:
    if app.env.doc2path(page).endswith(".ipynb"):
        notebook = json.loads(source[0])
        for cell in notebook["cells"]:
            if "outputs" in cell:
                cell["outputs"] = []
        source[0] = json.dumps(notebook)


def messages() -> dict[str, list[str]]:
    """What is to be translated, by page, in the order in which it is read."""
    config, _ = get_final_config(
        user_yaml=ROOT / "_config.yml",
        sourcedir=BOOK,
        cli_config={
            "external_toc_path": str(ROOT / "_toc.yml"),
            "latex_individualpages": False,
        },
    )
    config |= {
        "extensions": [
            "catalogues" if name == "attention_book" else name for name in config["extensions"]
        ],
        "gettext_compact": False,
        "nb_execution_mode": "off",
        "exclude_patterns": [*config["exclude_patterns"], "locale"],
    }
    place = ROOT / "_build" / "gettext"
    with patch_docutils(), docutils_namespace():
        app = Sphinx(BOOK, None, place, place / ".doctrees", "gettext", config, status=None)
        app.build(force_all=True)
    return {
        page: [text for text in catalog.messages if _is_prose(text, catalog.metadata[text])]
        for page, catalog in sorted(app.builder.catalogs.items())
        if page in app.env.found_docs and page not in UNTRANSLATED
    }


def _is_prose(text: str, places: list[tuple]) -> bool:
    """Whether a message has words, and stands anywhere but in a docstring."""
    said = re.sub(
        r"^\n.*|\$[^$]*\$|`[^`]*`", "", text, flags=re.DOTALL
    )  # a formula of its own begins with a new line
    return bool(re.search(r"[a-z]{2}", said)) and any(
        line > 0 and "docstring of" not in str(source) for source, line, _ in places
    )


def read(page: str) -> Catalog:
    """A page's catalogue as it is kept; an empty one where there is none."""
    path = FOLDER / f"{page}.po"
    if not path.exists():
        return Catalog(LOCALE)
    with path.open("rb") as file:
        return read_po(file, LOCALE)


def merged(kept: Catalog, texts: list[str], known: dict[str, str]) -> Catalog:
    """A catalogue of these texts, in this order, with the translations that are kept.

    Args:
        kept: the catalogue as it was.
        texts: what the page says now.
        known: translations of other pages.
    """
    template = Catalog(LOCALE)
    for text in texts:
        template.add(text)
    kept.update(template)
    ordered = Catalog(LOCALE)
    for text in texts:
        old = kept[text]
        message = ordered.add(
            text,
            old.string,
            user_comments=old.user_comments,
            previous_id=old.previous_id,
            flags=old.flags & {"fuzzy"},
        )
        if not message.string and text in known:
            message.string = known[text]
    return ordered


def write(page: str, catalog: Catalog) -> None:
    """The same catalogue gives the same bytes: no date, no line numbers, a line of text is a line of the file."""
    for message in catalog:
        message.flags &= {"fuzzy"}  # what looks like a format is none
    buffer = io.BytesIO()
    write_po(
        buffer,
        catalog,
        width=100_000,
        no_location=True,
        omit_header=True,
        include_previous=True,
    )
    path = FOLDER / f"{page}.po"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(HEADER.encode() + buffer.getvalue())


# What gettext's tools want to know of a file, and nothing that changes with the day.
HEADER = f"""msgid ""
msgstr ""
"Language: {LOCALE}\\n"
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Content-Transfer-Encoding: 8bit\\n"

"""


def pages() -> list[str]:
    """Those that have a catalogue."""
    return sorted(
        path.relative_to(FOLDER).with_suffix("").as_posix() for path in FOLDER.rglob("*.po")
    )


def update() -> None:
    """All catalogues as the book is now; those of pages that went are removed."""
    kept = {page: read(page) for page in pages()}
    known = {
        message.id: message.string
        for catalog in kept.values()
        for message in catalog
        if message.id and message.string and not message.fuzzy
    }
    now = messages()
    for page, texts in now.items():
        write(page, merged(kept.get(page, Catalog(LOCALE)), texts, known))
    for page in kept.keys() - now.keys():
        (FOLDER / f"{page}.po").unlink()


def wanting(page: str) -> list[str]:
    """What is wrong with a page's translation: one line for each problem, and the message under it."""
    return [
        f"{page}: {problem}\n    {message.id.strip()}\n    {message.string.strip()}"
        for message in read(page)
        if message.id
        for problem in problems(message)
    ]


def main(asked: list[str]) -> int:
    sys.stdout.reconfigure(encoding="utf-8")  # whatever the machine's locale
    if not asked:
        update()
    found = {page: wanting(page) for page in asked or pages()}
    for page, lines in found.items():
        if asked:
            print("\n".join(lines))
        print(f"{page}: {len(lines)} to mend of {len(read(page))}")
    return int(any(found.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
