"""New results are held to the intervals of those that ship."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from attn_lib.lab import zoo
from attn_lib.lab.agreement import agreement

RUNS = zoo.results("compare_where")["runs"]


def test_the_same_runs_agree_to_the_digit():
    for mean, middle, half in agreement(RUNS, RUNS).values():
        assert mean == pytest.approx(middle) and half > 0


def test_slots_that_were_not_run_are_left_out():
    assert set(agreement(RUNS[:2], RUNS)) == {run["slot"] for run in RUNS[:2]}


@pytest.mark.parametrize("change", [0, 0.2])
def test_the_command_tells_what_lies_outside(tmp_path: Path, change: float):
    results = zoo.results("compare_where")
    for run in results["runs"]:
        run["accuracy"] -= change * (run["slot"] == "none")
    (tmp_path / "compare_where.json").write_text(json.dumps(results))
    command = [sys.executable, "-m", "attn_lib.lab.agreement", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    outside = [line.split()[1] for line in done.stdout.splitlines() if "OUTSIDE" in line]
    assert outside == ["none"] * bool(change)
    assert done.returncode == bool(change)
