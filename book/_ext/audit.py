"""How light the built pages are: Lighthouse, as on a mobile phone, from a server that compresses.

    python book/_ext/audit.py [PAGE ...]

prints a table: kilobytes of each page, without the data of its figures and with them, its requests, what moves and
blocks, four scores, and how many of axe's rules it breaks. Wants node's npx, which fetches Lighthouse, and a Chromium.
"""

import functools
import gzip
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).parents[2]
HTML = ROOT / "_build" / "html"
sys.path.append(str(ROOT / "tests"))

from machine import chromium  # noqa: E402 (it lies among the tests, which want a browser more often)

LIGHTHOUSE = "lighthouse@12"
SCORES = {
    "performance": "performance",
    "accessibility": "accessibility",
    "best-practices": "practices",
    "seo": "search",
}
HEAD = (
    "page",
    "KB before figures",
    "KB",
    "requests",
    "shift",
    "blocked, ms",
    *SCORES.values(),
    "axe",
)
# What figures bring: the data of living ones, and pictures.
DATA = re.compile(
    r"""(?<=<script type="application/json">).*?(?=</script>)|data:image/[^"')]*""", re.DOTALL
)


def weight(files: Iterable[Path]) -> int:
    """Bytes of a page and of all that it loads, compressed as hosts do, without the data of its figures."""
    total = 0
    for path in files:
        content = path.read_bytes()
        if path.suffix == ".html":
            content = DATA.sub("", content.decode()).encode()
        total += len(gzip.compress(content, 9) if path.suffix in TEXT else content)
    return total


TEXT = (".html", ".css", ".js", ".svg")


class Compressing(http.server.SimpleHTTPRequestHandler):
    """Serves files as hosts do: text compressed."""

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        if path.suffix not in TEXT or not path.is_file():
            return super().do_GET()
        body = gzip.compress(path.read_bytes(), 9)
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(str(path)))
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        return None

    def log_message(self, *_) -> None:
        pass


def audit(url: str) -> tuple[str, ...]:
    """What Lighthouse says of a page: a row of the table, without its name."""
    command = ["npx", "--yes", LIGHTHOUSE, url, "--quiet", "--output=json"]
    flags = "--chrome-flags=--headless=new --no-sandbox --disable-gpu"
    said = subprocess.run(
        [*command, flags],
        env=os.environ | {"CHROME_PATH": chromium() or ""},
        capture_output=True,
        check=True,
    )
    report = json.loads(said.stdout)
    found = report["audits"]
    asked = [item["url"] for item in found["network-requests"]["details"]["items"]]
    files = (
        HTML / unquote(urlsplit(one).path).lstrip("/")
        for one in asked
        if one.startswith("http")
    )
    rules = report["categories"]["accessibility"]["auditRefs"]
    return (
        f"{weight(files) / 1000:.0f}",
        f"{found['total-byte-weight']['numericValue'] / 1000:.0f}",
        str(len(asked)),
        f"{found['cumulative-layout-shift']['numericValue']:.3f}",
        f"{found['total-blocking-time']['numericValue']:.0f}",
        *(f"{100 * report['categories'][name]['score']:.0f}" for name in SCORES),
        str(sum(found[rule["id"]]["score"] == 0 for rule in rules)),
    )


def main() -> None:
    if not (shutil.which("npx") and chromium()):
        raise SystemExit(
            "an audit wants node's npx and a Chromium; `make machine` brings the latter"
        )
    pages = sys.argv[1:] or sorted(
        str(path.relative_to(HTML).with_suffix(""))
        for path in HTML.rglob("*.html")
        if "_static" not in path.parts and path.stem not in ("genindex", "search")
    )
    handler = functools.partial(Compressing, directory=str(HTML))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(" | ".join(HEAD))
        for page in pages:
            row = audit(f"http://127.0.0.1:{server.server_port}/{page}.html")
            print(" | ".join((page, *row)), flush=True)
        server.shutdown()


if __name__ == "__main__":
    main()
