"""What a page's code uses of the repository: modules of the library, name by name, and files of data."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import nbformat

ROOT = Path(__file__).parents[2]
DOOR = "attn_lib"
FENCE = re.compile(
    r"^```\{code-cell\}[^\n]*\n(?::[^\n]*\n)*(.*?)^```",
    re.DOTALL | re.MULTILINE,
)


def page_code(path: Path) -> str:
    """A page's Python; of Jupyter's commands, nothing."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = nbformat.reads(text, as_version=4).cells
        listings = [c.source for c in cells if c.cell_type == "code"]
    else:
        listings = FENCE.findall(text)
    code = "\n".join(listings)
    return re.sub(r"^(\s*)[%!].*", r"\1pass", code, flags=re.MULTILINE)


def uses(code: str, folder: Path) -> set[Path]:
    """All files that decide what some code prints.

    Scripts and styles are not among them: pages load these, outputs do not hold them.

    Args:
        code: Python that imports the library by its full name.
        folder: in which it runs, for the files that it names.
    """
    found: set[Path] = set()
    new = set(_direct(code, folder, ""))
    while new:
        found |= new
        new = {more for path in new for more in _used_by(path)} - found
    return found


@cache
def _used_by(path: Path) -> set[Path]:
    if path.suffix != ".py":
        return set()
    package = ".".join(path.relative_to(ROOT).parent.parts)
    code = path.read_text(encoding="utf-8")
    return set(_direct(code, path.parent, package))


def _direct(code: str, folder: Path, package: str) -> Iterator[Path]:
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield from _resolve(_origin(node, package), alias.name)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith(f"{DOOR}."):
                    yield from _resolve(*alias.name.rsplit(".", 1))
        elif isinstance(node, ast.Attribute):
            if isinstance(node.value, ast.Name) and node.value.id == DOOR:
                yield from _resolve(DOOR, node.attr)
        elif isinstance(node, ast.Constant):
            yield from _data(node.value, folder)


def _origin(node: ast.ImportFrom, package: str) -> str:
    """The full name of the module from which a name is imported."""
    parts = package.split(".")
    above = parts[: len(parts) + 1 - node.level] if node.level else []
    return ".".join([*above, *filter(None, [node.module])])


def _resolve(module: str, name: str) -> Iterator[Path]:
    """The file that holds a name; where a package only passes it on, the file that it comes from."""
    if module.split(".")[0] != DOOR:
        return
    place = ROOT.joinpath(*module.split("."))
    if (inner := place / f"{name}.py").is_file():
        yield inner
    elif (package := place / name / "__init__.py").is_file():
        yield package
    elif place.with_suffix(".py").is_file():
        yield place.with_suffix(".py")
    elif origin := _passed_on(place / "__init__.py", module, name):
        yield from _resolve(*origin)
    else:  # made there, or in a way that is not seen from here
        yield from place.rglob("*.py")


@cache
def _passed_on(door: Path, package: str, name: str) -> tuple[str, str] | None:
    for node in _parsed(door).body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if name == (alias.asname or alias.name):
                    return _origin(node, package), alias.name
    return None


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _data(value: object, folder: Path) -> Iterator[Path]:
    """The files that a string names, one or a folder of them."""
    if not isinstance(value, str) or not re.fullmatch(r"(\.\./)*\w[\w./-]*", value):
        return
    place = (folder / value).resolve()
    files = [place] if place.is_file() else place.rglob("*")
    yield from (
        file
        for file in files
        if file.is_file() and file.suffix not in (".py", ".pyc", ".js", ".css")
    )
