"""What the tests want of the machine besides Python's packages: found, or fetched, or else missed aloud.

`python tests/machine.py` fetches what is missing as far as it may. What it tried stands in a log; what stays
missing is one loud line, and the tests that want it are skipped.
"""

import functools
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from fonts import liberation
from places import ROOT

BUILD = ROOT / "_build"
LOG = BUILD / "log" / "machine.log"
MISSING = BUILD / "missing"  # what `make test` says again at its end
DEBIAN_CLOTHES = Path("/usr/share/datasets/fashion-mnist")
OWN_CLOTHES = Path("~/.cache/attn_lib").expanduser()  # where attn_lib.data looks
BROWSERS = (
    "chromium-headless-shell",  # no windows, no menus: a page opens in two thirds of the time
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)


@functools.cache
def chromium() -> str | None:
    """The Chromium or Chrome that browser tests start: $CHROMIUM, else the system's, else Playwright's own.

    Raises:
        ValueError: $CHROMIUM names what does not start.
    """
    if named := os.environ.get("CHROMIUM"):
        if not _starts(named):
            raise ValueError(f"$CHROMIUM is {named}, which does not start")
        return named
    found = filter(None, map(shutil.which, BROWSERS))
    return next(filter(_starts, chain(found, _playwright_s())), None)


def _starts(command: str) -> bool:
    # Ubuntu's chromium-browser only says what to install, and Playwright's wants libraries of the system.
    try:
        done = subprocess.run([command, "--version"], capture_output=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _playwright_s() -> Iterator[str]:
    script = (
        "from playwright.sync_api import sync_playwright as start\n"
        "with start() as playwright: print(playwright.chromium.executable_path)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    if done.returncode == 0:  # else Playwright is not installed
        yield done.stdout.strip()


def compiler() -> str | None:
    """The C++ compiler that torch.compile calls; it includes Python's own header."""
    named = os.environ.get("CXX")
    found = shutil.which(named) if named else shutil.which("g++") or shutil.which("clang++")
    header = Path(sysconfig.get_path("include")) / "Python.h"
    return found if header.is_file() else None


def clothes() -> Path | None:
    """Fashion-MNIST, of Debian or as torchvision downloads it."""
    downloaded = OWN_CLOTHES / "FashionMNIST" / "raw" / "t10k-labels-idx1-ubyte"
    if DEBIAN_CLOTHES.is_dir():
        return DEBIAN_CLOTHES
    return downloaded.parent if downloaded.is_file() else None


@dataclass(frozen=True)
class Need:
    """One thing that tests want.

    Attributes:
        name: what it is.
        find: where it is, or something false.
        without: what is skipped where it is missing.
        packages: that bring it, by package manager; " | " stands between choices.
        download: a command that fetches a copy for this user alone.
    """

    name: str
    find: Callable
    without: str
    packages: dict[str, str]
    download: tuple[str, ...] = ()


_CLOTHES = f"from torchvision.datasets import FashionMNIST as F; F({str(OWN_CLOTHES)!r}, download=True)"
NEEDS = (
    Need(
        "browser",
        chromium,
        "the tests of pages and figures",
        {
            "apt-get": "chromium-headless-shell libatomic1 | chromium libatomic1",
            "dnf": "chromium libatomic",
            "brew": "--cask chromium",
        },
        (sys.executable, "-m", "playwright", "install", "chromium", "--no-shell"),
    ),
    Need(
        "C++ compiler with Python's headers",
        compiler,
        "one test of torch.compile",
        {"apt-get": "g++ python3-dev", "dnf": "gcc-c++ python3-devel", "brew": "gcc"},
    ),
    Need(
        "Fashion-MNIST",
        clothes,
        "the tests of that data set",
        {"apt-get": "dataset-fashion-mnist"},
        (sys.executable, "-c", _CLOTHES),
    ),
    Need(
        "Liberation and Noto CJK",
        liberation,
        "the tests of pages under a second set of fonts",
        {
            "apt-get": "fonts-liberation fonts-noto-cjk",
            "dnf": "liberation-fonts google-noto-sans-cjk-fonts",
            "brew": "--cask font-liberation font-noto-sans-cjk",
        },
    ),
)
INSTALL = {
    "apt-get": "apt-get install -y --no-install-recommends",
    "dnf": "dnf install -y",
    "brew": "brew install",
}


def manager() -> str | None:
    """The machine's package manager."""
    return next(filter(shutil.which, INSTALL), None)


def rights() -> list[str] | None:
    """What goes before the package manager's command: nothing, sudo, or None where this user may not install."""
    if manager() == "brew" or os.geteuid() == 0:
        return []
    if (
        shutil.which("sudo")
        and subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode == 0
    ):
        return ["sudo", "-n"]
    return None


def ladder(need: Need) -> Iterator[list[str]]:
    """The commands that may bring a missing thing, in their order."""
    if need.download:
        yield list(need.download)
    packages, before = need.packages.get(manager() or ""), rights()
    if packages and before is not None:
        if manager() == "apt-get":
            yield [*before, "apt-get", "update", "-q"]
        for choice in packages.split(" | "):
            yield [*before, *INSTALL[manager()].split(), *choice.split()]


def fetch(need: Need, log) -> bool:
    """Whether it is there in the end; the log takes what each command says."""

    def found() -> bool:
        chromium.cache_clear()
        return bool(need.find())

    if found():
        return True
    # A download that cannot start is given up soon; a package manager asks nothing.
    environment = os.environ | {
        "PLAYWRIGHT_DOWNLOAD_CONNECTION_TIMEOUT": "10000",
        "DEBIAN_FRONTEND": "noninteractive",
    }
    for command in ladder(need):
        print(f"{need.name}: {' '.join(command)}", file=log, flush=True)
        try:
            done = subprocess.run(
                command,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=environment,
                timeout=120 if command == list(need.download) else 900,
            )
            print(f"{need.name}: exit code {done.returncode}", file=log, flush=True)
        except subprocess.TimeoutExpired as error:
            print(f"{need.name}: {error}", file=log, flush=True)
        if found():
            return True
    return False


def loud(need: Need) -> str:
    first = {name: choices.split(" | ")[0] for name, choices in need.packages.items()}
    packages = first.get(manager() or "", " or ".join(first.values()))
    how = f"{INSTALL[manager()]} {packages}" if manager() in need.packages else packages
    return (
        f"!!! NO {need.name.upper()}: {need.without} are SKIPPED. Install it: {how}. "
        f"What was tried: {LOG.relative_to(ROOT)}"
    )


def main() -> None:
    LOG.parent.mkdir(parents=True, exist_ok=True)
    with LOG.open("w", encoding="utf-8") as log:
        missing = [loud(need) for need in NEEDS if not fetch(need, log)]
    MISSING.write_text("".join(f"{line}\n" for line in missing), encoding="utf-8")
    print(MISSING.read_text(encoding="utf-8"), end="")


if __name__ == "__main__":
    main()
