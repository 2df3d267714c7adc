"""The maps that a figure takes: blocks of positions, [CLS] tokens, and what is refused."""

import re

import numpy as np
import pytest
import torch
from einops import reduce
from test_attention_explorer import explorer

from attn_lib.figures import coarsen


def test_blocks_of_positions_look_as_their_positions_do():
    torch.manual_seed(4)
    weights = torch.rand(2, 24, 24).softmax(-1)
    coarse = coarsen(weights, 2, grid=(4, 6))
    assert coarse.shape == (2, 6, 6)
    torch.testing.assert_close(coarse.sum(-1), torch.ones(2, 6))
    # The second of the first row; the fourth.
    block = torch.tensor([[2, 3, 8, 9], [12, 13, 18, 19]])
    wanted = weights[:, block[0]][:, :, block[1]].sum(-1).mean(-1)
    torch.testing.assert_close(coarse[:, 1, 3], wanted)
    with pytest.raises(ValueError, match=r"blocks of 3 divide; got \(2, 24, 24\) on \(4, 6\)"):
        coarsen(weights, 3, grid=(4, 6))


def test_a_map_with_a_cls_token_is_refused_with_advice_that_works():
    torch.manual_seed(5)
    weights = torch.rand(2, 10, 10).softmax(-1)
    with pytest.raises(ValueError, match=r"10 tokens are the 9 positions.*\[CLS\]") as refused:
        explorer(maps={"vit": weights})
    with pytest.raises(ValueError, match="10 tokens are the 9 positions"):
        explorer(maps={"vit": weights}, grid=(3, 3))
    gates, rest = re.search(r"gates=(\{.*?\)\}), .*: (rest = .*)", str(refused.value)).groups()
    names = {"weights": weights}
    exec(rest, names)
    figure = explorer(maps={"vit": names["rest"]}, gates=eval(gates, names))
    assert (
        np.abs(
            figure.attention_map("[CLS]").ravel()
            - reduce(weights, "a n m -> n m", "mean")[0, 1:].numpy()
        ).max()
        < 1e-3
    )


even = torch.full((9, 9), 1 / 9)
gate = torch.full((3, 3), 0.5)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"alt": "plot.png"}, "alt text"),
        ({"maps": {}}, "at least one map"),
        ({"maps": {"one": even - 0.2}}, "not negative; map 'one' goes from -0.08"),
        ({"maps": {"one": even * torch.nan}}, "finite"),
        ({"maps": {"one": even * 2}}, "sums to 1; in map 'one' a row is off by 1"),
        ({"maps": {"one": even, "two": torch.full((4, 4), 0.25)}}, r"one n and m.*\(4, 4\)"),
        ({"maps": {"one": even[None, None, None]}}, r"\(layers, heads, n, m\).*1, 1, 1, 9, 9"),
        ({"maps": {"one": torch.full((9, 8), 1 / 8)}}, "8 positions are no square"),
        (
            {"maps": {"one": torch.full((4, 9), 1 / 9)}},
            r"\(2, 2\): keys may not be finer.*3, 3",
        ),
        (
            {"maps": {"one": even.expand(2, 9, 9), "two": even.expand(3, 9, 9)}},
            "one number of heads, or 1; got {'one': 2, 'two': 3}",
        ),
        ({"gates": {"one": gate}}, r"once, in maps or in gates; got \['one'\]"),
        ({"gates": {"gate": gate * 3}}, r"\[0, 1\]; 'gate' goes from 1.5 to 1.5"),
        ({"gates": {"gate": gate * torch.nan}}, r"\[0, 1\]; 'gate' goes from nan"),
        (
            {"gates": {"gate": torch.rand(4, 3)}},
            r"grid \(3, 3\).*may not be finer; got \(4, 3\)",
        ),
        ({"gates": {"gate": gate[0]}}, r"\(h, w\).*'gate' has \(3,\)"),
        ({"grid": (2, 3)}, r"\(9, 9\) do not match queries on a grid of \(2, 3\)"),
        (
            {"image": torch.rand(3, 2, 12)},
            r"at least as large as the grid \(3, 3\).*\(3, 2, 12\)",
        ),
        ({"image": torch.rand(1, 12, 12)}, r"an image \(3, h, w\)"),
        ({"image": 2 * torch.ones(3, 12, 12)}, r"values in \[0, 1\]; got 2 to 2"),
        (
            {"image": {"one": torch.rand(3, 12, 12)}},
            r"one image for each.*'two'.*got \['one'\]",
        ),
        (
            {"image": {"one": torch.rand(3, 12, 12), "two": torch.rand(3, 12, 9)}},
            r"images of one size.*\(3, 12, 9\)",
        ),
        ({"box": {"three": torch.tensor([0, 0, 1, 1])}}, r"one box for each.*got \['three'\]"),
        ({"levels": 256}, "from 2 to 255; got 256"),
    ],
)
def test_bad_input_is_refused_with_what_came(unchecked, changed, message):
    with pytest.raises(ValueError, match=message):
        explorer(**changed)
