"""The same training in one process, in two, in half precision, and after it was killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from places import TESTS
from shared_runs import Killed, Noisy, dropping, host, resumed, run, transformer
from torch import nn

from attn_lib.data import LocatedImages, cluttered_digits
from attn_lib.lab.networks import HostCNN
from attn_lib.lab.scoring import accuracy
from attn_lib.lab.training import classify, fit

ENVIRONMENT = os.environ | {
    "PYTHONPATH": os.pathsep.join(map(str, (TESTS.parent, TESTS, TESTS / "lab"))),
    "OMP_NUM_THREADS": "1",
}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """As the launched processes have: more threads add up in another order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> dict:
    """What two processes on this machine found."""
    path = tmp_path_factory.mktemp("two") / "results.json"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", str(TESTS / "lab" / "shared_runs.py"), str(path)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "training" not in done.stderr  # no bar was asked for
    return json.loads(path.read_text())


def same(first: nn.Module, second: nn.Module) -> bool:
    states = first.state_dict(), second.state_dict()
    return all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_two_processes_reach_the_losses_of_one(two: dict):
    assert two["processes"] == 2
    one = run(transformer)[1]
    # Sums of 32 numbers in another order: about 1e-7 of each, twelve times.
    assert two["transformer"] == pytest.approx(one, rel=1e-5)
    assert one[-1] < one[0] - 0.1


def test_batch_normalisation_takes_the_statistics_of_each_share(two: dict):
    def of_shares(model: nn.Module, batch: LocatedImages) -> torch.Tensor:
        return (classify(model, batch[0::2]) + classify(model, batch[1::2])) / 2

    assert two["host"] == pytest.approx(run(host, loss=of_shares)[1], rel=1e-5)
    assert two["host"] != pytest.approx(run(host)[1], rel=1e-4)
    assert two["host"] == pytest.approx(run(host)[1], rel=1e-2)


def test_two_processes_go_on_where_they_were_stopped(two: dict):
    assert two["resumed"] == two["whole"]


def test_a_batch_that_two_cannot_share_is_refused(two: dict):
    assert "share evenly and every >= 1; got batch_size=31, 2 processes" in two["uneven"]


@pytest.mark.parametrize("make", [host, dropping], ids=lambda make: make.__name__)
def test_a_run_that_was_stopped_ends_with_the_same_numbers(make, tmp_path: Path):
    whole, losses = run(make, noisy=True)
    after = torch.rand(3)
    again, same_losses = resumed(make, tmp_path / "run", noisy=True)
    assert same_losses == losses and same(again, whole)
    assert torch.equal(torch.rand(3), after)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


LONG = """
import sys
from shared_runs import dropping, run
run(dropping, noisy=True, steps=400, every=20, checkpoint=sys.argv[1])
"""


def test_so_does_one_that_was_killed(tmp_path: Path):
    path = tmp_path / "run"
    killed = subprocess.Popen([sys.executable, "-c", LONG, str(path)], env=ENVIRONMENT)
    while not path.is_file():
        assert killed.poll() is None
        time.sleep(0.001)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    done = len(torch.load(path, weights_only=True)["trace"])
    assert 20 <= done < 400 and done % 20 == 0
    options = {"noisy": True, "steps": 400, "every": 20}
    again, losses = run(dropping, checkpoint=path, **options)
    whole, same_losses = run(dropping, **options)
    assert losses == same_losses and same(again, whole)


def test_a_finished_run_is_not_made_again(tmp_path: Path):
    model, losses = run(host, checkpoint=tmp_path / "run")
    again, same_losses = run(host, checkpoint=tmp_path / "run", stop=1)
    assert same_losses == losses and same(again, model)


def stairs(model: nn.Module, learning_rate: float, steps: int) -> tuple:
    optimizer = torch.optim.SGD(model.parameters(), learning_rate, momentum=0.9)
    return optimizer, torch.optim.lr_scheduler.MultiStepLR(optimizer, [4, 15], 0.1)


