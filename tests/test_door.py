"""The door: what pip brings, what an import costs, and what each wing says where its packages are missing."""

import re
import subprocess
import sys
import zipfile
from importlib.metadata import Distribution, PathDistribution, distribution
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest
import torch
import yaml
from cases import CASES
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from places import LIBRARY, ROOT
from test_imports import KNOWS
from test_vit import MODELS
from torch import nn

import attn_lib
from attn_lib import AttentionModule

CORE = {"torch", "einops", "jaxtyping", "numpy", "safetensors"}


@pytest.fixture(scope="session")
def installed(tmp_path_factory) -> Path:
    """The library as pip installs it: its wheel, unpacked."""
    folder = tmp_path_factory.mktemp("door")
    source, site = folder / "source", folder / "site"
    # Of a copy: setuptools takes along what an earlier build left beside the source.
    copytree(LIBRARY, source / "attn_lib", ignore=ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        (source / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", folder, source]
    subprocess.run(command, check=True, capture_output=True)
    [wheel] = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(site)
    return site


def library(site: Path) -> Distribution:
    [metadata] = site.glob("attn_lib-*.dist-info")
    return PathDistribution(metadata)


def brought(site: Path, extra: str) -> list[Distribution]:
    """What pip would bring along with the library and one of its extras, and so on."""
    found: dict[tuple[str, str], Distribution] = {}
    todo = [("attn-lib", ""), ("attn-lib", extra)]
    while todo:
        name, extra = todo.pop()
        if (name, extra) in found:
            continue
        package = library(site) if name == "attn-lib" else distribution(name)
        found[name, extra] = package
        for wanted in map(Requirement, package.requires or []):
            if wanted.marker is None or wanted.marker.evaluate({"extra": extra}):
                todo += [(canonicalize_name(wanted.name), e) for e in ("", *wanted.extras)]
    return [package for (name, _), package in found.items() if name != "attn-lib"]


@pytest.fixture
def run_with(installed, tmp_path):
    """Run code where there is Python, the library and one of its extras ("" is none), and nothing else."""

    def run(extra: str, code: str) -> str:
        for package in brought(installed, extra):
            for top in {path.parts[0] for path in package.files or []} - {"..", "__pycache__"}:
                if not (tmp_path / top).exists():
                    (tmp_path / top).symlink_to(package.locate_file(top))
        # -S: no site-packages, so what is not in these two folders is not there.
        paths = f"import sys; sys.path += {[str(installed), str(tmp_path)]}\n"
        command = [sys.executable, "-I", "-S", "-c", paths + code]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.mark.slow
def test_pip_brings_five_packages_and_keeps_those_that_are_there(installed):
    wanted = list(map(Requirement, library(installed).requires or []))
    core = {part.name for part in wanted if part.marker is None}
    assert core == CORE
    ours = [
        p for p in wanted if not re.search("book|test", str(p.marker)) and p.name != "attn-lib"
    ]
    assert {bound.operator for part in ours for bound in part.specifier} == {">="}, ours


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_the_library(installed):
    def files(folder: Path) -> set[str]:
        found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
        return {str(path) for path in found if "__pycache__" not in path.parts}

    held = files(installed / "attn_lib")
    assert held == files(LIBRARY)
    assert {".py", ".js", ".css", ".json", ".safetensors"} <= {Path(p).suffix for p in held}


ALL = """
from contextlib import nullcontext
import torch
import attn_lib
from attn_lib import *

assert {"site", "pytest", "matplotlib", "accelerate", "sklearn"}.isdisjoint(sys.modules)
for module, x, y in torch.load("runs.pt", weights_only=False):
    looks = any(isinstance(part, AttentionModule) for part in module.modules())
    with record(module) if looks else nullcontext({"": y}) as maps:
        torch.testing.assert_close(module(x).detach(), y)
    assert maps
for name in available():
    network = insert(torch.nn.Sequential(torch.nn.Conv2d(3, 16, 3)), name, after="0")
    with record(network) as maps:
        network(torch.randn(2, 3, 9, 9)).sum().backward()
    assert maps
    assert cost(getattr(network[0], name), (2, 16, 7, 7)).parameters.value >= 0
print("ran")
"""


@pytest.mark.slow
def test_the_core_alone_runs_every_mechanism_and_inserts_and_records(run_with, tmp_path):
    # But for spectral norm: torch pickles no parametrized module.
    runs = [
        (case.build(), case.input()) for case in CASES if case.name not in ("paper", "released")
    ]
    runs += [(vit.make().eval(), torch.randn(vit.shape)) for vit in MODELS]
    ran = {type(part) for module, _ in runs for part in module.modules()}
    ours = {
        thing for thing in map(vars(attn_lib).get, attn_lib.__all__) if isinstance(thing, type)
    }
    assert {thing for thing in ours if issubclass(thing, nn.Module)} - {AttentionModule} <= ran
    torch.save([(module, x, module(x).detach()) for module, x in runs], tmp_path / "runs.pt")
    assert run_with("", ALL) == "ran\n"


@pytest.mark.slow
@pytest.mark.parametrize("extra, wings", [("figures", ["figures"]), ("lab", ["data", "lab"])])
def test_an_extra_brings_all_that_its_wing_imports(extra, wings, run_with):
    modules = [
        ".".join(path.relative_to(LIBRARY.parent).with_suffix("").parts)
        for wing in wings
        for path in sorted((LIBRARY / wing).rglob("*.py"))
    ]
    run_with(extra, "\n".join(f"import {name}" for name in modules))


MISSING = """
def try_to(action):
    try:
        action()
    except ModuleNotFoundError as error:
        print(error)

import attn_lib
for wing in ("figures", "lab.zoo", "data"):
    try_to(lambda: __import__(f"attn_lib.{wing}"))
sys.modules["sympy"] = None  # torch brings it today
try_to(lambda: attn_lib.cost(attn_lib.CBAM(8), (1, 8, 3, 3)))
"""


@pytest.mark.slow
def test_what_needs_more_says_which_extra_brings_it(run_with):
    assert run_with("", MISSING).splitlines() == [
        "attn_lib.figures needs IPython, PIL, anywidget, ipywidgets and matplotlib: pip install 'attn-lib[figures]'",
        "attn_lib.lab needs accelerate, scipy, skimage, sklearn and tqdm: pip install 'attn-lib[lab]'",
        "attn_lib.data needs skimage and sklearn: pip install 'attn-lib[lab]'",
        "cost needs sympy: pip install 'attn-lib[figures]'",
    ]


IMPORT = """
import sys, time
start = time.process_time()
import torch
before, between = set(sys.modules), time.process_time()
import attn_lib
print((time.process_time() - between) / (between - start))
print(*{name.split(".")[0] for name in sys.modules.keys() - before} - sys.stdlib_module_names)
"""


def test_the_import_is_a_trifle_beside_torch_s_and_loads_nothing_of_the_extras():
    """Processor time, beside torch's in the same process: of a busy or slow machine both tell alike."""
    shares = []
    for _ in range(3):
        command = [sys.executable, "-c", IMPORT]
        done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
        share, loaded = done.stdout.splitlines()
        assert set(loaded.split()) <= CORE | {"attn_lib"}
        shares.append(float(share))
        if shares[-1] < 0.08:  # 0.04 here, 75 ms; with sympy 0.3
            return
    raise AssertionError(shares)


@pytest.mark.slow
def test_the_version_is_the_same_everywhere(installed):
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    headings = re.findall(r"^## \[?([^\]\n]+?)\]?(?: - (\S+))?$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)  # fmt: skip
    assert headings[0][0] == "Unreleased"
    version, date = headings[1]
    assert library(installed).version == version == citation["version"]
    assert date == str(citation["date-released"])


def test_the_map_in_the_readme_is_true():
    """Five lines: a wing, what it holds, and what it knows."""
    lines = re.findall(r"^(attn_lib/.*)$", (ROOT / "README.md").read_text(), re.MULTILINE)
    rows = [re.split(r" {2,}", line) for line in lines]
    told = {place.removeprefix("attn_lib/").strip("/") or "mechanisms": set(knows.split(", ")) for place, _, knows in rows}  # fmt: skip
    folders = {path.name for path in LIBRARY.iterdir() if path.is_dir() and path.name != "__pycache__"}  # fmt: skip
    assert len(rows) == 5 and told.keys() | {"data"} == folders | {"mechanisms"}
    for wing, knows in told.items():
        wings, packages = KNOWS[wing]
        assert knows == (wings or packages), wing
