"""Each painted task asks what it says, and cannot be answered where it says it cannot."""

import pytest
import torch

from attn_lib.data import cued_digits, paired_digits, sized_digits
from attn_lib.data.tasks import COLOURS

makers = pytest.mark.parametrize("make", [cued_digits, sized_digits, paired_digits])


def nearest_colour(images: torch.Tensor) -> torch.Tensor:
    """Which of the four colours the ink of (b, 3, h, w) has, by direction from black."""
    ink = (images * (images.amax(1, keepdim=True) > 0.5)).sum((2, 3))
    directions = torch.nn.functional.normalize(torch.from_numpy(COLOURS), dim=1)
    return (torch.nn.functional.normalize(ink, dim=1) @ directions.T).argmax(1)


@makers
def test_equal_arguments_give_equal_images_and_other_seeds_others(make):
    first = make("train", 20, seed=5)
    make.cache_clear()
    again, other = make("train", 20, seed=5), make("train", 20, seed=6)
    assert first is not again and torch.equal(first.images, again.images)
    assert torch.equal(first.labels, again.labels)
    assert not torch.equal(first.images, other.images)


@makers
@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_images_are_in_range_and_all_answers_come(make, split: str):
    sample = make(split, 300)
    assert 0 <= sample.images.min() and sample.images.max() <= 1
    classes = {cued_digits: 4, sized_digits: 10, paired_digits: 2}[make]
    assert set(sample.labels.tolist()) == set(range(classes))


@makers
def test_unknown_splits_and_no_images_are_refused(make):
    with pytest.raises(ValueError, match="no split 'val'; there are train, validation, test"):
        make("val")
    with pytest.raises(ValueError, match="count of at least 1; got count=0"):
        make("train", 0)


def test_with_the_bar_the_answer_is_the_colour():
    sample = cued_digits("train", 400)
    bar = sample.images[:, :, :, :4].mean((1, 2, 3)) > 0.5
    assert 0.4 < bar.float().mean() < 0.6
    colours = nearest_colour(sample.images[:, :, :, 24:])
    assert (colours[bar] == sample.labels[bar]).float().mean() > 0.99
    assert (colours[~bar] == sample.labels[~bar]).float().mean() < 0.4  # as often as chance


def test_between_bar_and_digit_lies_nothing():
    sample = cued_digits("train", 400)
    assert sample.images[:, :, :, 4:28].mean() < 0.12
    assert sample.boxes[:, 0].min() >= 28 and sample.boxes[:, 2].max() <= 44


@pytest.mark.parametrize("side", [8, 20, 36])
def test_a_side_makes_the_digit_so_large(side: int):
    boxes = sized_digits("test", 200, side=side).boxes
    heights = boxes[:, 3] - boxes[:, 1]
    assert heights.max() <= side and heights.float().mean() > 0.85 * side


def test_other_sides_show_the_same_digits():
    small, large = (sized_digits("test", 50, side=side) for side in (12, 30))
    assert torch.equal(small.labels, large.labels)


def test_sides_are_drawn_from_10_to_36():
    boxes = sized_digits("train", 1_000, fragments=0).boxes
    heights = boxes[:, 3] - boxes[:, 1]
    assert heights.min() <= 11 and heights.max() >= 35


@pytest.mark.parametrize("bad", [{"side": 7}, {"side": 41}, {"fragments": -1}], ids=str)
def test_sizes_that_do_not_fit_are_refused(bad: dict):
    with pytest.raises(
        ValueError, match="sized_digits wants fragments >= 0 and a side from 8 to 40"
    ):
        sized_digits("train", 5, **bad)


def test_pairs_are_the_same_where_their_colours_are():
    sample = paired_digits("train", 400)
    left, right = (
        nearest_colour(part) for part in (sample.images[..., :20], sample.images[..., 40:])
    )
    assert ((left == right).long() == sample.labels).float().mean() > 0.99
    assert sample.images[:, :, :, 16:44].mean() < 0.12  # nothing between them
    for colour in range(4):  # one end says nothing
        assert 0.35 < sample.labels[left == colour].float().mean() < 0.65
