"""The heads differ in what their names say, and learn from images that the encoder has not seen."""

import json

import pytest
import torch
from torch.testing import assert_close

from attn_lib.lab import heads
from attn_lib.lab.heads import ARMS, VIT, run, unit_length, without_attention
from attn_lib.vit import FeatureViT


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Few images: what is tested is not how well it learns."""
    for name in ("TRAINED", "TESTED"):
        monkeypatch.setattr(heads, name, 200)


def test_features_of_unit_length_have_averages_of_length_1():
    maps = torch.rand(6, 32, 5, 4)
    averages = unit_length(maps).mean((2, 3))
    assert_close(averages.norm(dim=1), torch.ones(6))
    assert_close(unit_length(3 * maps), unit_length(maps))


@pytest.mark.parametrize("tokens", ["channel", "space"])
def test_without_attention_no_token_knows_of_another(tokens: str):
    head = without_attention(FeatureViT(**VIT | {"tokens": tokens}))
    x = torch.randn(2, 32, 5, 5)
    z = head.to_patch_embedding(x)
    changed = z.clone()
    changed[:, 3] += torch.randn(32)  # LayerNorm would not see a constant
    moved = (head.transformer(changed) - head.transformer(z)).abs().amax((0, 2)) > 1e-6
    assert moved.nonzero().flatten().tolist() == [3]
    assert head(x).shape == (2,) and sum(p.numel() for p in head.parameters()) > 0


def test_arms_are_the_eight_of_the_table_and_five_more():
    made = {name: make() for name, (make, _, _) in ARMS.items()}
    assert len(made) == 13
    for name, head in made.items():
        attends = any(isinstance(part, heads.Nothing) for part in head.modules())
        assert attends == ("no attention" in name)
        assert ARMS[name][1] == ("unit length" in name)
    groups = {
        name: getattr(head, "to_patch_embedding", [None])[0] for name, head in made.items()
    }
    assert "p=8" in str(groups["channel, groups of 8"]) and "p=32" in str(
        groups["channel, one group"]
    )


@pytest.mark.parametrize("arm", ["channel, averaged loss", "space, no attention, unit length"])
def test_a_run_says_what_it_scored(arm: str):
    found = run(arm, 0, steps=2, encoder_steps=1)
    for kind in ("seen", "held out"):
        assert 0 <= found[kind]["auc"] <= 1 and 0 <= found[kind]["cosine"] <= 1


def test_the_command_writes_results(tmp_path, monkeypatch):
    monkeypatch.setattr(heads, "ARMS", {"distance": ARMS["distance"]})
    words = [
        "heads",
        "--seeds",
        "1",
        "--steps",
        "1",
        "--encoder-steps",
        "1",
        "--folder",
        str(tmp_path),
    ]
    monkeypatch.setattr("sys.argv", words)
    heads.main()
    held = json.loads((tmp_path / "heads.json").read_text())
    assert [made["arm"] for made in held["runs"]] == ["distance"]
    assert held["training"]["heads"]["images"] == "validation"
