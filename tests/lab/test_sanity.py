"""Forgetting goes from the top, and the measure of how much a map changes is right."""

import json

import pytest
import scipy.stats
import torch

from attn_lib.data import LocatedImages, cluttered_digits
from attn_lib.lab import sanity, zoo
from attn_lib.lab.networks import HostCNN
from attn_lib.lab.sanity import forgetting, rank_correlation

DATA = cluttered_digits("train", 64, size=20)


def twins(**options) -> list[HostCNN]:
    made = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        made.append(HostCNN(width=4, **options).eval())
    return made


def test_layers_are_forgotten_from_the_top_and_stay_forgotten():
    model, fresh = twins(slot="cbam")
    before = {key: value.clone() for key, value in model.state_dict().items()}
    seen = []
    for layer, network in forgetting(model, fresh, DATA):
        seen.append(layer)
        for key, value in network.state_dict().items():
            source = (
                fresh if any(part and key.startswith(f"{part}.") for part in seen) else model
            )
            if "running" in key or "tracked" in key:
                continue  # of what is forgotten they are calibrated
            assert torch.equal(value, source.state_dict()[key]), (layer, key)
    assert seen == ["", "classifier", "slot", *(f"features.{i}" for i in (4, 3, 2, 1, 0))]
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_a_readout_with_weights_is_a_layer():
    layers = [layer for layer, _ in forgetting(*twins(readout="attention"), DATA)]
    assert layers[:4] == ["", "classifier", "readout", "features.4"]


def test_the_rank_correlation_is_that_of_spearman():
    first, second = torch.rand(2, 5, 4, 6).unbind()
    wanted = [
        scipy.stats.spearmanr(a.flatten(), b.flatten()).statistic
        for a, b in zip(first, second, strict=True)
    ]
    assert rank_correlation(first, second).tolist() == pytest.approx(wanted, abs=1e-5)
    assert rank_correlation(first, first.square()).tolist() == pytest.approx([1.0] * 5)
    assert rank_correlation(first, torch.ones(5, 4, 6)).tolist() == [0.0] * 5


def test_what_lies_above_the_attention_cannot_change_its_map():
    model, *drawn = twins(slot="self_attention")
    rows = sanity.sanity(model, [*drawn, *drawn], DATA, cluttered_digits("test", 30, size=20))
    assert set(rows) == {"received", "from_object"}
    for name in rows:
        similarity = {row["layer"]: row["similarity"] for row in rows[name]}
        assert similarity[""] == similarity["classifier"] == [1, 1]
        assert max(similarity["slot"] + similarity["features.0"]) < 0.99


def test_data_without_boxes_are_refused():
    data = cluttered_digits("test", 5, size=20)
    model, *drawn = twins(slot="cbam")
    with pytest.raises(ValueError, match="these data have no boxes"):
        sanity.sanity(model, drawn, DATA, LocatedImages(data.images, data.labels))


def test_the_command_looks_at_every_checkpoint_with_a_map(tmp_path, monkeypatch):
    for name, arguments in {
        "host_cbam": {"slot": "cbam"},
        "host_none": {},
        "host_squeeze_excitation": {"slot": "squeeze_excitation"},
    }.items():
        card = {"network": "HostCNN", "arguments": arguments, "task": "where", "seed": 0}
        zoo.save(HostCNN(**arguments), tmp_path / f"{name}.safetensors", card)
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    for count in ("IMAGES", "CALIBRATED", "REDRAWS"):
        monkeypatch.setattr(sanity, count, {"REDRAWS": 2}.get(count, 20))
    monkeypatch.setattr("sys.argv", ["sanity", "--folder", str(tmp_path)])
    sanity.main()
    held = json.loads((tmp_path / "sanity.json").read_text())
    assert held["images"] == 20 and list(held["maps"]) == ["host_cbam"]
    assert list(held["maps"]["host_cbam"]) == ["gate"]
    assert {len(row["mass"]) for row in held["maps"]["host_cbam"]["gate"]} == {2}
