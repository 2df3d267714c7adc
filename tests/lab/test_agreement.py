"""New results are held to the intervals of those that ship."""

import json
from pathlib import Path

import pytest

from attn_lib.lab import zoo
from attn_lib.lab.agreement import agreement, main

RUNS = zoo.results("compare_where")["runs"]


def test_the_same_runs_agree_to_the_digit():
    for mean, middle, half in agreement(RUNS, RUNS).values():
        assert mean == pytest.approx(middle) and half > 0


def test_slots_that_were_not_run_are_left_out():
    assert set(agreement(RUNS[:2], RUNS)) == {run["slot"] for run in RUNS[:2]}


@pytest.mark.parametrize("change", [0, 0.2])
def test_the_command_tells_what_lies_outside(
    tmp_path: Path, change: float, monkeypatch, capsys
):
    results = zoo.results("compare_where")
    for run in results["runs"]:
        run["accuracy"] -= change * (run["slot"] == "none")
    (tmp_path / "compare_where.json").write_text(json.dumps(results))
    monkeypatch.setattr("sys.argv", ["agreement", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in said if "OUTSIDE" in line] == ["none"] * bool(change)
    assert bool(ended.value.code) == bool(change)
