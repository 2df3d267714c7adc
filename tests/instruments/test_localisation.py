"""The measures of where a map lies measure what they say."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from attn_lib.instruments.localisation import coverage, localise, positional_maps, received

IMAGE = (12, 20)
few = settings(max_examples=50, deadline=None, derandomize=True)
grids = st.tuples(st.integers(1, IMAGE[0]), st.integers(1, IMAGE[1]))


@st.composite
def boxes(draw) -> torch.Tensor:
    left, top = draw(st.integers(0, IMAGE[1] - 1)), draw(st.integers(0, IMAGE[0] - 1))
    right, bottom = draw(st.integers(left + 1, IMAGE[1])), draw(st.integers(top + 1, IMAGE[0]))
    return torch.tensor([[left, top, right, bottom]])


@given(box=boxes(), grid=grids)
@few
def test_coverage_sums_to_the_area_of_the_box(box: torch.Tensor, grid: tuple):
    left, top, right, bottom = box[0].tolist()
    shares = coverage(box, grid, IMAGE)
    assert shares.min() >= 0 and shares.max() <= 1 + 1e-6
    cell = IMAGE[0] * IMAGE[1] / (grid[0] * grid[1])
    assert shares.sum().item() * cell == pytest.approx(
        (right - left) * (bottom - top), rel=1e-4
    )


@given(box=boxes(), grid=grids)
@few
def test_a_uniform_map_scores_the_area_of_the_box(box: torch.Tensor, grid: tuple):
    score = localise(torch.ones(1, *grid), box, IMAGE)
    left, top, right, bottom = box[0].tolist()
    assert score.area == pytest.approx(
        (right - left) * (bottom - top) / (IMAGE[0] * IMAGE[1]), rel=1e-4
    )
    assert score.mass == pytest.approx(score.area, rel=1e-4)


def test_coverage_of_a_box_across_cells_is_shared():
    # 2×2 cells of 4×4 pixels; the box covers half of the upper left, a quarter of the lower left.
    assert_close(
        coverage(torch.tensor([[0, 2, 4, 5]]), (2, 2), (8, 8)),
        torch.tensor([[[0.5, 0], [0.25, 0]]]),
    )


def test_localise_scores_maps_made_by_hand():
    right_half = torch.tensor([[4, 0, 8, 8]]).expand(2, 4)
    # 3/4 and 1/4 inside; hit and miss.
    maps = torch.tensor([[[0.0, 3.0], [1.0, 0.0]], [[6.0, 0.0], [0.0, 2.0]]])
    score = localise(maps, right_half, (8, 8))
    assert (score.mass, score.area, score.hit) == (0.5, 0.5, 0.5)


def test_rows_and_columns_are_not_mixed_up():
    maps = torch.zeros(1, 2, 5)
    maps[0, 0, 3] = 1  # first row, fourth column: x from 12 to 16, y from 0 to 6
    score = localise(maps, torch.tensor([[12, 0, 16, 6]]), IMAGE)
    assert (score.mass, score.hit) == (1.0, 1.0)


def test_received_averages_the_rows():
    # Queries 0, 1 and 2 look at 1, query 3 at itself.
    weights = torch.eye(4)[[1, 1, 1, 3]][None]
    everyone = torch.ones(1, 2, 2)
    assert_close(received(weights, everyone), torch.tensor([[[0, 0.75], [0, 0.25]]]))
    only_last_column = torch.tensor([[[0.0, 2.0], [0.0, 2.0]]])  # queries 1 and 3, equally
    assert_close(received(weights, only_last_column), torch.tensor([[[0, 0.5], [0, 0.5]]]))


def test_received_takes_grids_that_are_not_square():
    weights = torch.rand(2, 6, 6).softmax(-1)
    assert_close(received(weights, torch.ones(2, 2, 3)), weights.mean(1).view(2, 2, 3))


def test_received_refuses_queries_that_are_not_the_rows(unchecked):
    with pytest.raises(
        ValueError, match=r"queries of shape \(2, 2, 3\) want .*\(2, 6, 6\); got \(2, 6, 4\)"
    ):
        received(torch.rand(2, 6, 4), torch.ones(2, 2, 3))


def test_cells_that_are_highest_together_share_the_hit():
    maps = torch.tensor([[[5.0, 5.0], [5.0, 1.0]]])
    upper_left = torch.tensor([[0, 0, 4, 4]])
    assert localise(maps, upper_left, (8, 8)).hit == pytest.approx(1 / 3)


def test_correlation_tells_a_bright_object_from_a_dark_one():
    upper_left = torch.tensor([[0, 0, 4, 4]]).expand(2, 4)
    bright = torch.tensor([[[0.9, 0.2], [0.2, 0.2]], [[0.7, 0.1], [0.1, 0.1]]])
    assert localise(bright, upper_left, (8, 8)).correlation == pytest.approx(1)
    assert localise(1 - bright, upper_left, (8, 8)).correlation == pytest.approx(-1)
    assert localise(torch.ones(2, 2, 2), upper_left, (8, 8)).correlation == 0


def test_a_map_of_zeros_has_no_mass():
    score = localise(torch.zeros(1, 2, 2), torch.tensor([[0, 0, 4, 4]]), (8, 8))
    assert (score.mass, score.hit, score.correlation) == (0, 0.25, 0)


def test_each_kind_of_map_is_told_by_its_shape():
    inside = torch.rand(2, 3, 4)
    relation, gate, pooling = (
        torch.randn(2, 12, 12),
        torch.rand(2, 1, 3, 4),
        torch.rand(2, 3, 4),
    )
    found = positional_maps({"a": relation, "b": gate, "c": pooling}, inside)
    assert list(found) == ["received", "from_object", "gate", "pooling"]
    assert_close(found["received"], relation.abs().mean(1).view(2, 3, 4))
    assert_close(found["from_object"], received(relation.abs(), inside))
    assert_close(found["gate"], gate[:, 0])
    assert_close(found["pooling"], pooling)


def test_weights_of_channels_and_kernels_have_no_place():
    recorded = {
        "": torch.rand(2, 8, 1, 1),
        "cbam": torch.rand(2, 8, 3, 4),
        "sk": torch.rand(2, 2, 8),
    }
    assert positional_maps(recorded, torch.rand(2, 3, 4)) == {}
