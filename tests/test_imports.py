"""Who may know whom: the house's wings, read from their source."""

import ast
import re
import sys
from pathlib import Path

import pytest
from places import LIBRARY, TESTS

FILES = sorted(LIBRARY.rglob("*.py"))
# The wing, the wings that it knows, and what it knows from outside besides the standard library.
KNOWS = {
    "mechanisms": (set(), {"torch", "einops", "jaxtyping"}),
    "surgery": ({"mechanisms"}, {"torch"}),
    "instruments": ({"mechanisms"}, {"torch", "einops", "jaxtyping", "sympy"}),
    "data": (set(), {"torch", "einops", "jaxtyping", "numpy", "PIL", "scipy", "skimage", "sklearn", "torchvision"}),
    "figures": ({"mechanisms", "instruments", "data"}, {
        "torch", "einops", "jaxtyping", "numpy", "PIL", "matplotlib", "sympy", "IPython", "anywidget", "ipywidgets", "traitlets",
    }),
    "lab": ({"mechanisms", "instruments", "data"}, {
        "torch", "einops", "jaxtyping", "numpy", "PIL", "safetensors", "scipy", "accelerate", "tqdm", "onnx",
    }),
}  # fmt: skip
ANYONE = {"attn_lib.extras"}  # who knows nobody, and whom every wing asks at its door

each_file = pytest.mark.parametrize(
    "path", FILES, ids=lambda path: str(path.relative_to(LIBRARY))
)


def wing(name: str) -> str:
    """The wing of a module by its dotted name: what lies in no folder is a mechanism."""
    room = name.split(".")[1]
    return room if room in KNOWS else "mechanisms"


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(LIBRARY.parent).with_suffix("").parts)


def imported(path: Path) -> set[str]:
    """The modules that a file imports, by their full names, wherever in the file it does."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = dotted(path).split(".")[: -node.level] if node.level else []
            origin = [*package, *filter(None, [node.module])]
            names |= {
                ".".join(inner)
                if _is_module(inner := [*origin, alias.name])
                else ".".join(origin)
                for alias in node.names
            }
    return names


def _is_module(parts: list[str]) -> bool:
    place = LIBRARY.parent.joinpath(*parts)
    return place.is_dir() or place.with_suffix(".py").is_file()


def own(path: Path) -> set[str]:
    """The modules of attn_lib among them, but for what anyone may know."""
    return {name for name in imported(path) if name.startswith("attn_lib.")} - ANYONE


def outside(path: Path) -> set[str]:
    """The packages among them that are neither attn_lib nor Python's own."""
    return {name.split(".")[0] for name in imported(path)} - {
        "attn_lib",
        *sys.stdlib_module_names,
    }


def test_the_reader_of_imports_sees_them():
    assert own(LIBRARY / "spatial.py") == {"attn_lib.fast", "attn_lib.module"}
    assert "attn_lib.instruments.recording" in own(LIBRARY / "lab" / "scoring.py")
    assert {"torch", "accelerate", "tqdm"} <= outside(LIBRARY / "lab" / "training.py")
    assert "attn_lib.lab.zoo" in own(LIBRARY / "lab" / "comparison.py")  # from . import zoo


@each_file
def test_a_wing_knows_only_what_it_may(path: Path):
    if path == LIBRARY / "__init__.py":  # the door
        assert {wing(name) for name in own(path)} == {"mechanisms", "surgery", "instruments"}
        return
    here = wing(dotted(path))
    wings, packages = KNOWS[here]
    assert {wing(name) for name in own(path)} <= wings | {here}
    assert outside(path) <= packages


@pytest.mark.parametrize("path", sorted(LIBRARY.glob("*.py")), ids=lambda path: path.stem)
def test_a_mechanism_knows_the_base_class_and_the_fast_ways_alone(path: Path):
    if path.stem not in ("__init__", "mechanisms"):
        assert own(path) <= {"attn_lib.module", "attn_lib.fast"}


@pytest.mark.parametrize(
    "path", sorted((LIBRARY / "instruments").glob("*.py")), ids=lambda path: path.stem
)
def test_an_instrument_knows_no_single_mechanism(path: Path):
    if path.stem == "formulas":  # what each of them costs cannot be said without them
        return
    assert {name for name in own(path) if wing(name) == "mechanisms"} <= {"attn_lib.module"}


def test_nothing_goes_round_in_circles():
    arrows = {dotted(path).removesuffix(".__init__"): own(path) for path in FILES}
    while leaves := {
        name for name, known in arrows.items() if not known & arrows.keys() - {name}
    }:
        arrows = {name: known for name, known in arrows.items() if name not in leaves}
    assert not arrows


@pytest.mark.parametrize(
    "path",
    [*FILES, *sorted(TESTS.rglob("*.py")), *sorted(LIBRARY.rglob("*.js"))],
    ids=lambda path: f"{path.parent.name}/{path.name}",
)
def test_no_file_is_long(path: Path):
    assert len(path.read_text().splitlines()) <= 300


@each_file
def test_no_file_is_a_heap_of_utilities(path: Path):
    assert not re.match(r"(utils?|helpers?|common|misc)$", path.stem)
