"""What a few seeds say is what the textbooks compute."""

import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attn_lib.lab.statistics import (
    comparison_table,
    differences,
    explained,
    holm,
    interval,
)

NONE, WITH = [0.80, 0.82, 0.79, 0.81, 0.80], [0.84, 0.85, 0.85, 0.84, 0.86]


def runs(**scores: list[float]) -> list[dict]:
    """As a comparison leaves them, in an order that nobody should rely on."""
    rows = [
        {"slot": slot, "seed": seed, "accuracy": value}
        for slot, values in scores.items()
        for seed, value in enumerate(values)
    ]
    return rows[::-1]


def test_the_interval_is_that_of_student():
    # 1, 2, 3, 4: standard error 1.2910 / 2, t(0.975, 3) = 3.1824
    assert interval([1.0, 2.0, 3.0, 4.0]) == pytest.approx((2.5, 2.0543), abs=1e-4)


def test_runs_of_one_seed_are_a_pair():
    found = differences(runs(none=NONE, better=WITH))["better"]
    gains = [b - a for a, b in zip(NONE, WITH, strict=True)]
    assert (found.mean, found.half_width) == pytest.approx(interval(gains))
    assert found.p == pytest.approx(scipy.stats.ttest_rel(WITH, NONE).pvalue)
    assert found.p_holm == found.p and found.seeds == 5


def test_more_mechanisms_make_the_same_gain_less_sure():
    alone = differences(runs(none=NONE, better=WITH))["better"]
    among = differences(
        runs(none=NONE, better=WITH, same=NONE[::-1], other=NONE[1:] + NONE[:1])
    )
    assert among["better"].p == alone.p
    assert among["better"].p_holm == pytest.approx(3 * alone.p)


def test_a_comparison_half_done_counts_the_seeds_that_both_have():
    found = differences(runs(none=NONE, better=WITH[:3], begun=WITH[:1]))
    assert found["better"].seeds == 3 and "begun" not in found


def test_other_measures_and_bases_can_be_compared():
    rows = [row | {"loss": -row["accuracy"]} for row in runs(none=NONE, better=WITH)]
    found = differences(rows, measure="loss", base="better")
    assert found["none"].mean == pytest.approx(sum(WITH) / 5 - sum(NONE) / 5)


def test_a_base_that_never_ran_is_named():
    with pytest.raises(ValueError, match="no runs of 'none'; there are better"):
        differences(runs(better=WITH))


def test_no_difference_at_all_is_no_evidence():
    found = differences(runs(none=NONE, same=NONE, better=WITH))
    assert found["same"].p == found["same"].p_holm == 1
    assert found["better"].p_holm == pytest.approx(2 * found["better"].p)


def test_the_table_says_in_percent_what_the_differences_are():
    rows = [row | {"parameters": 1_234} for row in runs(none=NONE, better=WITH, other=WITH)]
    head, none, better = comparison_table(
        rows, {"none": "average", "better": "query"}, seeds=True
    )
    assert head == ["network", "parameters", "accuracy, %", "against average", "p", "each seed"]
    assert none[:5] == ["average", "1,234", "80.4 ± 1.4", "", ""]
    # What has no name does not count.
    found = differences(runs(none=NONE, better=WITH))["better"]
    gain = f"{100 * found.mean:+.1f} ± {100 * found.half_width:.1f}"
    assert better[3:] == [gain, f"{found.p_holm:.3f}", "84.0  85.0  85.0  84.0  86.0"]
    assert [len(row) for row in comparison_table(rows, {"better": "query"}, "other")] == [5, 5]


def test_a_slot_of_the_table_that_never_ran_is_named():
    with pytest.raises(ValueError, match=r"no runs of \['typo'\]; there are \['none'\]"):
        comparison_table(runs(none=NONE, better=WITH), {"none": "none", "typo": "better"})


def test_holm_by_hand():
    # 0.01 × 3, 0.02 × 2; 0.03 × 1 may not fall below the one before.
    corrected = holm({"b": 0.02, "c": 0.03, "a": 0.01})
    assert corrected == pytest.approx({"a": 0.03, "b": 0.04, "c": 0.04})
    assert holm({"a": 0.9, "b": 0.8}) == {"a": 1.0, "b": 1.0}


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_holm_never_makes_a_p_smaller_nor_changes_the_order(values: list[float]):
    tests = {str(i): p for i, p in enumerate(values)}
    corrected = holm(tests)
    assert all(p <= corrected[name] <= 1 for name, p in tests.items())
    ranked = sorted(tests, key=lambda name: tests[name])
    assert [corrected[name] for name in ranked] == sorted(corrected.values())


def test_what_groups_explain():
    # The mean is 3. Squares of distances to it: 4 + 1 + 1 + 4 of the values, 4 · 1.5² of the groups' means.
    values, groups = torch.tensor([[1.0], [2], [4], [5]]), torch.tensor([0, 0, 1, 1])
    assert explained(values, groups) == pytest.approx(9 / 10)
    assert explained(values, groups == 1) == pytest.approx(9 / 10)
    assert explained(values, torch.tensor([0, 1, 1, 0])) == 0
    assert explained(torch.tensor([[1.0], [1], [4], [4]]), groups) == pytest.approx(1)


def test_nothing_varies_so_nothing_is_explained():
    assert explained(torch.full((4, 3), 0.5), torch.tensor([0, 0, 1, 1])) == 0


def test_columns_that_vary_more_count_more():
    values = torch.tensor([[0.0, 0], [0, 10], [1, 0], [1, 10]])
    by_first, by_second = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1])
    assert explained(values, by_first) == pytest.approx(1 / 101)
    assert explained(values, by_second) == pytest.approx(100 / 101)
