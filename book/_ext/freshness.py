"""Which pages are executed, read and written anew, and why.

The cache of executed notebooks knows a page's own code. What that code uses is compared here with what it
was when the page was executed; Sphinx knows the rest, but for its extensions and what stands on every page.
"""

import hashlib
import json
import sys
import time
from pathlib import Path

from jupyter_cache import get_cache
from jupyter_cache.base import JupyterCacheAbstract
from jupyter_cache.executors import load_executor
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

from uses import ROOT, page_code, uses

BOOK = ROOT / "book"
Prints = dict[str, str]


def setup(app: Sphinx) -> dict:
    freshness = Freshness(Path(app.outdir))
    app.connect("env-get-outdated", freshness.forget)
    app.connect("env-updated", freshness.remember)
    return {"parallel_read_safe": False, "parallel_write_safe": True}


class Freshness:
    """What the pages were made of, kept beside the cache of executed notebooks.

    Args:
        html: where the pages are built.
    """

    def __init__(self, html: Path):
        self.html = html
        self.cache = html.parent / ".jupyter_cache"
        self.record = self.cache / "uses.json"
        text = self.record.read_text(encoding="utf-8") if self.record.exists() else "{}"
        self.before: dict[str, Prints] = json.loads(text)
        self.now: dict[str, Prints] = {}

    def forget(
        self,
        app: Sphinx,
        env: BuildEnvironment,
        added,
        changed,
        removed,
    ) -> list[str]:
        """Drop what would not come out the same from the cache; the pages to read anew."""
        for page in removed:
            (self.html / f"{page}.html").unlink(missing_ok=True)
        self.now = {"*": _prints(BOOK / "_ext", BOOK / "_templates")}
        stale: dict[str, list[str]] = {}
        fresh = set()
        cache = get_cache(self.cache)
        cached = {record.uri for record in cache.list_cache_records()}
        for page in sorted(env.found_docs):
            source = Path(env.doc2path(page))
            if not (used := _used(source)):
                continue
            self.now[page] = used
            before = self.before.get(page) if str(source) in cached else None
            if why := changes(before, used):
                stale[page] = why
            else:
                fresh.add(str(source))
        for record in cache.list_cache_records():
            if record.uri not in fresh:
                cache.remove_cache(record.pk)
        print(explain(stale, len(fresh)), flush=True)
        execute(
            cache,
            [path for page in stale if (path := env.doc2path(page)).endswith(".ipynb")],
            app.config.nb_execution_timeout,
        )
        if changes(self.before.get("*"), self.now["*"]):
            return list(env.found_docs)
        return list(stale)

    def remember(self, app: Sphinx, env: BuildEnvironment) -> list[str]:
        """All pages have come out: keep what they were made of; the pages to write anew."""
        shown = json.dumps(
            [
                [t.astext() for t in env.titles.values()],
                sorted(env.toctree_includes.items()),
            ]
        )
        self.now["shell"] = {
            "titles": _digest(shown.encode()),
            **_prints(self.html / "_static", BOOK / "_static"),
        }
        self.record.write_text(json.dumps(self.now), encoding="utf-8")
        same = self.now["shell"] == self.before.get("shell")
        return [] if same else list(env.found_docs)


def execute(cache: JupyterCacheAbstract, notebooks: list[str], timeout: int) -> None:
    """Several notebooks side by side, into the cache. What fails there runs again in its turn, which says why."""
    if len(notebooks) < 2:
        return
    start = time.monotonic()
    for notebook in notebooks:
        cache.add_nb_to_project(notebook)
    executor = load_executor("local-parallel", cache=cache)
    done = executor.run_and_cache(filter_uris=notebooks, timeout=timeout)
    spent = f"{time.monotonic() - start:.0f} s"
    print(f"Executed {len(done.succeeded)} notebooks side by side: {spent}", flush=True)


def changes(before: Prints | None, now: Prints) -> list[str]:
    """What of a page's makings is no longer what it was."""
    if before is None:
        return ["never executed here"]
    names = sorted(before.keys() | now.keys())
    return [name for name in names if before.get(name) != now.get(name)]


def explain(stale: dict[str, list[str]], fresh: int) -> str:
    """One line: the pages that are executed anew, and why."""
    if not stale:
        return f"No page is executed anew; {fresh} are kept."
    reasons = sorted({name for why in stale.values() for name in why})
    cause = ", ".join(reasons[:3]) + ", …" * (len(reasons) > 3)
    pages = "all pages" if not fresh else ", ".join(stale)
    return f"Executed anew: {pages} ({cause}); {fresh} are kept."


def _used(page: Path) -> Prints | None:
    """All that decides what a page prints; None where it runs no code."""
    code = page_code(page)
    if not code:
        return None
    own = {
        "its own code": _digest(code.encode()),
        "Python": sys.version,
    }
    return own | _prints(ROOT / "requirements.txt", *uses(code, page.parent))


def _prints(*places: Path) -> Prints:
    """Of each file, and of each in a folder."""
    files = (
        file
        for place in sorted(places)
        for file in ([place] if place.is_file() else place.rglob("*"))
        if file.is_file() and file.suffix != ".pyc"
    )
    return {str(file.relative_to(ROOT)): _digest(file.read_bytes()) for file in files}


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
