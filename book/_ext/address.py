"""Where the book's repository is: nobody sets it, it is found, and what cannot work without it is left out.

The sources name a repository that is not there, `PLACEHOLDER`. A page gets the address that is found: of the run's
own repository in continuous integration, else of the clone's remote `origin`. Where neither is on GitHub, what
stands between `<!-- published -->` and `<!-- /published -->` is left out, and so are the buttons.
"""

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config

ROOT = Path(__file__).parents[2]
PLACEHOLDER = "https://github.com/attention-book/attention-book"
PUBLISHED = re.compile(r"<!-- published -->\n(.*?)<!-- /published -->\n", re.DOTALL)
REMOTE = re.compile(
    r"(?:https://(?:[^@/]+@)?|ssh://git@|git@)github\.com[:/]([\w.-]+/[\w.-]+?)(?:\.git)?/?"
)
BRANCH = "colab"  # of notebooks that fetch the library of their own commit


def setup(app: Sphinx) -> dict:
    app.connect("config-inited", set_buttons)
    app.connect("source-read", fill_in)
    app.connect("build-finished", fill_in_downloads)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def address(environment: Mapping[str, str] = os.environ, clone: Path = ROOT) -> str | None:
    """The repository on GitHub, as https://github.com/owner/name, or None where there is none."""
    if repository := environment.get("GITHUB_REPOSITORY"):
        return f"https://github.com/{repository}"
    command = ["git", "-C", str(clone), "remote", "get-url", "origin"]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:  # no git
        return None
    named = REMOTE.fullmatch(done.stdout.strip())
    return f"https://github.com/{named[1]}" if named else None


def pages_address(repository: str) -> str:
    """Where GitHub publishes the pages of a repository."""
    owner, name = repository.split("/")[-2:]
    home = f"https://{owner.lower()}.github.io"
    return home if name.lower() == f"{owner.lower()}.github.io" else f"{home}/{name}"


def set_buttons(app: Sphinx, config: Config) -> None:
    options = config.html_theme_options
    if found := address():
        options |= {"repository_url": found, "repository_branch": BRANCH}
        config.html_baseurl = f"{pages_address(found)}/"
    else:
        options |= {"repository_url": "", "use_repository_button": False, "launch_buttons": {}}


def filled(text: str, found: str | None) -> str:
    """A page's source with the address in it, or without all that wants one."""
    text = PUBLISHED.sub(r"\1" if found else "", text)
    return text.replace(PLACEHOLDER, found) if found else text


def fill_in(app: Sphinx, page: str, source: list[str]) -> None:
    # Notebooks name it in their first cell alone, which no page shows.
    if app.env.doc2path(page).endswith(".md"):
        source[0] = filled(source[0], address())


def fill_in_downloads(app: Sphinx, error: Exception | None) -> None:
    """The notebooks that one downloads fetch the library from where it is."""
    if (found := address()) and not error:
        for path in (Path(app.outdir) / "_sources").rglob("*"):
            if path.suffix in (".md", ".ipynb"):
                text = path.read_text(encoding="utf-8")
                path.write_text(text.replace(PLACEHOLDER, found), encoding="utf-8")
