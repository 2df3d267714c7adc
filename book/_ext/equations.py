"""Equations as in print: typeset by KaTeX while the book is built, so that a page needs no script to show them.

A page gets KaTeX's boxes, and for screen readers its MathML. Of KaTeX's style sheet and fonts the book takes
what its equations use, and serves it itself.
"""

import functools
import importlib.util
import io
import operator
import re
import shutil
from collections import defaultdict
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import dukpy
from docutils import nodes
from fontTools import subset
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError

from attn_lib.figures import QUANTITIES

HERE = Path(__file__).parent
# Of KaTeX's packages on PyPI the one that has script, style sheet and fonts of one version.
PACKAGE = "djangocms_katex"
RULE = re.compile(r"([^{}]+)\{([^{}]*)\}")
Font = dict[str, str]  # family, slant, weight: some or all
TWICE = re.compile(r"\{(\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\})\}")  # braces right inside braces


def setup(app: Sphinx) -> dict:
    app.add_html_math_renderer(
        "katex",
        inline_renderers=(visit_math, None),
        block_renderers=(visit_math_block, None),
    )
    # Before freshness.py looks at what stands on every page.
    app.connect("env-updated", write_assets, priority=400)
    app.connect("html-page-context", link_assets)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def visit_math(self, node: nodes.math) -> None:
    self.body.append(typeset(node.astext()))
    raise nodes.SkipNode


def visit_math_block(self, node: nodes.math_block) -> None:
    # Focusable, so that the keyboard can scroll an equation wider than the page.
    equation = typeset(node.astext(), display=True)
    self.body.append(
        f'<div class="attn-equation" tabindex="0" role="group" aria-label="Equation">{equation}</div>'
    )
    raise nodes.SkipNode


@functools.cache
def katex_folder() -> Path:
    """Where the package that brings KaTeX keeps it.

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    package = importlib.util.find_spec(PACKAGE)
    if not package:
        raise ModuleNotFoundError(
            "equations want KaTeX: pip install --no-deps -r book/_ext/katex.txt"
        )
    return Path(package.origin).parent / "static" / PACKAGE / "vendor" / "katex"


@functools.cache
def katex() -> dukpy.JSInterpreter:
    engine = dukpy.JSInterpreter()
    engine.evaljs((katex_folder() / "katex.min.js").read_text(encoding="utf-8"))
    return engine


@functools.cache
def typeset(tex: str, display: bool = False) -> str:
    """An equation as HTML: its MathML with its LaTeX, which one hears and copies, and its boxes, which one sees.

    Args:
        tex: in LaTeX; colours of quantities become variables, so that they follow the page.
        display: on a line of its own.

    Raises:
        ValueError: what KaTeX does not know, or LaTeX would not take.
    """
    options = {"displayMode": display, "strict": "error"}
    call = "katex.renderToString(dukpy.tex, dukpy.options)"
    try:
        html = katex().evaljs(call, tex=tex, options=options)
    except dukpy.JSRuntimeError as error:
        raise ValueError(f"KaTeX refuses {tex!r}: {str(error).splitlines()[0]}") from None
    for name, (light, _) in QUANTITIES.items():
        html = html.replace(f"color:{light};", f"color:var(--attn-{name});")
    return html.replace(f"{escape(tex)}</annotation>", f"{escape(plain(tex))}</annotation>")


def plain(tex: str) -> str:
    """An equation's LaTeX without its colours, as one wants to paste it."""
    tex = " ".join(re.sub(r"\\color\{#\w+\}", "", tex).split())
    while (shorter := TWICE.sub(r"\1", tex)) != tex:
        tex = shorter
    return tex


def write_assets(app: Sphinx, env: BuildEnvironment) -> None:
    """Write the style sheet, the fonts and the script that equations need, once all pages are read."""
    static = Path(app.outdir) / "_static"
    fonts = static / "fonts"
    shutil.rmtree(fonts, ignore_errors=True)
    fonts.mkdir(parents=True)
    style, files = assets(equations(env))
    (static / "equations.css").write_text(style, encoding="utf-8")
    for name, content in files.items():
        (fonts / name).write_bytes(content)
    shutil.copyfile(HERE / "equations.js", static / "equations.js")


