"""A command that was killed goes on where it was, and ends with the same file."""

import json
from pathlib import Path

import pytest

from attn_lib.lab.runs import collect, rounded


def test_runs_are_collected_seed_by_seed(tmp_path: Path):
    results = collect(
        tmp_path / "r.json", {"steps": 3}, ["a", "b"], 2, lambda arm, seed: {"score": 1 / 3}
    )
    assert [(run["arm"], run["seed"]) for run in results["runs"]] == [
        ("a", 0), ("b", 0), ("a", 1), ("b", 1),
    ]  # fmt: skip
    assert results["steps"] == 3 and results["runs"][0]["score"] == 0.33333
    assert json.loads((tmp_path / "r.json").read_text()) == results
    assert list(tmp_path.iterdir()) == [tmp_path / "r.json"]


def test_the_file_calls_an_arm_as_one_wants(tmp_path: Path):
    calls: list = []
    for _ in range(2):
        results = collect(
            tmp_path / "r.json", {}, ["a"], 1,
            lambda *call: {"score": len(calls), "said": calls.append(call)},
            called="slot", progress=False,
        )  # fmt: skip
    assert results["runs"] == [{"slot": "a", "seed": 0, "score": 0, "said": None}]
    assert calls == [("a", 0)]


def test_what_was_killed_goes_on(tmp_path: Path):
    asked = []

    def run(arm: str, seed: int) -> dict:
        asked.append((arm, seed))
        if len(asked) == 2:
            raise KeyboardInterrupt
        return {"score": seed}

    with pytest.raises(KeyboardInterrupt):
        collect(tmp_path / "r.json", {}, ["a", "b"], 1, run)
    assert len(collect(tmp_path / "r.json", {}, ["a", "b"], 1, run)["runs"]) == 2
    assert asked == [("a", 0), ("b", 0), ("b", 0)]


def test_a_file_begun_in_another_way_is_refused(tmp_path: Path):
    collect(tmp_path / "r.json", {"steps": 3}, ["a"], 1, lambda arm, seed: {})
    with pytest.raises(ValueError, match=r"begun with {'steps': 3}; this is {'steps': 4}"):
        collect(tmp_path / "r.json", {"steps": 4}, [], 1, lambda arm, seed: {})


def test_the_file_names_every_command_that_added_runs_once(tmp_path: Path):
    path, few, more = tmp_path / "new" / "r.json", "python -m x", "python -m x --seeds 2"
    for command, seeds in ((few, 1), (few, 1), (more, 2), ("python -m y", 2)):
        collect(path, {"command": command}, ["a"], seeds, lambda arm, seed: {}, progress=False)
    held = json.loads(path.read_text())
    assert len(held["runs"]) == 2
    assert held["command"] == f"{few} && {more}", "the last command added nothing"


def test_floats_are_rounded_wherever_they_are():
    assert rounded({"a": [0.123456789, {"b": 2}], "c": "d"}) == {
        "a": [0.12346, {"b": 2}],
        "c": "d",
    }
