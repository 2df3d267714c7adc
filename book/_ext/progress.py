"""One line for each page that is read, with the seconds that it took: the long ones are those executed."""

import time

from sphinx.application import Sphinx


def setup(app: Sphinx) -> dict:
    progress = Progress()
    app.connect("env-before-read-docs", progress.count)
    app.connect("source-read", progress.start)
    app.connect("doctree-read", progress.tell)
    return {"parallel_read_safe": False, "parallel_write_safe": True}


class Progress:
    def count(self, app: Sphinx, env, pages: list[str]) -> None:
        self.done, self.total = 0, len(pages)

    def start(self, app: Sphinx, page: str, source: list[str]) -> None:
        self.started = time.monotonic()

    def tell(self, app: Sphinx, doctree) -> None:
        self.done += 1
        spent = time.monotonic() - self.started
        place = f"[{self.done:2}/{self.total}]"
        print(f"{place} {app.env.docname} {spent:.0f} s", flush=True)
