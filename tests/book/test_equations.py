"""Equations as KaTeX sets them at build time, as they stand in the built pages, and as one copies them."""

import io
import re
from html import unescape
from pathlib import Path

import pytest
from equations import assets, katex_folder, plain, typeset
from fontTools.ttLib import TTFont
from places import ROOT
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from test_book import PAGES, every_page

from attn_lib.figures import QUANTITIES

EQUATION = re.compile(
    r'<math [^>]*?(display="block")?>(?:(?!</math>).)*<annotation[^>]*>(.*?)</annotation>',
    re.DOTALL,
)


def book() -> list[tuple[str, bool]]:
    """Each equation of the built pages once: its LaTeX, and whether it stands alone."""
    found = {
        (unescape(tex), bool(display))
        for page in PAGES
        for display, tex in EQUATION.findall(page.read_text(encoding="utf-8"))
    }
    return sorted(found)


def test_script_and_style_sheet_are_of_one_version():
    script = (katex_folder() / "katex.min.js").read_text(encoding="utf-8")
    [version] = re.findall(r'version:"([\d.]+)"', script)
    sheet = (katex_folder() / "katex.min.css").read_text(encoding="utf-8")
    assert f'.katex-version:after{{content:"{version}"}}' in sheet


@pytest.mark.parametrize("tex", [r"\frca{1}{2}", r"\frac{1}", "x_1_2", "ä", r"\text{a_b}"])
def test_what_katex_refuses_is_an_error_that_names_it(tex):
    with pytest.raises(ValueError, match="KaTeX refuses") as refusal:
        typeset(tex)
    assert repr(tex) in str(refusal.value) and "\n" not in str(refusal.value)


def build(folder: Path, text: str) -> None:
    (folder / "index.rst").write_text(text, encoding="utf-8")
    settings = {"extensions": ["equations"], "html_math_renderer": "katex"}
    out = folder / "out"
    Sphinx(
        folder, None, out, out / "trees", "html", settings, status=None, warning=io.StringIO()
    ).build()


def test_a_build_fails_on_a_formula_that_katex_refuses(tmp_path):
    with pytest.raises(ExtensionError, match=r"index\.rst: KaTeX refuses"):
        build(tmp_path, "Title\n=====\n\n.. math:: \\frca{1}{2}\n")


def test_a_page_without_equations_asks_for_nothing_of_them(tmp_path):
    build(tmp_path, "Title\n=====\n\nWords.\n")
    assert "equations." not in (tmp_path / "out/index.html").read_text(encoding="utf-8")
    build(tmp_path, "Title\n=====\n\nOne :math:`x`.\n")
    page = (tmp_path / "out/index.html").read_text(encoding="utf-8")
    assert "equations.css" in page and "equations.js" in page and 'class="katex"' in page


def test_colours_follow_the_page_and_are_left_out_of_what_one_copies():
    for name, (light, _) in QUANTITIES.items():
        html = typeset(rf"{{\color{{{light}}}{{s_{{ij}}}}}}^2")
        assert f"color:var(--attn-{name})" in html and f"color:{light}" not in html
        assert ">{s_{ij}}^2</annotation>" in html
    assert plain(r"{\color{#6a4fb3}{t_j}} \le e^{{\color{#6a4fb3}{t}}}") == r"{t_j} \le e^{t}"


