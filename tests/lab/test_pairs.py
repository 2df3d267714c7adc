"""Pairs and groups hold what they promise, and the measures are those of others or of hand-made cases."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from torch.testing import assert_close

from attn_lib.lab.pairs import (
    area_under_curve,
    draw_groups,
    draw_pairs,
    retrieval,
)

few = settings(max_examples=30, deadline=None, derandomize=True)
LABELS = torch.tensor([0, 1, 1, 0, 2, 2, 2, 0, 1, 5, 5])
MAPS = torch.arange(11.0).view(11, 1, 1, 1).expand(11, 2, 3, 3)


@given(seed=st.integers(0, 50), count=st.integers(1, 60))
@few
def test_half_of_the_pairs_are_of_one_class_and_none_of_one_map(seed: int, count: int):
    pairs = draw_pairs(MAPS, LABELS, count, seed)
    assert len(pairs) == count and int(pairs.same.sum()) == (count + 1) // 2
    assert torch.equal(LABELS[pairs.first] == LABELS[pairs.second], pairs.same)
    assert (pairs.first != pairs.second).all()


def test_pairs_of_a_batch_subtract_the_second_map_from_the_first():
    batch = draw_pairs(MAPS, LABELS, 40)[torch.tensor([3, 1])]
    assert_close(batch.differences(), MAPS[batch.first] - MAPS[batch.second])
    assert len(batch) == 2 and batch.same.tolist() == [False, False]


def test_the_seed_of_pairs_and_groups_decides_which():
    first, again, other = (draw_pairs(MAPS, LABELS, 40, seed).second for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    images = torch.rand(400, 3, 2, 2)
    labels = torch.arange(400) % 4
    first, again, other = (draw_groups(images, labels, seed).members for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)


@given(seed=st.integers(0, 50), sizes=st.lists(st.integers(2, 9), min_size=2, max_size=5))
@few
def test_a_group_has_two_images_of_each_class_and_shares_none(seed: int, sizes: list[int]):
    labels = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    groups = draw_groups(torch.rand(len(labels), 3, 2, 2), labels, seed)
    assert len(groups) == min(sizes) // 2
    assert len(groups.members.unique()) == groups.members.numel()
    wanted = torch.arange(len(sizes))[None, :, None].expand_as(groups.members)
    assert torch.equal(labels[groups.members], wanted)
    assert groups[torch.tensor([0])].shape == (1, len(sizes), 2, 3, 2, 2)


@given(seed=st.integers(0, 99), p=st.integers(2, 60))
@few
def test_the_area_is_that_of_scikit_learn_ties_and_all(seed: int, p: int):
    torch.manual_seed(seed)
    scores, same = torch.randint(6, (p,)).float(), torch.arange(p) % 2 == 0
    wanted = roc_auc_score(same.numpy(), scores.numpy())
    assert area_under_curve(scores, same) == pytest.approx(wanted)


def test_retrieval_of_vectors_made_by_hand():
    # Angles in degrees; 0 and 10 of class 3, 12 and 90 of class 4, 11 of class 8, which is not asked for.
    angles = torch.tensor([0.0, 10.0, 12.0, 90.0, 11.0]).deg2rad()
    vectors = 5 * torch.stack([angles.cos(), angles.sin()], dim=1)
    found = retrieval(vectors, torch.tensor([3, 3, 4, 4, 8]), [3, 4])
    # r = 1: nearest to 0 is 10, to 10 is 12, to 12 is 10, to 90 is 12: right, wrong, wrong, right.
    assert found["r_precision"] == 0.5
    # Same: 10 and 78 apart; different: 12, 90, 2, 80 apart. Wins: 3 of 4 and 2 of 4.
    assert found["auc"] == pytest.approx(5 / 8)


def test_retrieval_leaves_the_vectors_and_a_perfect_set_scores_1():
    vectors = torch.eye(3).repeat_interleave(4, dim=0)
    before = vectors.clone()
    found = retrieval(vectors, torch.arange(3).repeat_interleave(4), range(3))
    assert found == {"auc": 1.0, "r_precision": 1.0} and torch.equal(vectors, before)


BAD = {
    "no pairs": (lambda: draw_pairs(MAPS, LABELS, 0), "got count=0"),
    "one class": (lambda: draw_pairs(MAPS, 0 * LABELS, 4), "classes of .11. maps"),
    "a single map": (lambda: draw_pairs(MAPS[:4], LABELS[:4] + torch.tensor([0, 0, 3, 0]), 4), "classes of .2, 1, 1. maps"),
    "a group of one class": (lambda: draw_groups(MAPS, 0 * LABELS), "classes of .11. images"),
    "no different pairs": (lambda: area_under_curve(torch.rand(3), torch.ones(3).bool()), "3 same and 0 different"),
}  # fmt: skip


@pytest.mark.parametrize("call, says", BAD.values(), ids=BAD)
def test_what_cannot_be_drawn_or_scored_is_refused(call, says: str, unchecked):
    with pytest.raises(ValueError, match=says):
        call()
