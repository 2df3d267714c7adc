"""Pages in few pieces, that let nothing else run, and that look as with all that the theme brings."""

import json
import re

import pytest
import tinycss2
from lighter import HEAVY, STYLE, policy, pruned, script, script_name, words
from places import BUILT
from playwright.sync_api import Page
from test_pages import PAGES

from attn_lib.figures import Playground
from attn_lib.figures.base import FIGURES

SHEET = """@charset "UTF-8";
:root { --used: 1px; --chain: var(--used); --never: url("data:image/svg+xml;a{b}"); --by-script: 2px }
.here, .gone > p { margin: var(--chain) }
.gone { color: red }
a:not(.gone):hover , #there::before{ content: "a ; b" }
[data-x="gone"] b { color: blue }
@media print { .gone { color: red } }
@media (min-width: 3px) { .gone { color: red } p { color: red } }
@font-face { font-family: x; src: url("x.woff2") }
"""


def rules(sheet: str) -> list:
    found = tinycss2.parse_stylesheet(sheet, skip_comments=True, skip_whitespace=True)
    return [rule for rule in found if rule.type != "at-rule" or rule.at_keyword != "charset"]


def test_rules_that_nothing_answers_to_go_and_others_stay_as_they_are():
    known = words(
        ['<p class="here" id="there"><a href="x">x</a><b>x</b>'], "root; '--by-script'"
    )
    kept = pruned(rules(SHEET), known)
    assert kept == (
        ":root{--used: 1px;--chain: var(--used);--by-script: 2px}.here{margin:var(--chain)}"
        'a:not(.gone):hover,#there::before{content:"a ; b"}[data-x="gone"] b{color:blue}'
        '@media (min-width: 3px){p{color:red}}@font-face {font-family:x;src:url("x.woff2")}'
    ).replace(": 1px", ":1px").replace(": var(--used)", ":var(--used)").replace(": 2px", ":2px")


def test_a_page_s_own_scripts_are_allowed_by_their_hashes_alone():
    page = '<script>a()</script><script type="application/json">{}</script><script defer src="x.js"></script>'
    allowed = policy(page + '<b onclick="b()">')
    assert allowed.count("'sha256-") == 2 and "'unsafe-eval'" not in allowed
    assert not re.search("script-src[^;]*'unsafe-inline'", allowed)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_asks_for_one_style_sheet_and_one_script(name):
    head = re.search(
        "<head>.*</head>", (BUILT / f"{name}.html").read_text(encoding="utf-8"), re.DOTALL
    )[0]
    assert re.findall(r'rel="stylesheet" href="(?:\.\./)*([^"?]*)', head) == [STYLE]
    scripts = re.findall(r'<script ([^>]*) src="(?:\.\./)*([^"?]*)', head)
    assert {attributes for attributes, _ in scripts} == {"defer"}
    own = ["_static/searchtools.js", "_static/language_data.js", "searchindex.js"]
    assert [url for _, url in scripts] == [
        script_name((BUILT / f"{name}.html").read_text(encoding="utf-8")),
        *(own if name == "search" else []),
    ]
    assert head.index("Content-Security-Policy") < head.index("<script")


def test_a_page_with_a_heavy_figure_has_a_script_of_its_own():
    without, having = "<p>", f"<{Playground.tag} class='attn-figure'>"
    assert len(Playground._esm) > HEAVY
    assert script_name(without) != script_name(having)
    names = ["_static/attn-figures.js", "_static/doctools.js"]
    light, heavy = (script(BUILT, names, text) for text in (without, having))
    defined = re.compile(r'define\("([\w-]+)"')
    others = [figure.tag for figure in FIGURES if len(figure._esm) <= HEAVY]
    assert [*defined.findall(light)] == others
    assert [*defined.findall(heavy)] == [Playground.tag]
    assert "Documentation" in light and "//" not in light.replace("://", "")