def test_style_and_fonts_are_what_the_equations_use():
    style, fonts = assets({typeset("x")})
    assert ".mathnormal" in style and ".mfrac" not in style and "Fraktur" not in style
    assert "KaTeX_Math-Italic.woff2" in fonts and "KaTeX_Size1-Regular.woff2" not in fonts
    assert TTFont(io.BytesIO(fonts["KaTeX_Math-Italic.woff2"])).getBestCmap().keys() == {
        ord("x")
    }
    _, fonts = assets(
        {typeset(r"x \mathit{ab} \mathsf{c} \Big("), typeset("y = 1", display=True)}
    )
    letters = {
        name: {*map(chr, TTFont(io.BytesIO(font)).getBestCmap())}
        for name, font in fonts.items()
    }
    assert letters == {
        "KaTeX_Main-Italic.woff2": {*"ab"},
        "KaTeX_Main-Regular.woff2": {*"=1"},
        "KaTeX_Math-Italic.woff2": {*"xy"},
        "KaTeX_SansSerif-Regular.woff2": {"c"},
        "KaTeX_Size2-Regular.woff2": {*"()"},  # a bracket brings its mirror image
    }
    style, fonts = assets({typeset(r"\frac{1}{2} \in \mathbb{R}, \Big(\bar x\Big)")})
    assert ".mfrac" in style and ".accent-body:not(" in style
    assert {"KaTeX_AMS-Regular.woff2", "KaTeX_Size2-Regular.woff2"} <= fonts.keys()


def test_the_script_for_copying_is_small():
    assert len((ROOT / "book/_ext/equations.js").read_bytes()) <= 1024


@every_page
def test_each_equation_of_a_page_has_boxes_and_words(path):
    text = path.read_text(encoding="utf-8")
    assert "katex-error" not in text and "#cc0000" not in text
    shown = text.count('class="katex-html" aria-hidden="true"')
    assert shown == text.count('class="katex-mathml"') == len(EQUATION.findall(text))
    assert not re.search(r"color:#\w+", "".join(re.findall(r'class="m\w+[^>]*>', text)))


def test_there_are_equations():
    found = dict(book())
    assert len(found) > 150
    assert {"x'", "{M_c}", "{A_{ij}}", r"\gamma"} <= found.keys()


def copied(page, start: str, end: str) -> dict[str, str]:
    """What the clipboard gets of a selection from the first text in `start` to the last in `end`."""
    return page.evaluate(
        """([start, end]) => {
          const texts = element => {
            const walk = document.createTreeWalker(element, NodeFilter.SHOW_TEXT), found = [];
            while (walk.nextNode()) found.push(walk.currentNode);
            return found;
          };
          const first = texts(document.querySelector(start))[0], last = texts(document.querySelector(end)).at(-1);
          getSelection().setBaseAndExtent(first, 0, last, last.length);
          const clipboardData = new DataTransfer();
          const event = new ClipboardEvent("copy", { clipboardData, bubbles: true, cancelable: true });
          document.body.dispatchEvent(event);
          return { text: clipboardData.getData("text/plain"), html: clipboardData.getData("text/html"),
                   ours: event.defaultPrevented };
        }""",
        [start, end],
    )


def test_copying_an_equation_gives_its_latex(visit):
    page = visit("spatial/self_attention")
    whole = copied(page, ".attn-equation .katex-html", ".attn-equation .katex-html")
    assert whole["text"] == (
        r"$${s_{ij}} = {q_i}^\top {k_j}, \qquad {A_{ij}} = \mathrm{softmax}_j\, {s_{ij}}, \qquad "
        r"{y_i} = x_i + \gamma \sum_j {A_{ij}}\, {v_j}$$"
    )
    assert "<math" in whole["html"] and "katex-html" not in whole["html"]
    part = copied(
        page, ".attn-equation .base:nth-child(3)", ".attn-equation .base:nth-child(3)"
    )
    assert part == whole


def test_copying_a_sentence_gives_its_equations_as_latex_and_other_text_as_ever(visit):
    page = visit("spatial/self_attention")
    page.evaluate(
        """() => {
          const sentences = [...document.querySelectorAll("article section > p")];
          sentences.find(one => one.querySelector(".katex")).id = "with";
          sentences.find(one => !one.querySelector(".katex")).id = "without";
        }"""
    )
    with_equation = copied(page, "#with", "#with")["text"]
    assert re.search(r"\w \$[^$]+\$", with_equation) and "−" not in with_equation
    assert copied(page, "#without", "#without") == {"text": "", "html": "", "ours": False}
