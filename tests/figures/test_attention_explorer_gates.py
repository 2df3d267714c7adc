"""The AttentionExplorer's gates on a scale of their own, and what its weight may be: in the book, and elsewhere."""

import re
from unittest.mock import MagicMock

import attention_book
import numpy as np
import pytest
import torch
from browsing import picture
from test_attention_explorer import ALT, explorer

from attn_lib.figures import AttentionExplorer, coarsen
from attn_lib.figures.base import PUBLISHING, publishing


def test_a_gate_near_one_half_is_drawn_from_its_lowest_to_its_highest_and_says_so():
    gate = torch.tensor([[0.496, 0.497], [0.498, 0.502]])
    figure = AttentionExplorer(torch.full((3, 8, 8), 0.5), gates={"gate": gate}, alt=ALT)
    page = figure.to_html()
    assert ">gate 49.60 %<" in page and ">50.20 %; half way along 49.75 %<" in page
    assert np.abs(figure.attention_map("gate") - gate.numpy()).max() < 0.006 / 255
    drawn = np.asarray(picture(re.search(r'<img src="([^"]+)"', page)[1]), float)
    low, high = drawn[90, 90], drawn[-90, -90]
    assert np.ptp(low) < 3, "nothing over the grey image at the lowest"
    assert np.ptp(high) > 100, "full colour at the highest"
    even = AttentionExplorer(
        torch.rand(3, 8, 8), gates={"even": torch.full((2, 2), 0.5)}, alt=ALT
    )
    assert ">gate 50.000 %<" in even.to_html()


def test_gates_share_a_scale_whose_ends_are_those_of_all():
    gates = {"flat": torch.full((2, 2), 0.5), "steep": torch.tensor([[0.0, 1.0], [0.5, 0.5]])}
    figure = AttentionExplorer(torch.full((3, 8, 8), 0.5), gates=gates, alt=ALT)
    flat, steep = (
        np.asarray(picture(url), float)
        for url in re.findall(r'<img src="([^"]+)"', figure.to_html())
    )
    assert np.abs(flat[-90, -90] - steep[-90, -90]).max() < 3, "one half, in both"


def test_a_figure_heavier_than_its_budget_is_refused_with_its_weight():
    torch.manual_seed(6)
    maps = {"vit": torch.rand(6, 4, 100, 100).softmax(-1)}
    with pytest.raises(ValueError, match=r"weighs 2\d\d,\d{3} bytes.*budget=150,000.*240,000 "):
        explorer(maps=maps)
    fitting = explorer(maps=maps, levels=15)
    assert fitting.weight() <= 150_000
    assert explorer(maps={"vit": coarsen(maps["vit"])}).weight() < 30_000
    assert explorer(maps=maps, budget=300_000).weight() > 150_000


def test_where_the_photograph_is_what_weighs_the_message_says_so():
    noise = torch.rand(3, 400, 400)
    with pytest.raises(
        ValueError, match=r"([\d,]+) of them its pictures.*smaller pictures first"
    ):
        explorer(image=noise)
    torch.manual_seed(6)
    with pytest.raises(ValueError) as refused:
        explorer(maps={"vit": torch.rand(6, 4, 100, 100).softmax(-1)})
    assert "smaller pictures first" not in str(refused.value)


def test_outside_the_book_nothing_is_too_heavy_and_words_may_be_few(monkeypatch):
    monkeypatch.delenv(PUBLISHING)
    assert explorer(image=torch.rand(3, 400, 400), alt="map.png").weight() > 150_000
    assert explorer(alt="").alt == ""


def test_the_book_s_build_is_held_to_weight_and_words(monkeypatch):
    monkeypatch.delenv(PUBLISHING)
    assert not publishing()
    attention_book.setup(MagicMock())
    assert publishing()
