"""The photographs and digits are what they say, and the same every time."""

import pytest
import torch
from places import BUILT

from attn_lib.data import (
    PHOTOGRAPHS,
    REAL,
    SPLITS,
    LocatedImages,
    cluttered_digits,
    photograph,
)
from attn_lib.data.digits import enlarged_digits
from attn_lib.lab import zoo

each_split = pytest.mark.parametrize("split", SPLITS)


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_a_photograph_is_colour_in_the_unit_range(name: str):
    image = photograph(name)
    assert image.shape[0] == 3 and min(image.shape[1:]) >= 200
    assert 0 <= image.min() < 0.1 and 0.9 < image.max() <= 1
    assert image.std(0).max() > 0.1  # not grey


@pytest.mark.parametrize("name", PHOTOGRAPHS)
@pytest.mark.parametrize("size", [1, 33, 224])
def test_a_photograph_comes_as_a_square_of_any_size(name: str, size: int):
    image = photograph(name, size)
    assert image.shape == (3, size, size)
    assert image.min() >= 0 and image.max() <= 1


def test_a_square_is_the_middle_of_the_photograph():
    whole = photograph("china")
    h, w = whole.shape[1:]
    middle = whole[:, :, (w - h) // 2 : (w - h) // 2 + h]
    torch.testing.assert_close(photograph("china", h), middle)


def test_equal_arguments_give_equal_digits():
    first = cluttered_digits("train", 20, seed=5)
    cluttered_digits.cache_clear()
    again = cluttered_digits("train", 20, seed=5)
    assert first is not again
    for part in ("images", "labels", "boxes"):
        assert torch.equal(getattr(first, part), getattr(again, part))


@pytest.mark.parametrize("other", [{"seed": 6}, {"fragments": 5}, {"split": "test"}], ids=str)
def test_other_arguments_give_other_digits(other: dict):
    arguments = {"split": "train", "count": 20, "seed": 5}
    assert not torch.equal(
        cluttered_digits(**arguments).images, cluttered_digits(**arguments | other).images
    )


def test_the_splits_share_no_digit_and_leave_none_out():
    digits = [enlarged[20] for enlarged, _ in map(enlarged_digits, SPLITS)]
    seen = [{digit.tobytes() for digit in split} for split in digits]
    assert sum(map(len, digits)) == 1797
    assert not (seen[0] & seen[1] or seen[1] & seen[2] or seen[0] & seen[2])


@each_split
def test_digits_are_images_with_labels_and_boxes(split: str):
    sample = cluttered_digits(split, 300, size=32)
    assert len(sample) == 300 and sample.images.shape == (300, 3, 32, 32)
    assert sample.images.min() >= 0 and sample.images.max() <= 1
    assert set(sample.labels.tolist()) == set(range(10))
    left, top, right, bottom = sample.boxes.unbind(1)
    assert ((left >= 0) & (left < right) & (right <= 32)).all()
    assert ((top >= 0) & (top < bottom) & (bottom <= 32)).all()


def inside(sample: LocatedImages, grow: int = 0) -> torch.Tensor:
    """Which pixels lie in the boxes, grown by some pixels on each side."""
    place = torch.arange(sample.images.shape[-1])
    left, top, right, bottom = sample.boxes.T[..., None]
    columns = (left - grow <= place) & (place < right + grow)
    rows = (top - grow <= place) & (place < bottom + grow)
    return rows[:, :, None] & columns[:, None, :]


def test_the_boxes_hold_the_ink_and_fit_it():
    clean = cluttered_digits("train", 500, seed=3, fragments=0)
    brightness = clean.images.mean(1)
    box, smaller = inside(clean), inside(clean, grow=-1)
    # The background is 0.1 with noise of 0.05; ink fainter than a fifth of its colour counts as background.
    assert brightness[~box].max() < 0.45
    assert brightness[~box].mean() < 0.12
    assert brightness[box & ~smaller].mean() > 0.2


def test_labels_name_the_digit_in_the_box():
    # Cut out, brought to one size and compared with the mean of each class: right far more often than 1 in 10.
    clean = cluttered_digits("train", 600, seed=3, fragments=0)
    crops = torch.stack([
        torch.nn.functional.interpolate(image[None, :, top:bottom, left:right], (12, 12), mode="bilinear")[0].mean(0)
        for image, (left, top, right, bottom) in zip(clean.images, clean.boxes.tolist(), strict=True)
    ]).flatten(1)  # fmt: skip
    crops = (crops - crops.mean(1, keepdim=True)) / crops.std(1, keepdim=True)
    means = torch.stack(
        [crops[:300][clean.labels[:300] == digit].mean(0) for digit in range(10)]
    )
    guesses = torch.cdist(crops[300:], means).argmin(1)
    assert (guesses == clean.labels[300:]).float().mean() > 0.8


@pytest.mark.pages
@pytest.mark.parametrize("name", [*PHOTOGRAPHS, *REAL, *zoo.checkpoints()])
def test_the_page_of_data_and_weights_tells_of_it(name: str):
    page = (BUILT / "appendix" / "data.html").read_text()
    assert f">{name}<" in page
    if name in zoo.checkpoints():
        assert zoo.card(name)["sha256"][:12] in page
