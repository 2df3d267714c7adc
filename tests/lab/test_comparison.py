"""A comparison that is killed goes on, and ends with the numbers of one that was not."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from places import ROOT

from attn_lib import record
from attn_lib.data import cluttered_digits, cued_digits
from attn_lib.instruments.localisation import localise
from attn_lib.lab import comparison, zoo
from attn_lib.lab.comparison import FOLLOWED, PROBES, compare, count_work, run, stages
from attn_lib.lab.networks import HostCNN
from attn_lib.lab.tasks import SLOTS, TASKS


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Few images: what is tested is not how well it learns."""
    for name in ("TRAINED", "TESTED", "VARIED", "CALIBRATED"):
        monkeypatch.setattr(comparison, name, 80)


def numbers(path: Path) -> dict:
    """What a file holds but for times."""
    held = json.loads(path.read_text())
    for made in held["runs"]:
        del made["cpu_seconds"]
    return held


SMALL = """
import sys
from pathlib import Path
from attn_lib.lab import comparison
comparison.TRAINED = comparison.TESTED = comparison.VARIED = comparison.CALIBRATED = 80
comparison.compare("what", ["none", "squeeze_excitation"], 2, steps=30, folder=Path(sys.argv[1]))
"""


def start(folder: Path) -> subprocess.Popen:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", SMALL, str(folder)], env=environment, stderr=subprocess.DEVNULL
    )


