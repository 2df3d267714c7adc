"""The checkpoints that ship are the ones that their cards describe, and a wrong file is told apart."""

import shutil
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from attn_lib import zoo
from attn_lib.data import cluttered_digits
from attn_lib.networks import HostCNN
from attn_lib.training import evaluate

SHIPPED = ["host_selective_kernel", "host_self_attention", "host_squeeze_excitation"]
RELATIONS = ["host_self_attention"]  # whose weights lie between positions; the others are gates
each_checkpoint = pytest.mark.parametrize("name", SHIPPED)


def test_what_ships_is_what_these_tests_score():
    assert zoo.checkpoints() == SHIPPED


@each_checkpoint
def test_a_checkpoint_is_small_and_its_card_says_how_it_was_made(name: str):
    assert (zoo.WEIGHTS / f"{name}.safetensors").stat().st_size < 1e6
    wanted = {
        "command",
        "seed",
        "steps",
        "python",
        "torch",
        "numpy",
        "machine",
        "seconds",
        "accuracy",
        "sha256",
    }
    assert wanted <= set(zoo.card(name))


@each_checkpoint
def test_a_checkpoint_scores_again_what_its_card_says(name: str):
    card, network = zoo.card(name), zoo.load(name)
    assert not network.training
    scores = evaluate(network, cluttered_digits("test", 2_000, seed=1))
    assert scores["accuracy"] == pytest.approx(card["accuracy"], abs=0.005)
    located = {"received", "from_object"} if name in RELATIONS else set()
    assert located == set(scores) - {"accuracy"}
    for map_of in located:
        assert scores[map_of] == pytest.approx(card[map_of], abs=0.01)


@pytest.mark.parametrize("name", RELATIONS)
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
@pytest.mark.parametrize("kept", [0, 7, 1000, -1])
def test_a_file_cut_short_is_told_apart(name: str, folder: Path, kept: int):
    path = folder / f"{name}.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(
        ValueError, match=rf"no safetensors file \({path.stat().st_size} bytes\)"
    ):
        zoo.load_weights(HostCNN("self_attention"), path)


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
        ValueError, match=f"no checkpoint 'host_attenion'; there are {', '.join(SHIPPED)}"
    ):
        ask("host_attenion")


def test_what_is_saved_comes_back(tmp_path: Path):
    network, other = HostCNN("self_attention"), HostCNN("self_attention")
    zoo.save(
        network.to(memory_format=torch.channels_last), tmp_path / "a.safetensors", {"seed": 1}
    )
    zoo.load_weights(other, tmp_path / "a.safetensors")
    assert_close(dict(other.state_dict()), dict(network.state_dict()), rtol=0, atol=0)
