"""The ChannelExplorer in Python: it refuses what is no gate, and keeps and says the numbers that it was given."""

import json
import re

import numpy as np
import pytest
import torch

from attn_lib import SelectiveKernel, SqueezeExcitation
from attn_lib.figures import ChannelExplorer

ALT = "Bars in a row beside two small maps."
IMAGES = {name: torch.full((3, 8, 6), level) for name, level in (("dark", 0.1), ("light", 0.9))}


def gates(c: int = 5, **changed) -> ChannelExplorer:
    torch.manual_seed(1)
    arguments = {
        "images": IMAGES,
        "weights": {"one": torch.rand(2, c), "two": torch.full((2, c), 0.5)},
        "features": {"one": torch.randn(2, c, 3, 4), "two": torch.rand(2, c, 3, 4)},
        "alt": ALT,
    }
    return ChannelExplorer(**(arguments | changed))


def shares(**changed) -> ChannelExplorer:
    torch.manual_seed(2)
    arguments = {
        "images": IMAGES,
        "weights": {"one": torch.randn(2, 3, 5).softmax(1)},
        "features": {"one": torch.rand(2, 3, 5, 3, 4)},
        "branches": ("3×3", "5×5", "7×7"),
        "alt": ALT,
    }
    return ChannelExplorer(**(arguments | changed))


def test_it_takes_what_the_modules_give():
    x = torch.rand(2, 8, 5, 5)
    for module, branches in ((SqueezeExcitation(8), ()), (SelectiveKernel(8), ("3×3", "5×5"))):
        weights = module.eval().attention(x)
        figure = ChannelExplorer(IMAGES, {"one": weights}, branches=branches, alt=ALT)
        kept = np.frombuffer(figure.weights, "<f4").reshape(2, -1, 8)
        assert np.array_equal(kept, weights.detach().reshape(2, -1, 8).numpy())


@pytest.mark.parametrize("make", [gates, shares])
def test_what_comes_after_is_weights_times_what_came_before(make):
    figure = make()
    torch.manual_seed({gates: 1, shares: 2}[make])
    weights = torch.rand(2, 5)[:, None] if make is gates else torch.randn(2, 3, 5).softmax(1)
    if make is gates:
        x = torch.randn(2, 5, 3, 4)[:, None]
    else:
        x = torch.rand(2, 3, 5, 3, 4)
    for image in range(2):
        for channel in range(5):
            figure.image, figure.channel = image, channel
            *before, after = figure.maps()
            low, high = np.append(x[:, :, channel].numpy(), 0).min(), x[:, :, channel].max()
            step = (max(high, 0) - low) / 255
            assert (
                np.abs(np.array(before) - x[image, :, channel].numpy()).max() <= step / 2 + 1e-5
            )
            mixed = (weights[image, :, channel, None, None] * x[image, :, channel]).sum(0)
            assert np.abs(after - mixed.numpy()).max() <= step / 2 + 1e-5


def test_a_channel_that_is_0_everywhere_is_drawn():
    figure = gates(features={name: torch.zeros(2, 5, 3, 4) for name in ("one", "two")})
    assert not figure.maps().any() and "before: 0.00 to 0.00" in figure.to_html()


def test_the_words_are_the_numbers():
    weights = torch.tensor([[0.25, 0.5, 0.75], [0.35, 0.5, 0.95]])
    figure = ChannelExplorer(IMAGES, {"one": weights}, kind="classes", image=1, alt=ALT)
    assert figure.channel == 2, "the gate that differs most"
    assert figure.describe() == (
        "Channel 2: gate 0.95. Over the 2 classes: gate 0.75 to 0.95, mean 0.85. "
        "Over the 3 channels of light: gate 0.35 to 0.95, mean 0.60."
    )
    figure.sorted = True
    assert figure.order().tolist() == [2, 1, 0]


def test_the_page_holds_all_the_data_and_names_are_text():
    name = "</script><img src=x onerror=alert(1)>"
    torch.manual_seed(0)
    page = shares(
        images={name: torch.rand(3, 4, 4), "b": torch.rand(3, 4, 4)},
        branches=(name, "b", "c"), kind=name, alt=f"four words and {name}",
    ).to_html()  # fmt: skip
    assert page.count("</script>") == 1 and "<img src=x" not in page
    data = json.loads(re.search(r"json\">(.*)</script>", page)[1])
    assert set(data) == shares()._own_traits() and data["image_names"] == [name, "b"]


even = torch.full((2, 5), 0.5)


@pytest.mark.parametrize(
    ("make", "changed", "message"),
    [
        (gates, {"weights": {}}, "at least one network and one image; got 0 and 2"),
        (gates, {"images": {}}, "at least one network and one image; got 2 and 0"),
        (gates, {"weights": {"one": even + 0.7}}, "'one' go from 1.2 to 1.2"),
        (gates, {"weights": {"one": even - 0.7}}, "'one' go from -0.2 to -0.2"),
        (gates, {"weights": {"one": even * torch.nan}}, "'one' go from nan to nan"),
        (gates, {"weights": {"one": even[:1]}}, r"\(2, 'c'\) are wanted; got {'one': \(1, 5\)}"),
        (gates, {"weights": {"one": even[:, None]}}, r"\(2, 'c'\) are wanted; got .*\(2, 1, 5\)"),
        (gates, {"weights": {"one": even[:, :0]}}, r"\(2, 'c'\) are wanted; got .*\(2, 0\)"),
        (gates, {"weights": {"one": even, "two": even[:, :4]}}, r"one shape .*\(2, 5\).*\(2, 4\)"),
        (gates, {"features": {"one": torch.rand(2, 5, 3, 4)}}, r"\['one', 'two'\]; got \['one'\]"),
        (gates, {"weights": {"one": even}, "features": {"one": torch.rand(2, 4, 3, 4)}},
         r"\(2, 5, 'h', 'w'\) are wanted; got .*\(2, 4, 3, 4\)"),
        (gates, {"weights": {"one": even}, "features": {"one": torch.full((2, 5, 1, 1), torch.inf)}},
         "10 of 10 are not"),
        (gates, {"images": dict.fromkeys("ab", torch.full((3, 4, 4), 2.0))}, "got 2 to 2"),
        (gates, {"channel": 5}, "channel must be one of 5, 0 to 4; got 5"),
        (gates, {"image": -1}, "image must be one of 2, 0 to 1; got -1"),
        (gates, {"series": 2}, "series must be one of 2, 0 to 1; got 2"),
        (gates, {"alt": "bars"}, "alt text"),
        (shares, {"weights": {"one": torch.full((2, 3, 5), 0.3)}}, "'one' one sum is off by 0.1"),
        (shares, {"branches": ("3×3",)}, r"\(2, 1, 'c'\) are wanted; got .*\(2, 3, 5\)"),
        (shares, {"features": {"one": torch.rand(2, 5, 3, 4)}}, r"\(2, 3, 5, 'h', 'w'\) are wanted"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_with_what_came(unchecked, make, changed, message):
    with pytest.raises(ValueError, match=message):
        make(**changed)


def test_a_figure_too_heavy_for_a_page_is_refused():
    features = {"one": torch.rand(2, 64, 40, 40)}
    with pytest.raises(
        ValueError, match=r"weighs \d{3},\d{3} bytes.*150,000.*\(1, 2, 1, 64, 40, 40\)"
    ):
        gates(weights={"one": torch.rand(2, 64)}, features=features)
