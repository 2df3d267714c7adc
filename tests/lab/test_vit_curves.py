"""Learning curves of the transformers on digits."""

import pytest

from attn_lib.lab import vit_curves, zoo
from attn_lib.lab.vit_curves import ARMS, run


@pytest.mark.parametrize("arm", ["patches, 12,000", "stem, 48,000"])
def test_a_curve_begins_before_the_first_step_and_ends_after_the_last(monkeypatch, arm: str):
    asked = []

    def digits(split: str, count: int, **options):
        asked.append((split, count))
        return cluttered_digits(split, 2_000, **options)

    cluttered_digits = vit_curves.cluttered_digits
    monkeypatch.setattr(vit_curves, "cluttered_digits", digits)
    curve = run(arm, seed=0, steps=4, points=2)
    assert curve["steps"] == [0, 2, 4]
    assert all(len(curve[split]) == 3 for split in ("train", "test"))
    assert all(0 <= share <= 1 for split in ("train", "test") for share in curve[split])
    assert asked == [("train", ARMS[arm][1]), ("test", 2_000)]


def test_what_ships_is_whole():
    runs = zoo.results("vit_curves")["runs"]
    assert [(one["arm"], one["seed"]) for one in runs] == [(arm, 0) for arm in ARMS]
    assert all(one["steps"][-1] == vit_curves.LONGER for one in runs)
