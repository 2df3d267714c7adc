"""What `make` says and does: steps, what the machine lacks, and which pages are executed anew."""

import re
import subprocess
import sys
from pathlib import Path

import machine
import pytest
import uses
from fonts import SETS, fontconfig
from freshness import changes, explain
from places import BOOK, ROOT

STEP = [sys.executable, str(ROOT / ".ci" / "step")]


def step(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([*STEP, *arguments], cwd=folder, capture_output=True, text=True)


def test_a_step_that_passes_says_its_name_and_time_alone(tmp_path: Path):
    done = step(tmp_path, "the name", "sh", "-c", "seq 100")
    assert done.returncode == 0 and done.stderr == ""
    assert re.fullmatch(r"the name … \d+ s\n", done.stdout)
    log = tmp_path / "_build" / "log" / "the-name.log"
    assert log.read_text().split() == [str(i) for i in range(1, 101)]


def test_a_step_shows_the_lines_that_are_asked_for(tmp_path: Path):
    done = step(
        tmp_path, "--show", " passed", "tests", "sh", "-c", "echo dots; echo 3 passed; echo end"
    )
    assert re.fullmatch(r"tests …\n3 passed\ntests: \d+ s\n", done.stdout)


def test_a_step_that_fails_shows_its_last_fifty_lines_and_passes_its_code_on(tmp_path: Path):
    done = step(tmp_path, "tests", "sh", "-c", "seq 100; echo why >&2; exit 3")
    lines = done.stdout.splitlines()
    assert done.returncode == 3
    assert lines[1:51] == [*map(str, range(52, 101)), "why"]
    assert "FAILED" in lines[-1] and "_build/log/tests.log" in lines[-1]


@pytest.fixture
def need(tmp_path: Path) -> machine.Need:
    """A file, which either of two commands makes."""
    wanted = tmp_path / "wanted"
    return machine.Need(
        "thing",
        wanted.is_file,
        "its tests",
        {"apt-get": "thing"},
        ("sh", "-c", f"echo downloading; touch '{wanted}'"),
    )


@pytest.fixture
def nobody(monkeypatch) -> None:
    """A user of Debian who may not install."""
    monkeypatch.setattr(machine, "manager", lambda: "apt-get")
    monkeypatch.setattr(machine, "rights", lambda: None)


def test_what_is_there_is_not_fetched(need, nobody, tmp_path: Path):
    (tmp_path / "wanted").touch()
    with (tmp_path / "log").open("w+") as log:
        assert machine.fetch(need, log)
    assert (tmp_path / "log").read_text() == ""


def test_a_download_comes_first_and_is_in_the_log(need, nobody, tmp_path: Path):
    with (tmp_path / "log").open("w+") as log:
        assert machine.fetch(need, log)
    assert "downloading" in (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    "rights, wanted",
    [
        (None, []),
        ([], [["apt-get", "update", "-q"], [*machine.INSTALL["apt-get"].split(), "thing"]]),
        (["sudo", "-n"], [["sudo", "-n", "apt-get", "update", "-q"], ["sudo", "-n", *machine.INSTALL["apt-get"].split(), "thing"]]),
    ],
    ids=["a plain user", "root", "sudo"],
)  # fmt: skip
def test_the_package_manager_is_asked_where_one_may(need, monkeypatch, rights, wanted):
    monkeypatch.setattr(machine, "manager", lambda: "apt-get")
    monkeypatch.setattr(machine, "rights", lambda: rights)
    assert list(machine.ladder(need)) == [list(need.download), *wanted]


def test_what_stays_missing_is_one_loud_line_and_what_was_tried_is_in_the_log(
    nobody, monkeypatch, tmp_path: Path, capsys
):
    lacking = machine.Need(
        "thing",
        lambda: None,
        "its tests",
        {"apt-get": "thing"},
        ("sh", "-c", "echo no; exit 7"),
    )
    monkeypatch.setattr(machine, "NEEDS", (lacking,))
    monkeypatch.setattr(machine, "LOG", machine.ROOT / "_build" / "log" / "machine-tested.log")
    monkeypatch.setattr(machine, "MISSING", tmp_path / "missing")
    machine.main()
    said = capsys.readouterr().out
    assert said.count("\n") == 1 and said == (tmp_path / "missing").read_text()
    for part in ("NO THING", "its tests are SKIPPED", "apt-get install", "machine-tested.log"):
        assert part in said
    assert "no\nthing: exit code 7" in machine.LOG.read_text()


def test_a_browser_that_is_named_and_does_not_start_is_refused(monkeypatch):
    machine.chromium.cache_clear()
    monkeypatch.setenv("CHROMIUM", "/bin/false")
    with pytest.raises(ValueError, match=r"\$CHROMIUM is /bin/false"):
        machine.chromium()
    machine.chromium.cache_clear()


def test_a_set_of_fonts_that_is_missing_makes_no_file(monkeypatch, tmp_path: Path):
    assert fontconfig("DejaVu", tmp_path).is_file()
    monkeypatch.setitem(SETS, "DejaVu", type(SETS["DejaVu"])(list, ("a", "b", "c")))
    assert fontconfig("DejaVu", tmp_path) is None


def used(code: str, folder: Path = BOOK) -> set[str]:
    return {str(path.relative_to(ROOT)) for path in uses.uses(code, folder)}


def test_a_page_uses_what_its_names_come_from_and_not_what_stands_beside_it():
    assert used("import attn_lib") == set(), "the first cell only asks whether it is there"
    assert used("from attn_lib import NonLocalMeans") == {
        "attn_lib/fast.py",
        "attn_lib/foundations.py",
        "attn_lib/module.py",
    }
    tracer = used("from attn_lib.figures import ShapeTracer")
    assert "attn_lib/figures/shapes/tracer.py" in tracer
    assert not any("cost" in path or path.endswith(("js", "css")) for path in tracer)
    networks = used("from attn_lib.lab import zoo")
    assert {"attn_lib/spatial.py", "attn_lib/lab/zoo.py"} <= networks
    assert any(path.startswith("attn_lib/lab/weights/") for path in networks)


def test_a_name_of_unknown_origin_uses_its_whole_package():
    assert {"attn_lib/vit.py", "attn_lib/lab/zoo.py"} <= used("import attn_lib; attn_lib.what")


def test_a_page_uses_the_files_that_it_names():
    code = uses.page_code(BOOK / "appendix" / "speed.md")
    assert "benchmarks/mechanisms.json" in used(code, BOOK / "appendix")


def test_code_of_a_page_is_read_without_jupyters_commands(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text("```{code-cell} ipython3\n:tags: [a]\n\nif 1:\n    %pip install\n```\n")
    assert uses.page_code(page) == "\nif 1:\n    pass\n"


def test_a_page_is_executed_anew_where_what_it_uses_changed_and_it_says_why():
    before = {"its own code": "1", "a.py": "2", "b.py": "3"}
    assert changes(before, before) == []
    assert changes(before, before | {"a.py": "9"}) == ["a.py"]
    assert changes(before, {"its own code": "1", "a.py": "2"}) == ["b.py"]
    assert changes(None, before) == ["never executed here"]
    assert explain({}, 5) == "No page is executed anew; 5 are kept."
    assert explain({"x/y": ["a.py"]}, 4) == "Executed anew: x/y (a.py); 4 are kept."
    assert "all pages (a.py, b.py, c.py, …)" in explain({"x": ["a.py", "b.py", "c.py", "d.py"]}, 0)  # fmt: skip
