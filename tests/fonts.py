"""Two sets of fonts for browser tests, the same on every machine: chosen here, not by what happens to be installed."""

import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class FontSet:
    """What a browser sees, and nothing else.

    Attributes:
        files: finds them; an empty list where one is missing.
        families: what a page gets that asks for sans-serif, for serif, and for code.
        else_: where these lack a sign.
    """

    files: Callable[[], list[Path]]
    families: tuple[str, str, str]
    else_: tuple[str, ...] = ()


def dejavu() -> list[Path]:
    """Matplotlib brings them, so they are everywhere."""
    matplotlib = importlib.util.find_spec("matplotlib")
    if not matplotlib:
        return []
    return sorted(Path(matplotlib.origin).parent.glob("mpl-data/fonts/ttf/DejaVu*.ttf"))


def liberation() -> list[Path]:
    """Liberation and Noto CJK, of the system: all of them, or none."""
    own = os.environ.get("XDG_DATA_HOME", "~/.local/share")
    places = ("/usr/share/fonts", "/usr/local/share/fonts", f"{own}/fonts", "~/Library/Fonts")
    files = {
        path.name: path
        for place in places
        for path in sorted(Path(place).expanduser().rglob("*.[to]t*"))
    }
    found = []
    for kind in ("LiberationSans-", "LiberationSerif-", "LiberationMono-", "NotoSansCJK"):
        if not (these := [path for name, path in files.items() if name.startswith(kind)]):
            return []
        found += these
    return found


SETS = {
    "DejaVu": FontSet(dejavu, ("DejaVu Sans", "DejaVu Serif", "DejaVu Sans Mono")),
    "Liberation": FontSet(
        liberation,
        ("Liberation Sans", "Liberation Serif", "Liberation Mono"),
        ("Noto Sans CJK SC",),
    ),
}


def fontconfig(name: str, folder: Path) -> Path | None:
    """A file for $FONTCONFIG_FILE under which a browser sees one set of fonts alone, or None without that set.

    Args:
        name: of the set, one of `SETS`.
        folder: where to put the file, and the cache that fontconfig makes.
    """
    chosen = SETS[name]
    files = chosen.files()
    if not files:
        return None
    asked = {
        "sans-serif": chosen.families[0],
        "Arial": chosen.families[0],
        "serif": chosen.families[1],
        "monospace": chosen.families[2],
    }
    aliases = [
        f"<alias binding='same'><family>{family}</family><prefer>"
        + "".join(f"<family>{one}</family>" for one in (given, *chosen.else_))
        + "</prefer></alias>"
        for family, given in asked.items()
    ]
    lines = [
        '<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd">',
        "<fontconfig>",
        *(f"<dir>{place}</dir>" for place in sorted({file.parent for file in files})),
        f"<cachedir>{folder / 'cache'}</cachedir>",
        "<selectfont>",
        *(f"<acceptfont><glob>{file}</glob></acceptfont>" for file in files),
        "<rejectfont><glob>*</glob></rejectfont>",
        "</selectfont>",
        *aliases,
        "</fontconfig>",
    ]
    path = folder / "fonts.conf"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


# A wide screen and a phone, each under one set; the phone has the wider letters.
every_screen = pytest.mark.parametrize(
    "width, fonts", [(1200, "Liberation"), (390, "DejaVu")], indirect=["fonts"]
)
