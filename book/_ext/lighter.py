"""Pages made light: one style sheet of what they use, one deferred script, and a policy that lets nothing else run.

When all pages are written, what they link is bound in two files and the links are exchanged. A page that an earlier
build wrote is light already; it gets the names of the new files.
"""

import base64
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import rjsmin
import tinycss2
from sphinx.application import Sphinx
from tinycss2.ast import AtRule, FunctionBlock, Node, QualifiedRule

from attn_lib.figures import LivingFigure, page_script
from attn_lib.figures.base import FIGURES

STYLE, SCRIPT = "_static/bound.css", "_static/bound.js"
ALL_FIGURES = "_static/attn-figures.js"
# Letters of a figure's script from which on a page with it has a script of its own.
HEAVY = 30_000
LINK = re.compile(r'[ \t]*<link [^>]*href="(?:\.\./)*([^":?]+\.css)[^>]*>\n?')
CALL = re.compile(r'[ \t]*<script[^>]* src="(?:\.\./)*([^":?]+\.js)[^>]*></script>\n?')
# Of Thebe, which wants a server, and of a menu of versions: there are none.
UNUSED = re.compile(
    r'<script type="text/x-thebe-config">.*?</script>|<script>kernelName = .*?</script>'
    r"|<script>DOCUMENTATION_OPTIONS\.pagename = .*?</script>",
    re.DOTALL,
)
INLINE = re.compile(r"<script(?![^>]*(?:\ssrc=|type=))[^>]*>(.*?)</script>", re.DOTALL)
HANDLER = re.compile(r'\son\w+="([^"]*)"')
POLICY = re.compile(r'\n<meta http-equiv="Content-Security-Policy"[^>]*>')


def setup(app: Sphinx) -> dict:
    app.connect("build-finished", lighten, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def lighten(app: Sphinx, error: Exception | None) -> None:
    if error or app.builder.name != "html":
        return
    root, memory = Path(app.outdir), Path(app.doctreedir) / "bound.json"
    static = root / "_static"
    pages = {
        path: path.read_text(encoding="utf-8")
        for path in root.rglob("*.html")
        if static not in path.parents
    }
    # What the page of search wants is its own. What light pages link is remembered: of it, new ones may want a part.
    chapters = [
        text for text in pages.values() if STYLE not in text and "searchtools.js" not in text
    ]
    links = json.loads(memory.read_text(encoding="utf-8")) if memory.exists() else [[], []]
    for names, form in zip(links, (LINK, CALL), strict=True):
        new = [*dict.fromkeys(name for text in chapters for name in form.findall(text))]
        names[:] = new if {*new} >= {*names} else dict.fromkeys([*names, *new])
    memory.write_text(json.dumps(links), encoding="utf-8")
    styles, scripts = ([name for name in names if (root / name).exists()] for names in links)
    called = {path: script_name(text) for path, text in pages.items()}
    one_of = {name: pages[path] for path, name in called.items()}
    bound = {name: script(root, scripts, text) for name, text in one_of.items()}
    rules = [rule for name in styles for rule in linked(root / name, static)]
    bound[STYLE] = pruned(rules, words(pages.values(), "".join(bound.values())))
    for name, text in bound.items():
        (root / name).write_text(text, encoding="utf-8")
    marks = {name: _mark(text) for name, text in bound.items()}
    for path, text in pages.items():
        up = "../" * (len(path.relative_to(root).parts) - 1)
        light = relinked(text, up, called[path], {*scripts, *bound}, marks)
        if light != text:
            path.write_text(light, encoding="utf-8")


def _own(text: str) -> list[type[LivingFigure]]:
    """The figures of a page with a heavy one, whose script is its alone."""
    its = [figure for figure in FIGURES if f"<{figure.tag} " in text]
    return its if any(len(figure._esm) >= HEAVY for figure in its) else []


def script_name(text: str) -> str:
    """The script that a page is given: most pages share one, and then it is there already."""
    return "-".join([SCRIPT.removesuffix(".js"), *(one.name for one in _own(text))]) + ".js"


def script(root: Path, names: Iterable[str], text: str) -> str:
    """The scripts of a page, without comments and space: of figures all that are light, or those that it has alone."""
    figures = _own(text) or [one for one in FIGURES if len(one._esm) < HEAVY]
    sources = (
        page_script(figures)
        if name == ALL_FIGURES
        else (root / name).read_text(encoding="utf-8")
        for name in names
    )
    return "\n".join(
        rjsmin.jsmin(re.sub(r"//# sourceMappingURL=.*", "", source), keep_bang_comments=True)
        + ";"
        for source in sources
    )


def _mark(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def relinked(text: str, up: str, script: str, bound: set[str], marks: dict[str, str]) -> str:
    """A page that links the style sheet and its script, and what is its alone behind them, under its policy."""
    alone = [name for name in dict.fromkeys(CALL.findall(text)) if name not in bound]
    text = UNUSED.sub("", POLICY.sub("", CALL.sub("", LINK.sub("", text))))
    text = re.sub(r'(<meta name="viewport"[^>]*>)(.*)</head>', _once, text, flags=re.DOTALL)
    links = f'<link rel="stylesheet" href="{up}{STYLE}?v={marks[STYLE]}" />\n'
    for name in (script, *alone):
        mark = f"?v={marks[name]}" if name in marks else ""
        links += f'<script defer src="{up}{name}{mark}"></script>\n'
    text = text.replace("<title>", links + "<title>", 1)
    return text.replace(
        '<meta charset="utf-8" />', f'<meta charset="utf-8" />\n{policy(text)}', 1
    )


def _once(head: re.Match) -> str:
    return head[1] + re.sub(r'\s*<meta name="viewport"[^>]*>', "", head[2]) + "</head>"


def policy(text: str) -> str:
    """What the page may run and fetch: its own files, and the scripts within it, each by its hash."""
    inline = dict.fromkeys([*INLINE.findall(text), *HANDLER.findall(text)])
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()}'"
        for code in inline
    )
    allowed = (
        "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
        f"script-src 'self' 'unsafe-hashes' {hashes}; base-uri 'none'; form-action 'self'"
    )
    return f'<meta http-equiv="Content-Security-Policy" content="{allowed}">'