def test_scripts_have_no_template_within_a_template():
    """The minifier would take what stands in the inner one for code."""
    _, scripts = json.loads((BUILT.parent / ".doctrees/bound.json").read_text(encoding="utf-8"))
    for name in scripts:
        if (BUILT / name).exists():
            text = (BUILT / name).read_text(encoding="utf-8")
            assert not re.search(
                r"`[^`]*\$\{[^}`]*`[^`]*`[^`]*\}[^`]*`", text.replace("\n", " ")
            ), name


def test_no_script_from_elsewhere_runs(browser):
    page = browser.new_page()
    page.goto((BUILT / "index.html").as_uri())
    said = []
    page.on("console", lambda message: said.append(message.text))
    page.evaluate("""() => {
      const script = document.createElement("script");
      script.textContent = "window.ran = true";
      document.body.append(script);
      document.body.insertAdjacentHTML("beforeend", "<img src=x onerror='window.ran = true'>");
    }""")
    page.wait_for_timeout(200)
    assert page.evaluate("window.ran") is None
    assert any("Content Security Policy" in line for line in said), said
    page.close()


# Of each kind of element, by its tag, its classes and those around it, the first: a style takes milliseconds to read.
LOOKS = """() => {
  const looks = [], kinds = new Set();
  const kind = (element, up) => element && up ? `${element.tagName}.${element.className?.baseVal ?? element.className} ${kind(element.parentElement, up - 1)}` : "";
  const first = element => kinds.size < kinds.add(kind(element, 3)).size;
  for (const element of [...document.querySelectorAll("body *")].filter(first))
    for (const part of [null, "::before", "::after"]) {
      const style = getComputedStyle(element, part);
      if (part && style.content === "none") continue;
      looks.push(element.tagName + [...style].filter(name => !name.startsWith("--")).map(name => style.getPropertyValue(name)));
    }
  return looks;
}"""


@pytest.mark.parametrize(
    ("name", "width"), [("spatial/non_local", 390), ("appendix/glossary", 1200)]
)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_looks_different_for_the_rules_that_are_left_out(visit, name, width, scheme):
    styles, _ = json.loads((BUILT.parent / ".doctrees/bound.json").read_text(encoding="utf-8"))
    page = visit(name, width=width, scheme=scheme)
    page.add_style_tag(content="* { transition: none !important; }")
    light = page.evaluate(LOOKS)
    page.evaluate(
        """async ([bound, styles]) => {
          const link = document.querySelector(`link[href*="${bound}"]`), [up] = link.href.split(bound);
          await Promise.all(styles.map(name => new Promise(loaded => {
            const sheet = Object.assign(document.createElement("link"), { rel: "stylesheet", href: up + name });
            sheet.onload = loaded;
            link.before(sheet);
          })));
          link.remove();
        }""",
        [STYLE, styles],
    )
    assert len(light) > 150 and page.evaluate(LOOKS) == light


def on_paper(page: Page) -> tuple[str, list[int]]:
    """The theme, and how bright the text is."""
    return page.evaluate(
        """() => [document.documentElement.dataset.theme,
          getComputedStyle(document.querySelector("article p")).color.match(/\\d+/g).map(Number)]"""
    )


def test_a_dark_page_is_light_on_paper_and_dark_again(visit):
    page = visit("spatial/self_attention", scheme="dark")
    theme, colour = on_paper(page)
    assert theme == "dark" and min(colour) > 150
    page.emulate_media(media="print")
    page.wait_for_selector("html[data-theme=light]")
    assert max(on_paper(page)[1]) < 100
    page.emulate_media(media="screen")
    page.wait_for_selector("html[data-theme=dark]")
    page.evaluate(
        "addEventListener('beforeprint', () => window.printed = document.documentElement.dataset.theme)"
    )
    page.pdf()
    assert page.evaluate("window.printed") == "light" and on_paper(page)[0] == "dark"
