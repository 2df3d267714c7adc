"""The heads that verify, how they are judged, and what the results say of them."""

import json

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from attn_lib.data import cluttered_digits
from attn_lib.lab import verification, zoo
from attn_lib.lab.encoders import LOSSES
from attn_lib.lab.networks import HostCNN
from attn_lib.lab.pairs import draw_pairs
from attn_lib.lab.verification import (
    HEADS,
    VIT,
    DistanceHead,
    features,
    judge,
    pair_sets,
    score,
)


@pytest.fixture(scope="module")
def differences():
    labels = torch.arange(60) % 3
    torch.manual_seed(0)
    maps = torch.randn(60, VIT["channels"], 5, 5) + labels[:, None, None, None]
    return draw_pairs(maps, labels, 200)


def test_the_control_does_not_care_which_image_is_first():
    head, x = DistanceHead(8), torch.randn(3, 8, 4, 4)
    assert head(x).shape == (3,)
    assert_close(head(x), head(-x))
    weights, bias = head.head.weight[0], head.head.bias[0]
    assert_close(head(x)[0], bias - weights @ x[0].mean((1, 2)).abs())


@pytest.mark.parametrize("name", HEADS)
def test_a_head_judges_as_its_tokens_say_it_must(name: str, differences):
    scores = judge(HEADS[name](), differences)
    channels = scores["channels shuffled"] == pytest.approx(scores["auc"], abs=2e-4)
    positions = scores["positions shuffled"] == pytest.approx(scores["auc"], abs=2e-4)
    assert (channels, positions) == {
        "channel": (True, False), "space": (False, True), "distance": (False, True),
    }[name]  # fmt: skip


def test_a_head_that_knows_is_right(differences):
    class Knows(nn.Module):
        def forward(self, x):
            return -x.mean((1, 2, 3)).abs()

    assert judge(Knows(), differences)["auc"] > 0.95


def test_features_are_those_of_the_encoder():
    encoder = HostCNN(num_classes=5).eval()
    found = features(encoder, "test", 30)
    images = cluttered_digits("test", 30, seed=1).images
    assert_close(found["vectors"], encoder(images))
    assert found["maps"].shape == (30, 32, 5, 5)
    assert_close(found["maps"].mean((2, 3)), encoder.features(images).mean((2, 3)))


def test_pairs_are_of_digits_that_were_seen_or_of_those_that_were_not():
    labels = torch.arange(40) % 10
    found = {"labels": labels, "maps": labels[:, None, None, None].float()}
    for kind, pairs in pair_sets(found).items():
        digits = pairs.features[torch.cat([pairs.first, pairs.second])].unique().tolist()
        assert digits == list(verification.CLASSES[kind])
        assert len(pairs) == 20_000


def test_the_command_writes_results_and_checkpoints(tmp_path, monkeypatch):
    monkeypatch.setattr(
        verification, "cluttered_digits", lambda split="train", count=0, seed=0: cluttered_digits(split, 300, seed=seed)
    )  # fmt: skip
    # As many pairs as the command draws are drawn above; here they would only be waited for.
    monkeypatch.setattr(
        verification, "draw_pairs", lambda maps, labels, count, seed=0: draw_pairs(maps, labels, min(count, 200), seed)
    )  # fmt: skip
    monkeypatch.setattr(
        "sys.argv",
        ["v", "--seeds", "1", "--steps", "1", "--head-steps", "1", "--folder", str(tmp_path)],
    )
    verification.main()
    runs = json.loads((tmp_path / "verification.json").read_text())["runs"]
    assert [run["arm"] for run in runs] == list(LOSSES)
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    assert zoo.checkpoints() == [
        "encoder_averaged", "encoder_classes", "encoder_info_nce", "verify_channel", "verify_space",
    ]  # fmt: skip
    for name in zoo.checkpoints():
        zoo.load(name)
        zoo.load(name, trained=False)
    again = score(features(zoo.load("encoder_info_nce"), "test", 300))
    # After one step all cosines are 1 to four digits, and the last ones decide the order.
    said = runs[0]["outputs"]["seen"]["auc"]
    assert again["outputs"]["seen"]["auc"] == pytest.approx(said, abs=0.005)
