"""The AttentionExplorer on a page, the network cut: it draws and says what Python returns."""

from itertools import product

import numpy as np
import pytest
import torch
from browsing import pixel
from explorers import (
    GALLERY,
    TWO_IMAGES,
    assert_drawn,
    captions,
    injected,
    living,
    place,
    published,
    set_in_both,
)
from fonts import every_screen
from test_attention_explorer import many

from attn_lib import record
from attn_lib.data import cluttered_digits
from attn_lib.figures import AttentionExplorer
from attn_lib.lab import zoo

PUBLISHED = [
    ("index", 0),
    ("foundations/attention_without_learning", 0),
    ("spatial/self_attention", 0),
    *((GALLERY, which) for which in range(3)),
]
every_published = pytest.mark.parametrize(("name", "which"), PUBLISHED)


@every_published
def test_without_scripts_pictures_with_words_stand_in(visit, name, which):
    figure, page = published(name, which), visit(name, java_script_enabled=False)
    images = living(page, which).locator("img").all()
    assert len(images) == len(figure.panels)
    for image, panel in zip(images, figure.panels, strict=True):
        assert image.is_visible() and image.bounding_box()["height"] > 150
        said = f"{panel['name']}: {figure.describe(panel['name'])}"
        assert image.get_attribute("alt") == said
    still = living(page, which).locator(".attn-living")
    assert len(still.get_attribute("aria-label").split()) > 10


@every_screen
@every_published
def test_nothing_jumps_when_a_figure_comes_alive(visit, name, which, width):
    dead, alive = (
        living(visit(name, java_script_enabled=scripts, width=width), which).bounding_box()
        for scripts in (False, True)
    )
    assert abs(alive["height"] - dead["height"]) <= 2, (dead, alive)


@every_published
def test_what_is_drawn_is_what_python_returns(visit, name, which):
    figure, element = published(name, which), living(visit(name), which)
    relation = figure.panels[0]["kind"] == "relation"
    for query, direction in product((0, 7, figure.query), ("looks at", "is looked at by")):
        set_in_both(figure, element, query=query, direction=direction, links=0)
        assert_drawn(figure, element)
        assert captions(element) == [figure.describe(p["name"]) for p in figure.panels]
    assert relation


def test_it_says_what_python_says_in_every_state(visit):
    """Two languages, one text: layers, heads, directions, gates, coarser keys, held cells, links."""
    figure = many(image=torch.full((3, 24, 18), 0.6))
    element = injected(visit("search"), figure)
    for layer, head, direction in product(
        range(2), (None, 0, 1, 2), ("looks at", "is looked at by")
    ):
        for query, cell, links in ((0, None, 0), (9, 14, 3), (23, 2, 8)):
            set_in_both(
                figure, element, layer=layer, head=head, direction=direction,
                query=query, cell=cell, links=links,
            )  # fmt: skip
            names = [panel["name"] for panel in figure.panels]
            assert captions(element) == [figure.describe(name) for name in names]
        set_in_both(figure, element, cell=None, links=0, opacity=0.5)
        assert_drawn(figure, element)


def test_halves_are_rounded_alike(visit):
    """1/16 is 6.25 %: Python's own formatting would say 6.2, JavaScript's says 6.3."""
    figure = AttentionExplorer(
        torch.rand(3, 8, 8),
        {"even": torch.full((16, 16), 1 / 16)},
        alt="An even heat map over noise.",
    )
    assert "6.3 %" in figure.describe("even")
    assert captions(injected(visit("search"), figure)) == [figure.describe("even")]


@pytest.mark.pages
def test_the_numbers_are_those_of_the_trained_and_the_untrained_network():
    figure, test = published("spatial/self_attention"), cluttered_digits("test", 2_000, seed=1)
    for name in ("trained", "untrained"):
        network = zoo.load("host_self_attention", trained=name == "trained")
        with record(network) as maps:
            network(test.images[422:423])
        for query in range(100):
            drawn = figure.attention_map(name, query).ravel()
            assert np.abs(drawn - maps["slot"][0, query].numpy()).max() < 0.005


def test_links_lead_to_the_strongest_keys_and_from_the_strongest_queries(visit):
    figure, element = published(GALLERY, TWO_IMAGES), living(visit(GALLERY), TWO_IMAGES)
    ends = {"looks at": [255, 160, 102], "is looked at by": [108, 180, 255]}
    for index, panel in enumerate(figure.panels):
        query = 44
        for direction, colour in ends.items():
            set_in_both(figure, element, direction=direction, query=query, links=3)
            found = figure.strongest(panel["name"])
            positive = np.count_nonzero(figure.attention_map(panel["name"]))
            assert 0 < len(found) == min(3, positive)
            for cell, _ in found:
                dot = pixel(element.locator("canvas").nth(index), *place(cell, figure.grid))
                assert np.abs(np.array(dot[:3]) - colour).max() < 10
            query = found[0][0]  # 44 at least looks at it
    set_in_both(figure, element, links=0)
    assert set(element.locator(".attn-unseen").all_text_contents()) == {""}