def words(pages: Iterable[str], script: str) -> set[str]:
    """Each tag, class, id and name that an element has or that a script may give it."""
    found = set(re.findall(r"[\w-]+", script))
    for text in pages:
        for tag in re.findall(r"<[a-zA-Z][^<>]*>", text):
            found.update(re.findall(r"[\w-]+", tag))
    return found


def linked(path: Path, static: Path) -> Iterator[Node]:
    """The rules of a style sheet and of those that it imports; what they fetch, by its place from `static`."""

    def moved(match: re.Match) -> str:
        url = match[2]
        if url.startswith(("data:", "#")):
            return match[0]
        return f'url("{os.path.relpath(path.parent / url, static)}")'

    text = re.sub(r"""url\((["']?)([^"')]+)\1\)""", moved, path.read_text(encoding="utf-8"))
    for rule in tinycss2.parse_stylesheet(text, skip_comments=True, skip_whitespace=True):
        if isinstance(rule, AtRule) and rule.lower_at_keyword == "import":
            url = next(token.value for token in rule.prelude if token.type in ("string", "url"))
            yield from linked(path.parent / url, static)
        elif rule.type == "error":
            raise ValueError(f"{path}: {rule.message}")
        elif not (isinstance(rule, AtRule) and rule.lower_at_keyword == "charset"):
            yield rule


def pruned(rules: Iterable[Node], known: set[str]) -> str:
    """The rules that may apply where `known` is all that elements have; variables that nobody reads go."""
    text = "".join(_kept(rule, known) for rule in rules)
    while True:
        read = set(re.findall(r"var\((--[\w-]+)", text)) | known
        fewer = re.sub(
            r"(?<=[{;])(--[\w-]+):(?:[^;{}\"']|\"[^\"]*\"|'[^']*')*(?:;|(?=}))",
            lambda match, read=read: match[0] if match[1] in read else "",
            text,
        )
        if fewer == text:
            return re.sub(r"[^{}]+\{\}", "", text)
        text = fewer


def _kept(rule: Node, known: set[str]) -> str:
    """A rule as text, without selectors that nothing answers to; nothing where none is left."""
    if isinstance(rule, QualifiedRule):
        selectors = [one for one in _split(rule.prelude) if _needs(one) <= known]
        return (
            f"{','.join(map(_tight, selectors))}{{{_tight(rule.content)}}}" if selectors else ""
        )
    head = f"@{rule.at_keyword} {_tight(rule.prelude)}"
    if rule.content is None:
        return head + ";"
    if rule.lower_at_keyword not in ("media", "supports", "layer", "container"):
        return f"{head}{{{_tight(rule.content)}}}"
    inner = tinycss2.parse_rule_list(rule.content, skip_comments=True, skip_whitespace=True)
    body = "".join(_kept(one, known) for one in inner)
    return f"{head}{{{body}}}" if body else ""


def _split(tokens: list[Node]) -> Iterator[list[Node]]:
    """Selectors between commas."""
    part: list[Node] = []
    for token in tokens:
        if token == ",":
            yield part
            part = []
        else:
            part.append(token)
    yield part


def _needs(selector: list[Node]) -> set[str]:
    """The tags, classes and ids without which a selector finds nothing; what stands in :is(), :not() counts not."""
    needed, before = set(), ""
    for token in selector:
        if token.type == "hash":
            needed.add(token.value)
        elif token.type == "ident" and before != ":":
            needed.add(token.value)
        before = "" if isinstance(token, FunctionBlock) else token.serialize()[:1]
    return needed


def _tight(tokens: list[Node]) -> str:
    """Tokens as text, comments left out and space where it says nothing."""
    text = tinycss2.serialize([token for token in tokens if token.type != "comment"])
    parts = re.split(r"""("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|url\([^)]*\))""", text.strip())
    parts[::2] = [
        re.sub(r"\s*([{};,])\s*", r"\1", re.sub(r"\s+", " ", part)) for part in parts[::2]
    ]
    tight = "".join(parts)
    return re.sub(
        r"(?<=[{;])(--[\w-]+|[\w-]+): ", r"\1:", re.sub(r"^([\w-]+): ", r"\1:", tight)
    )