@pytest.mark.parametrize("stop", [None, 9], ids=["finished", "stopped"])
def test_a_run_that_is_asked_for_more_steps_goes_on(stop: int | None, tmp_path: Path):
    options = {"optimise": stairs, "checkpoint": tmp_path / "run", "noisy": True}
    try:
        run(host, stop=stop, **options)
    except Killed:
        pass
    longer, losses = run(host, steps=20, **options)
    whole, same_losses = run(host, steps=20, optimise=stairs, noisy=True)
    assert losses == same_losses and same(longer, whole)


def test_a_write_that_fails_leaves_the_checkpoint_before_it(tmp_path: Path, monkeypatch):
    path = tmp_path / "run"
    with pytest.raises(Killed):
        run(host, checkpoint=path, stop=7)
    whole = path.read_bytes()

    def full(held: dict, file: Path) -> None:
        file.write_bytes(whole[:100])
        raise OSError("no space left on device")

    with monkeypatch.context() as patched, pytest.raises(OSError, match="no space"):
        patched.setattr(torch, "save", full)
        run(host, checkpoint=path)
    assert path.read_bytes() == whole
    assert run(host, checkpoint=path)[1] == run(host)[1]


def test_who_reads_the_data_changes_nothing():
    first, second = (run(dropping, noisy=True, workers=workers) for workers in (0, 2))
    assert first[1] == second[1] and same(first[0], second[0])
    data = cluttered_digits("test", 30, size=20)
    assert accuracy(first[0], data, 7, workers=1) == accuracy(first[0], data)


def test_no_image_comes_twice_with_the_same_noise():
    seen = []

    def look(model: nn.Module, batch: LocatedImages) -> torch.Tensor:
        seen.append(batch.images)
        return classify(model, batch)

    one = Noisy(cluttered_digits("train", 4, size=20)[torch.zeros(4, dtype=torch.long)])
    fit(dropping(), one, loss=look, steps=3, batch_size=4, progress=False)
    images = torch.cat(seen).flatten(1)
    assert len(images.unique(dim=0)) == 12


def test_an_accelerator_alone_changes_nothing(alone):
    (first, losses), (second, same_losses) = (
        run(host),
        run(host, accelerator=Accelerator(cpu=True)),
    )
    assert losses == same_losses and same(first, second)


def test_half_precision_learns_and_leaves_whole_weights(alone):
    kinds = set()

    def seeing() -> nn.Module:
        model = HostCNN("squeeze_excitation", width=4)
        model.slot.squeeze.register_forward_hook(lambda _, x, y: kinds.add(y.dtype))
        return model

    half = Accelerator(cpu=True, mixed_precision="bf16")
    model, losses = run(seeing, accelerator=half)
    assert kinds == {torch.bfloat16}
    assert losses == pytest.approx(run(seeing)[1], rel=2e-2)  # bfloat16 keeps eight bits
    assert {value.dtype for value in model.parameters()} == {torch.float32}
    kinds.clear()
    assert model(torch.rand(1, 3, 20, 20)).dtype == torch.float32 and kinds == {torch.float32}


@pytest.mark.parametrize(
    "options, wanted",
    [
        ({"every": 0}, "got batch_size=32, 1 processes, every=0"),
        ({"batch_size": 101}, "at least one batch of 101 images; got 100"),
        ({"learning_rate": 1e-3}, r"begun with \{.*'learning_rate': 0.003.*Move it away"),
        ({"steps": 11}, r"begun with \{'steps': 12.*this is \{'steps': 11"),
        (
            {"steps": 13},
            r"rate of \[0.0\] after 12 steps; a run of 13 would have \[.*lengthened",
        ),
    ],
    ids=str,
)
def test_bad_arguments_are_named(options: dict, wanted: str, tmp_path: Path):
    run(dropping, checkpoint=tmp_path / "run")
    with pytest.raises(ValueError, match=wanted):
        run(dropping, checkpoint=tmp_path / "run", **options)


@pytest.mark.parametrize("kept", [0, 7, 1000])
def test_a_damaged_checkpoint_is_told_apart(kept: int, tmp_path: Path):
    path = tmp_path / "run"
    run(dropping, checkpoint=path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=rf"run is damaged or no checkpoint \({kept} bytes\)"):
        run(dropping, checkpoint=path)