def equations(env: BuildEnvironment) -> set[str]:
    """All equations of the book, typeset.

    Raises:
        ExtensionError: KaTeX refuses one: with its page.
    """
    made = set()
    for page in sorted(env.found_docs):
        for kind in (nodes.math, nodes.math_block):
            for node in env.get_doctree(page).findall(kind):
                try:
                    made.add(typeset(node.astext(), display=kind is nodes.math_block))
                except ValueError as error:
                    raise ExtensionError(f"{env.doc2path(page)}: {error}") from None
    return made


def link_assets(app: Sphinx, page: str, template: str, context: dict, doctree) -> None:
    if 'class="katex"' in context.get("body", ""):
        app.add_css_file("equations.css")
        app.add_js_file("equations.js", loading_method="defer")


def assets(equations: set[str]) -> tuple[str, dict[str, bytes]]:
    """Of KaTeX's style sheet and fonts, what typeset equations use: the rules, and fonts by their file's name."""
    boxes = "".join(html.partition('"katex-html" aria-hidden="true">')[2] for html in equations)
    classes = set(" ".join(re.findall(r'class="([^"]*)"', boxes)).split())
    classes |= {"katex", "katex-display", "katex-html", "katex-mathml"}
    sheet = (katex_folder() / "katex.min.css").read_text(encoding="utf-8")
    style, faces, looks = "", [], []
    for selectors, body in RULE.findall(sheet):
        if selectors == "@font-face":
            faces.append(body)
        elif kept := [one for one in selectors.split(",") if _applies(one, classes)]:
            style += f"{','.join(kept)}{{{body}}}\n"
            looks += [(_last(one), declared) for one in kept if (declared := _font(body))]
    letters = Letters(looks)
    letters.feed(boxes)
    fonts = {}
    for face in faces:
        name = re.search(r"fonts/([\w-]+\.woff2)", face)[1]
        if font := cut(
            katex_folder() / "fonts" / name, letters.of[tuple(_font(face).values())]
        ):
            fonts[name] = font
            style += "@font-face{" + re.sub(r'(format\("woff2"\)).*', r"\1}\n", face)
    return style, fonts


def _applies(selector: str, classes: set[str]) -> bool:
    """Whether each class that the selector asks for is there."""
    asked = re.findall(r"\.([a-z][\w-]*)", re.sub(r":not\(.*?\)", "", selector))
    return bool(asked) and classes.issuperset(asked)


def _last(selector: str) -> set[str]:
    """The classes of the element that a selector leads to, or of the one around it."""
    return set(re.findall(r"\.([\w-]+)", selector.split()[-1]))


def _font(body: str) -> Font:
    """What a rule says of the font."""
    said = {
        "family": re.search(r"font(?:-family)?:[^;]*?(KaTeX_\w+)", body),
        "slant": re.search(r"font-style:(\w+)", body),
        "weight": re.search(r"font-weight:(\d+)", body),
    }
    return {name: match[1] for name, match in said.items() if match}


class Letters(HTMLParser):
    """In which font each letter of typeset equations is set.

    Args:
        looks: the classes that an element must have, and what of the font it then changes, as the style sheet has them.

    Attributes:
        of: letters by their font's family, slant and weight.
    """

    def __init__(self, looks: list[tuple[set[str], Font]]):
        super().__init__()
        self.looks = looks
        self.around: list[Font] = [{"family": "KaTeX_Main", "slant": "normal", "weight": "400"}]
        self.of: dict[tuple[str, ...], set[str]] = defaultdict(set)

    def handle_starttag(self, tag: str, attributes: list) -> None:
        classes = set((dict(attributes).get("class") or "").split())
        own = [declared for asked, declared in self.looks if asked <= classes]
        self.around.append(functools.reduce(operator.or_, own, self.around[-1]))

    def handle_startendtag(self, tag: str, attributes: list) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        if len(self.around) > 1:  # or it is what stands around the boxes that ends
            self.around.pop()

    def handle_data(self, data: str) -> None:
        self.of[tuple(self.around[-1].values())].update(data)


def cut(path: Path, letters: set[str]) -> bytes | None:
    """A font with these letters alone, or None where it has none of them."""
    options = subset.Options(flavor="woff2", hinting=False)
    font = subset.load_font(path, options)
    kept = font.getBestCmap().keys() & set(map(ord, letters))
    if not kept:
        return None
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=kept)
    subsetter.subset(font)
    file = io.BytesIO()
    font.save(file)
    return file.getvalue()
