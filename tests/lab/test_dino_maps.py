"""The maps that ship are shares of attention over the photographs, and come from the network that they name."""

import numpy as np
import pytest
import torch
from test_pretrained import needs_weights
from torch.testing import assert_close

from attn_lib.data import PHOTOGRAPHS
from attn_lib.lab import pretrained, zoo
from attn_lib.lab.dino_maps import RELATED, look, shipped


def test_they_are_small():
    path = zoo.WEIGHTS / "dino_maps.npz"
    assert path.stat().st_size < 300_000


def test_there_is_one_for_each_photograph_and_each_sums_to_1():
    maps = shipped()
    assert set(maps.cls) == set(maps.colours) == set(PHOTOGRAPHS)
    assert set(maps.relations) == set(RELATED)
    for name in PHOTOGRAPHS:
        assert maps.cls[name].shape == (6, 32, 32) and maps.colours[name].shape == (3, 32, 32)
        assert_close(maps.cls[name].sum((1, 2)), torch.ones(6))
        assert maps.colours[name].min() == 0 and maps.colours[name].max() == 1
    for rows in maps.relations.values():
        assert rows.shape == (6, 64, 1024) and rows.min() >= 0
        assert_close(rows.sum(2), torch.ones(6, 64))


def test_the_card_says_where_they_come_from():
    card = zoo.results("dino_maps")
    assert card["weights"] == {"file": pretrained.FILE, "sha256": pretrained.SHA256}
    assert {"network", "package", "command", "onnx", "python", "torch", "numpy"} <= set(card)
    assert "DINOv2-layout" in card["network"]


def test_a_changed_byte_is_told_apart(tmp_path, monkeypatch):
    for name in ("dino_maps.npz", "dino_maps.json"):
        (tmp_path / name).write_bytes((zoo.WEIGHTS / name).read_bytes())
    content = bytearray((tmp_path / "dino_maps.npz").read_bytes())
    content[100] ^= 1
    (tmp_path / "dino_maps.npz").write_bytes(content)
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    with pytest.raises(ValueError, match=r"is damaged: its SHA-256 is \w+, its card says \w+"):
        shipped()


@needs_weights
@pytest.mark.parametrize("name", [RELATED[0], "flower"])
def test_the_network_makes_them_again(name: str):
    again = look(pretrained.load(), name)
    with np.load(zoo.WEIGHTS / "dino_maps.npz") as stored:
        assert set(again) == {key for key in stored if key.endswith(f".{name}")}
        for key, steps in again.items():
            assert np.abs(steps.astype(int) - stored[key].astype(int)).max() <= 2, key