def test_a_killed_run_goes_on_and_ends_with_the_same_numbers(tmp_path: Path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir(), broken.mkdir()
    assert start(whole).wait() == 0

    path, killed = broken / "compare_what.json", start(broken)
    while not path.is_file():
        assert killed.poll() is None
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    kept = json.loads(path.read_text())["runs"]
    assert 1 <= len(kept) < 4

    assert start(broken).wait() == 0
    ended = json.loads(path.read_text())["runs"]
    assert ended[: len(kept)] == kept  # times too: they were not made again
    assert numbers(path) == numbers(whole / "compare_what.json")
    order = [(made["seed"], made["slot"]) for made in ended]
    assert order == [(s, slot) for s in (0, 1) for slot in ("none", "squeeze_excitation")]
    assert {file.name for file in broken.iterdir()} == {"compare_what.json"}


def test_a_file_begun_otherwise_is_not_mixed_up(tmp_path: Path):
    compare("what", ["none"], 1, steps=1, folder=tmp_path, progress=False)
    with pytest.raises(ValueError, match=r"begun with \{'steps': 1\}; this is \{'steps': 2\}"):
        compare("what", ["none"], 2, steps=2, folder=tmp_path, progress=False)
    path = tmp_path / "compare_what.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"torch": "0.4"}))
    with pytest.raises(ValueError, match=r"begun with \{'torch': '0.4'\}"):
        compare("what", ["none"], 2, steps=1, folder=tmp_path, progress=False)


def test_networks_of_seed_0_become_checkpoints(tmp_path: Path, monkeypatch):
    slots = ["cbam", "loud_gate", "attention_pooling"]
    compare("where", slots, 2, steps=1, folder=tmp_path, progress=False)
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    # No chapter has loud gates.
    assert zoo.checkpoints() == [
        "host_attention_pooling",
        "host_cbam",
    ]
    made = {name: zoo.card(name) for name in zoo.checkpoints()}
    assert made["host_cbam"]["seed"] == 0 and made["host_cbam"]["torch"] == torch.__version__
    kept = zoo.results("compare_where")["runs"]
    assert len(kept) == 6 and kept[0].items() <= made["host_cbam"].items()
    assert isinstance(zoo.load("host_attention_pooling"), HostCNN)


def test_a_checkpoint_answers_as_many_questions_as_its_task_has(tmp_path: Path, monkeypatch):
    compare(
        "what", ["squeeze_excitation_everywhere"], 1, steps=1, folder=tmp_path, progress=False
    )
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    network = zoo.load("host_squeeze_excitation_everywhere")
    assert network(torch.rand(2, 3, 20, 44)).shape == (2, 4)


def test_a_task_says_which_networks_it_keeps_and_under_which_names(tmp_path: Path, monkeypatch):
    slots = ["channel_gate", "efficient_channel"]
    compare("where", slots, 1, steps=1, folder=tmp_path, progress=False)
    compare("what_longer", slots, 1, steps=1, folder=tmp_path, progress=False)
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    assert zoo.checkpoints() == ["host_efficient_channel", "host_efficient_channel_cued"]
    cued = zoo.load("host_efficient_channel_cued")
    assert cued.get_submodule("classifier").out_features == TASKS["what_longer"].classes


@pytest.mark.parametrize("task", sorted(TASKS.keys() - {"fashion"}))
def test_a_run_says_what_it_scored_and_cost(task: str):
    _, result = run(task, "selective_kernel", seed=0, steps=1)
    assert {"slot", "seed", "steps", "cpu_seconds", "parameters", "multiply_adds"} <= set(
        result
    )
    assert 0 <= result["accuracy"] <= 1 and "accuracy" in result["untrained"]
    for argument, values in TASKS[task].varied.items():
        assert (
            set(result[argument]) == set(result["largest_kernel"]) == {str(v) for v in values}
        )
        assert all(0 < share < 1 for share in result["largest_kernel"].values())


def test_a_slot_everywhere_has_a_share_at_each_depth():
    _, result = run("scale", "selective_kernel_everywhere", seed=0, steps=1)
    for shares in result["largest_kernel"].values():
        assert len(shares) == 5 and all(0 < share < 1 for share in shares)


def test_a_run_follows_gamma():
    _, result = run("what", "self_attention", seed=0, steps=21)
    assert result["gamma"]["every"] == 10 and len(result["gamma"]["values"]) == 3
    assert result["gamma"]["values"][0] == 0 != result["gamma"]["values"][2]


def test_only_the_training_is_timed(monkeypatch):
    clock = [0.0]

    def taking(seconds: float, result):
        def happen(*_, **__):
            clock[0] += seconds
            return result

        return happen

    monkeypatch.setattr(time, "process_time", lambda: clock[0])
    monkeypatch.setattr(comparison, "fit", taking(3.0, []))
    for name, result in (("evaluate", {}), ("accuracy", 0.5), ("count_work", {})):
        monkeypatch.setattr(comparison, name, taking(100.0, result))
    assert run("where", "none", seed=0, steps=1)[1]["cpu_seconds"] == 3.0


@pytest.mark.parametrize("slot", sorted(FOLLOWED.keys() | PROBES.keys()))
def test_what_is_read_belongs_to_a_slot(slot: str):
    assert slot in SLOTS


def test_costs_counted_by_hand():
    data = cued_digits("test", 1)  # 20×44: 10×22 positions, then 5×11
    positions, last = 10 * 22, 5 * 11
    convolutions = positions * (3 * 16 + 16 * 16) * 9 + last * (16 * 32 + 2 * 32 * 32) * 9
    assert count_work(HostCNN(num_classes=4), data)["multiply_adds"] == convolutions + 32 * 4
    gated, frozen = (
        count_work(HostCNN(s), data) for s in ("squeeze_excitation", "frozen_gate")
    )
    plain = count_work(HostCNN(), data)
    assert (
        gated["multiply_adds"] == frozen["multiply_adds"] == plain["multiply_adds"] + 2 * 2 * 32
    )
    assert frozen["parameters"] == plain["parameters"] == gated["parameters"] - 2 * 2 * 32


@pytest.mark.parametrize("slot", SLOTS)
def test_every_slot_has_a_host(slot: str):
    assert HostCNN(**SLOTS[slot], width=8)(torch.rand(2, 3, 20, 20)).shape == (2, 10)


def test_unknown_tasks_and_slots_are_named(tmp_path: Path):
    with pytest.raises(ValueError, match="no task 'digits'; there are where, what"):
        compare("digits", folder=tmp_path)
    with pytest.raises(ValueError, match="no slots senet; there are none, self_attention"):
        compare("what", ["none", "senet"], folder=tmp_path)


def test_the_command(tmp_path: Path, monkeypatch):
    words = ["comparison", "what", "long_range", "--slots", "none", "--seeds", "1"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [*words, "--steps", "1", "--folder", "new folder"])
    comparison.main()
    for task in ("what", "long_range"):
        held = json.loads((tmp_path / "new folder" / f"compare_{task}.json").read_text())
        assert held["steps"] == 1 and [made["slot"] for made in held["runs"]] == ["none"]
        given = "what long_range --slots none --seeds 1 --steps 1 --folder 'new folder'"
        assert held["command"] == f"python -m attn_lib.lab.comparison {given}"


def test_nothing_is_written_into_the_package_unless_one_says_so(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shipped = {path: path.stat().st_mtime_ns for path in zoo.WEIGHTS.iterdir()}
    compare("what", ["none"], 1, steps=1, progress=False)
    monkeypatch.setattr(
        "sys.argv", ["x", "where", "--slots", "none", "--seeds", "1", "--steps", "1"]
    )
    comparison.main()
    assert {path: path.stat().st_mtime_ns for path in zoo.WEIGHTS.iterdir()} == shipped
    held = json.loads((tmp_path / "evidence" / "compare_what.json").read_text())
    assert held["command"] == "compare('what', ['none'], 1, steps=1)"
    assert (tmp_path / "evidence" / "host_none.safetensors").is_file()


def test_stages_are_what_passes_through_the_module():
    torch.manual_seed(0)
    model = HostCNN("cbam", width=4).eval()
    data = cluttered_digits("test", 20)
    found = stages(model, data)
    assert [*found] == ["x", "x′", "gate", "y"]
    with record(model) as maps, torch.no_grad():
        model(data.images)
        x, y = model.features(data.images), model.slot(model.features(data.images))
    wanted = {"x": x.mean(1), "gate": maps["slot.spatial"][:, 0], "y": y.mean(1)}
    for name, each in wanted.items():
        told = asdict(localise(each, data.boxes, (40, 40)))
        assert found[name] == pytest.approx(told, abs=1e-5), name
    assert found["x′"] != found["x"] and [*stages(HostCNN(width=4).eval(), data)] == ["x"]
