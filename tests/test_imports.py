"""Who may know whom: the library's layers, read from its source."""

import ast
import re
from pathlib import Path

import pytest

LIBRARY = Path(__file__).parent.parent / "attn_lib"
TESTS = Path(__file__).parent
FILES = sorted(LIBRARY.rglob("*.py"))
MECHANISMS = [
    LIBRARY / f"{name}.py"
    for name in ("foundations", "spatial", "channel", "mixed", "vit", "contrastive")
]
BELOW = [
    *filter(Path.exists, MECHANISMS),
    *(
        LIBRARY / f"{name}.py"
        for name in (
            "module",
            "mechanisms",
            "localisation",
            "statistics",
            "recording",
            "axes",
            "shapes",
            "tracing",
            "costs",
            "formulas",
        )
    ),
    *(LIBRARY / "data").glob("*.py"),
]

each_file = pytest.mark.parametrize(
    "path", FILES, ids=lambda path: str(path.relative_to(LIBRARY))
)


def imported(path: Path) -> set[str]:
    """The modules of attn_lib that a file imports, by their first name, wherever in the file it does."""
    depth = len(path.relative_to(LIBRARY).parts) - 1
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = {0: "", depth + 1: "attn_lib."}.get(
                node.level, f"attn_lib.{path.parent.name}."
            )
            names |= {
                f"{package}{node.module or ''}.{alias.name}".replace("..", ".")
                for alias in node.names
            }
    return {name.split(".")[1] for name in names if name.startswith("attn_lib.")}


def outside(path: Path) -> set[str]:
    """The packages outside attn_lib that a file imports."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    plain = [
        alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names
    ]
    source = [
        node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.level == 0
    ]
    return {name.split(".")[0] for name in plain + source} - {"attn_lib"}


def test_the_reader_of_imports_sees_them():
    assert imported(LIBRARY / "sanity.py") == {
        "zoo", "data", "localisation", "module", "networks", "training",
    }  # fmt: skip
    assert imported(LIBRARY / "spatial.py") == {"module"}
    assert {"torch", "jaxtyping", "tqdm"} <= outside(LIBRARY / "training.py")
    assert imported(LIBRARY / "figures" / "__init__.py") == {"figures"}


@pytest.mark.parametrize(
    "path", list(filter(Path.exists, MECHANISMS)), ids=lambda path: path.stem
)
def test_a_mechanism_knows_only_the_core_and_torch(path: Path):
    assert imported(path) <= {"module"}
    assert outside(path) <= {
        "torch",
        "einops",
        "jaxtyping",
        "math",
        "collections",
        "typing",
        "dataclasses",
    }


@each_file
def test_only_figures_know_figures(path: Path):
    assert "figures" not in imported(path) or path.parent.name == "figures"


@pytest.mark.parametrize("path", BELOW, ids=lambda path: path.stem)
def test_what_lies_below_knows_neither_networks_nor_training(path: Path):
    assert not imported(path) & {
        "networks", "training", "comparison", "sanity", "zoo", "figures",
    }  # fmt: skip


def test_networks_know_no_data():
    mechanisms = {path.stem for path in MECHANISMS}
    assert imported(LIBRARY / "controls.py") <= {"module", *mechanisms}
    assert imported(LIBRARY / "networks.py") <= {"controls", "mechanisms", *mechanisms}


@pytest.mark.parametrize(
    "path",
    [*FILES, *sorted(TESTS.rglob("*.py"))],
    ids=lambda path: f"{path.parent.name}/{path.name}",
)
def test_no_file_is_long(path: Path):
    assert len(path.read_text().splitlines()) <= 300


@each_file
def test_no_file_is_a_heap_of_utilities(path: Path):
    assert not re.match(r"(utils?|helpers?|common|misc)$", path.stem)
