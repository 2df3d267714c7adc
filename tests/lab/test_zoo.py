"""The checkpoints that ship are the ones that their cards describe, and a wrong file is told apart."""

import shutil
from functools import cache
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from attn_lib.data import cluttered_digits
from attn_lib.lab import verification, vit_digits, zoo
from attn_lib.lab.networks import HostCNN
from attn_lib.lab.scoring import evaluate
from attn_lib.lab.tasks import TASKS, TESTED

HOSTS = [name for name in zoo.checkpoints() if name.startswith("host_")]
# Each, and the results that it is from.
OTHERS = {
    "vit_digits": "vit",
    **{f"encoder_{loss}": "verification" for loss in verification.KEPT},
    **{f"verify_{tokens}": "verification" for tokens in ("channel", "space")},
}
each_checkpoint = pytest.mark.parametrize("name", zoo.checkpoints())


@cache
def pairs() -> dict:
    encoder = zoo.load("encoder_classes")
    return verification.pair_sets(verification.features(encoder, "test", 2_000))


def score(name: str, network: torch.nn.Module) -> dict:
    """What its card says that it scores, measured again."""
    test = cluttered_digits("test", 2_000, seed=1)
    if name == "vit_digits":
        return vit_digits.evaluate(network, test)
    if name.startswith("encoder_"):
        return verification.score(verification.features(network, "test", 2_000))
    if name.startswith("verify_"):
        return {kind: verification.judge(network, some) for kind, some in pairs().items()}
    about = TASKS[zoo.card(name)["task"]]
    return evaluate(network, about.data("test", TESTED, **about.options))


def leaves(nested: dict, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], float]:
    found = {}
    for key, value in nested.items():
        deeper = (
            leaves(value, (*path, key)) if isinstance(value, dict) else {(*path, key): value}
        )
        found |= deeper
    return found


def test_what_ships_are_the_networks_that_the_comparison_keeps():
    kept = {
        about.keep[made["slot"]]: made
        for task, about in TASKS.items()
        for made in (zoo.results(f"compare_{task}")["runs"] if about.keep else ())
        if made["slot"] in about.keep and made["seed"] == 0
    }
    assert sorted(kept) == HOSTS
    for name, made in kept.items():
        assert made.items() <= zoo.card(name).items()


def test_all_else_that_ships_is_the_transformer_and_what_verifies():
    assert set(zoo.checkpoints()) == {*HOSTS, *OTHERS}
    for name, made_in in OTHERS.items():
        made, card = zoo.results(made_in), zoo.card(name)
        del made["runs"]
        assert {key: card[key] for key in made} == made


def test_the_zoo_is_small():
    assert sum(path.stat().st_size for path in zoo.WEIGHTS.iterdir()) < 6e6


@each_checkpoint
def test_a_card_says_how_its_checkpoint_was_made(name: str):
    card = zoo.card(name)
    made = {"command", "network", "arguments", "seed", "python", "torch", "numpy", "machine"}
    assert made | {"cpu_seconds", "sha256"} <= set(card)
    if name in HOSTS:
        scored = {"accuracy", "untrained", "parameters", "multiply_adds"}
        assert scored | {"task", "steps"} <= set(card)


@each_checkpoint
def test_a_checkpoint_scores_again_what_its_card_says(name: str):
    card, network = zoo.card(name), zoo.load(name)
    assert not network.training
    scores, said = leaves(score(name, network)), leaves(card)
    assert scores
    for measure, value in scores.items():
        assert value == pytest.approx(said[measure], abs=0.01), measure


# One of each kind of network, slot and task: what makes them untrained is one line.
@pytest.mark.parametrize(
    "name",
    [
        "encoder_classes", "host_attention_pooling", "host_cbam", "host_self_attention",
        "host_selective_kernel_everywhere", "host_squeeze_excitation_everywhere", "vit_digits",
    ],
)  # fmt: skip
def test_so_does_its_untrained_twin(name: str):
    said = leaves(zoo.card(name)["untrained"])
    scores = leaves(score(name, zoo.load(name, trained=False)))
    assert set(scores) == set(said)
    for measure, value in scores.items():
        # Of cells nearly alike, the last digit decides which is highest.
        if measure[-1] not in ("hit", "correlation"):
            assert value == pytest.approx(said[measure], abs=0.01), measure


@pytest.mark.parametrize("name", ["host_self_attention", "host_non_local_embedded_gaussian"])
def test_attention_from_the_object_lies_on_the_object(name: str):
    mass, area = (zoo.card(name)["from_object"][key] for key in ("mass", "area"))
    assert mass >= 4 * area


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    """A copy of the shipped weights that a test may spoil."""
    shutil.copytree(zoo.WEIGHTS, tmp_path, dirs_exist_ok=True)
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    return tmp_path


@each_checkpoint
def test_a_changed_byte_is_told_apart(name: str, folder: Path):
    path = folder / f"{name}.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=rf"{path.name} is damaged: its SHA-256 is \w+, its card says \w+"
    ):
        zoo.load(name)


@each_checkpoint
def test_a_file_cut_short_is_told_apart(name: str, folder: Path):
    network, path = zoo.load(name), folder / f"{name}.safetensors"
    whole = path.read_bytes()
    for kept in (0, 7, 1000, -1):
        path.write_bytes(whole[:kept])
        size = path.stat().st_size
        with pytest.raises(ValueError, match=rf"no safetensors file \({size} bytes\)"):
            zoo.load_weights(network, path)


def test_weights_of_another_network_are_told_apart(tmp_path: Path):
    path = tmp_path / "wide.safetensors"
    zoo.save(HostCNN("self_attention", width=8), path, {})
    with pytest.raises(ValueError, match=r"another network than HostCNN(.|\n)*size mismatch"):
        zoo.load_weights(HostCNN("self_attention"), path)
    with pytest.raises(ValueError, match=r"another network than HostCNN(.|\n)*slot\.gamma"):
        zoo.load_weights(HostCNN(width=8), path)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"no checkpoint file .*nowhere\.safetensors"):
        zoo.load_weights(HostCNN(), tmp_path / "nowhere.safetensors")


@pytest.mark.parametrize("ask", [zoo.load, zoo.card])
def test_an_unknown_name_meets_the_known_ones(ask):
    with pytest.raises(
        ValueError, match="no checkpoint 'host_attenion'; there are .*host_self_attention"
    ):
        ask("host_attenion")


def test_what_is_saved_comes_back(tmp_path: Path):
    network, other = HostCNN("self_attention"), HostCNN("self_attention")
    zoo.save(
        network.to(memory_format=torch.channels_last), tmp_path / "a.safetensors", {"seed": 1}
    )
    zoo.load_weights(other, tmp_path / "a.safetensors")
    assert_close(dict(other.state_dict()), dict(network.state_dict()), rtol=0, atol=0)
