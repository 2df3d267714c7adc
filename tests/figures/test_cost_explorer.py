"""CostExplorer: what it says is what `cost` says, in Python and on the page, at every setting."""

import itertools
import json
import re
from operator import contains

import pytest
import sympy
import torch

from attn_lib import (
    CBAM,
    Attention,
    AttentionModule,
    EfficientChannelAttention,
    NonLocal,
    NonLocalMeans,
    SelectiveKernel,
    SelfAttention2d,
    SqueezeExcitation,
    cost,
)
from attn_lib.figures import CostExplorer
from attn_lib.figures.cost.chart import LOOKS, power_of_ten, spread
from attn_lib.figures.cost.expressions import evaluate, to_tree

ALT = "Seven lines over a grid of numbers."
MECHANISMS = {
    "self-attention": SelfAttention2d(64),
    "non-local": NonLocal(64),
    "multi-head": Attention(64, heads=4, dim_head=16),
    "SK": SelectiveKernel(64),
    "CBAM": CBAM(64),
    "SE": SqueezeExcitation(64),
    "ECA": EfficientChannelAttention(64),
}
# The same, built anew for other sizes.
BUILD = {
    "self-attention": lambda c, r, heads: SelfAttention2d(c, r or 8),
    "non-local": lambda c, r, heads: NonLocal(c, reduction=r or 2),
    "multi-head": lambda c, r, heads: Attention(c, heads, c // heads),
    "SK": lambda c, r, heads: SelectiveKernel(c, reduction=r or 16),
    "CBAM": lambda c, r, heads: CBAM(c, r or 16),
    "SE": lambda c, r, heads: SqueezeExcitation(c, r or 16),
    "ECA": lambda c, r, heads: EfficientChannelAttention(c),
}
COUNTS = ("parameters", "multiply_adds", "activations")


def explorer(mechanisms=MECHANISMS, shape=(1, 64, 56, 56), **changed) -> CostExplorer:
    return CostExplorer(mechanisms, shape, **({"alt": ALT} | changed))


def settings(figure: CostExplorer) -> list[dict]:
    stops = [known["stops"] for known in figure.letters.values()]
    return [
        dict(zip(figure.letters, sizes, strict=True)) for sizes in itertools.product(*stops)
    ]


def built(name: str, sizes: dict) -> AttentionModule:
    with torch.device("meta"):
        return BUILD[name](sizes["c"], sizes["r"], sizes["heads"])


def test_it_says_what_the_module_of_that_size_costs():
    figure = explorer()
    assert {name: figure.letters[name]["stops"] for name in figure.letters} == {
        "side": [7, 10, 14, 20, 28, 40, 56, 80, 112],
        "c": [32, 64, 128, 256, 512, 1024, 2048],
        "r": [None, 1, 2, 4, 8, 16],
        "heads": [1, 2, 4, 8, 16],
    }
    coarse = [
        sizes
        for sizes in settings(figure)
        if sizes["side"] in (7, 112) and sizes["c"] in (32, 256, 2048)
        and sizes["r"] in (None, 1, 16) and sizes["heads"] in (1, 16)
    ]  # fmt: skip
    assert len(coarse) == 36
    for name, sizes in itertools.product(BUILD, coarse):
        module, side, c = built(name, sizes), sizes["side"], sizes["c"]
        shape = (1, side**2, c) if name == "multi-head" else (1, c, side, side)
        found = cost(module, shape)
        for count in COUNTS:
            size = 4 if count == "activations" else 1
            wanted = size * getattr(found, count).value
            assert figure.value(name, sizes, count) == wanted, (name, sizes, count)


def test_its_parameters_are_the_module_s_own_at_every_setting():
    figure = explorer(count="parameters")
    for name in BUILD:
        for sizes in settings(figure):
            if sizes["side"] == 7 and (name == "multi-head" or sizes["heads"] == 4):
                wanted = sum(p.numel() for p in built(name, sizes).parameters())
                assert figure.value(name, sizes) == wanted, (name, sizes)


@pytest.mark.slow
@pytest.mark.parametrize("count", COUNTS)
def test_the_axis_holds_every_value_that_the_sliders_reach(count):
    figure = explorer(count=count)
    low, high = figure.scene().decades
    # What grows with a letter, or falls, is least and most at its ends.
    ends = [{known["stops"][0], known["stops"][-1]} for known in figure.letters.values()]
    corners = [sizes for sizes in settings(figure) if all(map(contains, ends, sizes.values()))]
    assert len(corners) == 2 ** len(ends)
    reached = [figure.value(name, sizes) for name in MECHANISMS for sizes in corners]
    assert 10**low <= min(reached) < 10 ** (low + 1)
    assert 10 ** (high - 1) <= max(reached) < 10**high


def test_a_quotient_stays_one_division():
    c, r, h = sympy.symbols("c r h", positive=True, integer=True)
    assert to_tree(sympy.floor(c / r)) == ["floor", ["/", "c", "r"]]
    assert to_tree(sympy.ceiling(h / 2)) == ["ceil", ["/", "h", 2]]
    assert evaluate(to_tree(sympy.floor(c / r)), {"c": 49, "r": 49}) == 1
    with pytest.raises(ValueError, match=r"log\(c\) is of log; a page knows Add, Mul, "):
        to_tree(sympy.log(c))


def test_heads_share_the_channels_where_they_did():
    shared, apart = Attention(64, 4, 16), Attention(64, 4, 64)
    figure = explorer({"shared": shared, "apart": apart}, count="parameters")
    assert figure.value("shared", {"heads": 16}) == figure.value("shared") == 4 * 64**2 + 128
    assert figure.value("apart", {"heads": 8}) - 128 == 2 * (figure.value("apart") - 128)
    assert figure.own("apart") == {"heads": 4, "d_a": 64}


def test_the_words_hold_the_numbers_of_the_setting():
    figure = explorer()
    text = figure._repr_mimebundle_()[0]["text/plain"]
    assert text.startswith(f"{ALT}\nb = 1, c = 64, h = w = 56\n")
    for name, module in MECHANISMS.items():
        found = cost(module, (1, 56**2, 64) if name == "multi-head" else (1, 64, 56, 56))
        numbers = (
            found.parameters.value,
            found.multiply_adds.value,
            4 * found.activations.value,
        )
        line = next(line for line in text.splitlines() if line.startswith(f"{name} "))
        assert line.split()[-3:] == [f"{number:,}" for number in numbers]


def test_growth_is_the_power_of_the_formula():
    means = explorer({"means": NonLocalMeans(1, 1.0)}, along="side")
    assert means.growth("means") == "× 16.00"  # n² and nothing else
    means.count = "parameters"
    assert means.growth("means") == "–"
    assert "means</span>" in means.still() and 'class="attn-curve' not in means.still()


def test_it_weighs_little():
    assert explorer().weight() < 10_000


def test_names_are_text_never_markup():
    name = "</script><img src=x onerror=alert(1)>"
    page = explorer({name: SqueezeExcitation(64)}, alt=f"four words and {name}").to_html()
    assert "<img" not in page and page.count("</script>") == 1
    found = json.loads(re.search(r"json\">(.*)</script>", page)[1])
    assert found["mechanisms"][0]["name"] == name and found["chosen"] == name
    assert set(found) == explorer()._own_traits()


def test_python_sees_and_sets_the_setting():
    figure, seen = explorer(), []
    figure.observe(lambda change: seen.append(change["new"]["c"]), "sizes")
    figure.sizes = figure.sizes | {"c": 512, "side": 7}
    assert seen == [512] and "b = 1, c = 512, h = w = 7" in figure.still()
    figure.along, figure.chosen = "r", "SE"
    still = figure.still()
    assert re.findall(r"<span data-chosen>(when [^<]*)", still) == ["when r doubles"]
    assert re.findall("<p data-chosen>([^<]*)", still) == ["multiply-adds of SE = "]
    assert re.findall("<option selected>([^<]*)", still)[1:] == ["reduction r", "SE"]
    for trait, value, message in (
        ("sizes", figure.sizes | {"c": 500}, r"c must be one of \[32, .*; got 500"),
        ("sizes", {"c": 64}, r"wants the letters \['side', 'c', 'r', 'heads'\]; got \['c'\]"),
        ("count", "flops", r"count must be one of \['parameters', .*; got 'flops'"),
        ("along", "w", r"along must be one of \['side', .*; got 'w'"),
        ("chosen", "SGE", r"chosen must be one of \['self-attention', .*; got 'SGE'"),
    ):
        with pytest.raises(ValueError, match=message):
            setattr(figure, trait, value)


@pytest.mark.parametrize(
    ("mechanisms", "shape", "message"),
    [
        ({}, (1, 64, 7, 7), "wants 1 to 8 mechanisms; got 0"),
        ({str(i): CBAM(64) for i in range(9)}, (1, 64, 7, 7), "1 to 8 mechanisms; got 9"),
        (MECHANISMS, (1, 64, 7, 8), r"with h = w is wanted; got \(1, 64, 7, 8\)"),
        (MECHANISMS, (1, 64, 49), r"\(b, c, h, w\) with h = w is wanted; got \(1, 64, 49\)"),
        ({"SE": SqueezeExcitation(32)}, (1, 64, 7, 7), r"'SE' takes c = 32; .* has c = 64"),
        ({"?": AttentionModule()}, (1, 64, 7, 7), "no formula for AttentionModule"),
        ({"NL": NonLocal(64, ndim=3)}, (1, 64, 7, 7), r"wants a shape \(b, c, t, h, w\)"),
    ],
)
def test_bad_input_is_refused_with_what_came(unchecked, mechanisms, shape, message):
    with pytest.raises(ValueError, match=message):
        explorer(mechanisms, shape)


def test_each_line_is_seen_on_white_and_on_black():
    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return sum(
            part * weight for part, weight in zip(linear, (0.2126, 0.7152, 0.0722), strict=True)
        )

    for colour, _, _ in LOOKS:
        assert 1.05 / (luminance(colour) + 0.05) >= 3 <= (luminance(colour) + 0.05) / 0.056
    for which in range(3):
        assert len({look[which] for look in LOOKS}) == len(LOOKS)


def test_labels_keep_apart_and_in_order():
    moved = spread([50.0, 52.0, 51.0, 299.0, 298.0], 26, 300)
    order = sorted(range(5), key=moved.__getitem__)
    assert order == [0, 2, 1, 4, 3]
    gaps = [moved[b] - moved[a] for a, b in itertools.pairwise(order)]
    assert min(gaps) >= 15 and max(moved) <= 300
    assert [power_of_ten(i, "B") for i in (0, 2, 3, 7)] == ["1 B", "100 B", "1 kB", "10 MB"]
    assert power_of_ten(4, "") == "10 k" and power_of_ten(1, "") == "10"
