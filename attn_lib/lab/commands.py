"""What the lab's commands share: their help, where their results go, and how a result says what made it."""

import argparse
import shlex
import sys
from pathlib import Path

EVIDENCE = "evidence"  # what ships lies in the package: nothing new is written there unless one says so


def command(about: str | None) -> argparse.ArgumentParser:
    """A parser whose --help shows the first line of a module's docstring, and all defaults."""
    return argparse.ArgumentParser(
        description=(about or "").split("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )


def add_folder(
    parser: argparse.ArgumentParser, flag: str = "--folder", default: str = EVIDENCE
) -> None:
    """The option of a folder for results. It is made at the start, not after hours of work."""
    # argparse calls `made` for a default too, where that is text.
    parser.add_argument(flag, type=made, default=default, help="where the results go")


def made(path: str | Path) -> Path:
    """A folder that is there."""
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def as_given(module: str) -> str:
    """The command that runs, as one may give it again: "python -m attn_lib.lab.comparison what --seeds 1"."""
    return shlex.join(["python", "-m", module, *sys.argv[1:]])
