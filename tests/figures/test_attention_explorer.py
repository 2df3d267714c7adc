"""The AttentionExplorer in Python: it refuses what it cannot show, and returns and says what it draws."""

import json
import re
from itertools import product

import numpy as np
import pytest
import torch

from attn_lib.figures import AttentionExplorer

ALT = "Two heat maps over a grey square."


def explorer(**changed) -> AttentionExplorer:
    torch.manual_seed(1)
    arguments = {
        "image": torch.rand(3, 12, 12),
        "maps": {"one": torch.rand(9, 9).softmax(1), "two": (4 * torch.rand(9, 9)).softmax(1)},
        "alt": ALT,
    }
    return AttentionExplorer(**(arguments | changed))


def many(**changed) -> AttentionExplorer:
    """Layers and heads beside one map, keys on a coarser grid, a readout and a gate."""
    torch.manual_seed(2)
    arguments = {
        "image": torch.rand(3, 24, 18),
        "maps": {
            "layers": (3 * torch.rand(2, 3, 24, 6)).softmax(-1),
            "rollout": torch.rand(24, 6).softmax(-1),
        },
        "gates": {
            "readout": torch.rand(24).softmax(0).view(6, 4),
            "gate": torch.rand(2, 1, 3, 4),
        },
        "grid": (6, 4),
        "key_grid": (3, 2),
        "box": torch.tensor([2, 3, 11, 21]),
        "alt": "Four heat maps over a grey rectangle.",
    }
    return AttentionExplorer(**(arguments | changed))


def published_traits(figure: AttentionExplorer) -> dict:
    found = re.search(r'<script type="application/json">(.*)</script>', figure.to_html())
    return json.loads(found[1])


@pytest.mark.parametrize("levels", [2, 15, 255])
def test_each_state_s_map_is_the_weights_to_within_half_a_step(levels):
    torch.manual_seed(3)
    weights = (3 * torch.rand(2, 3, 24, 6)).softmax(-1)
    figure = many(maps={"layers": weights}, levels=levels)
    half = weights.amax(-1, keepdim=True).expand_as(weights) / levels / 2 + 1e-7
    for layer, head, query in product(range(2), (None, 0, 1, 2), range(24)):
        figure.layer, figure.head, figure.query = layer, head, query
        wanted, off = (
            each[layer].mean(0) if head is None else each[layer, head]
            for each in (weights, half)
        )
        figure.direction = "looks at"
        drawn = figure.attention_map("layers")
        assert drawn.shape == (3, 2)
        assert (np.abs(drawn.ravel() - wanted[query].numpy()) <= off[query].numpy()).all()
        assert (drawn == figure.attention_map("layers", query)).all()
        figure.direction = "is looked at by"
        drawn = figure.attention_map("layers")
        row, column = divmod(query, 4)
        key = row // 2 * 2 + column // 2  # a key lies under 2×2 queries
        assert drawn.shape == (6, 4)
        assert (np.abs(drawn.ravel() - wanted[:, key].numpy()) <= off[:, key].numpy()).all()


def test_maps_without_a_query_or_without_layers_stay_when_another_is_chosen():
    figure = many()
    before = {name: figure.attention_map(name) for name in ("rollout", "readout", "gate")}
    figure.layer, figure.head = 0, 2
    for name in ("rollout", "readout"):
        assert (figure.attention_map(name) == before[name]).all()
    assert (figure.attention_map("gate") != before["gate"]).any(), "it has two layers"
    figure.query, figure.direction = 3, "is looked at by"
    assert (figure.attention_map("readout") == before["readout"]).all()
    assert [panel["kind"] for panel in figure.panels] == [
        "relation",
        "relation",
        "readout",
        "gate",
    ]


def test_what_it_says_follows_from_the_weights():
    weights = torch.tensor([[0.5, 0.25, 0.25, 0], [1, 0, 0, 0], [0.5, 0.5, 0, 0], [0, 0, 0, 1]])
    figure = explorer(
        maps={"map": weights}, query=0, links=2, box=torch.tensor([0, 0, 6, 6]), levels=4
    )
    assert figure.describe("map") == (
        "most on row 1, column 1: 50 %; 50 % inside the box; 50 % on itself"
    )
    assert figure.strongest("map") == [(0, 0.5), (1, 0.25)], "the first of equals"
    figure.cell = 2
    assert figure.describe("map").endswith("; 25 % on row 2, column 1")
    figure.cell, figure.direction = None, "is looked at by"
    assert figure.describe("map") == (
        "most from row 1, column 2: 100 %; 25 % from inside the box; 50 % from itself; "
        "in all 2.0 × an even share"
    )
    assert figure.strongest("map") == [(1, 1.0), (0, 0.5)]
    figure.query = 3
    figure.links = 8
    assert figure.strongest("map") == [(3, 1.0)], "no link stands for no weight"
    nobody = explorer(
        maps={"map": torch.eye(4)[[0, 0, 1, 1]]}, query=3, direction="is looked at by"
    )
    assert nobody.describe("map") == "no weight from any position"
    assert nobody.strongest("map") == []


def test_what_it_says_of_gates_readouts_layers_and_heads():
    gate = torch.tensor([[0.5, 1.0], [0.25, 0.25]])
    figure = AttentionExplorer(
        torch.rand(3, 12, 12),
        gates={"gate": gate, "readout": gate / gate.sum()},
        box=torch.tensor([0, 0, 12, 6]),
        query=2,
        alt=ALT,
    )
    assert figure.describe("gate") == (
        "highest on row 1, column 2: 100 %; mean 50 %; 75 % inside the box; 25 % on row 2, column 1"
    )
    assert figure.describe("readout") == (
        "most on row 1, column 2: 50 %; 75 % inside the box; 13 % on row 2, column 1"
    ), "12.5 % goes up, as in JavaScript"
    for text in ("gate 25 %", "100 %; half way along 44 %", "weight 0 %", "50 %; half way along 13 %"):
        assert f">{text}<" in figure.to_html()
    figure = many(head=None)
    assert figure.describe("layers").startswith("layer 2, mean of heads: most on ")
    assert figure.describe("gate").startswith("layer 2: highest on ")
    assert figure.describe("rollout").startswith("most on ")
    figure.head, figure.layer = 0, 0
    assert figure.describe("layers").startswith("layer 1, head 1: most on ")


def test_only_what_means_something_has_a_control():
    def labels(figure):
        page = figure.to_html()
        return re.findall(r'<label class="attn-control">(?:<input[^>]*>)? ?([\w, ]+?) ?<', page)

    always = ["Opacity"]
    of_relations = ["Show", "Links", *always, "Hold, and read other cells"]
    assert labels(explorer()) == of_relations
    assert labels(many()) == ["Layer", "Head", *of_relations]
    assert labels(explorer(maps={}, gates={"gate": torch.rand(3, 3)})) == always


def test_each_panel_has_its_image_and_box():
    images = {"one": torch.zeros(3, 12, 12), "two": torch.ones(3, 12, 12)}
    boxes = {"one": torch.tensor([0, 0, 4, 4]), "two": torch.tensor([4, 4, 12, 12])}
    figure = explorer(image=images, box=boxes)
    assert [panel["image"] for panel in figure.panels] == [0, 1]
    assert [panel["box"] for panel in figure.panels] == [[0, 0, 4, 4], [4, 4, 12, 12]]
    assert len(figure.images) == 2 and len(explorer().images) == 1
    assert figure.query == 0, "the centre of the first box"


def test_the_published_figure_holds_all_its_data_and_stands_without_scripts():
    figure = many(links=2)
    page, data = figure.to_html(), published_traits(figure)
    assert set(data) == figure._own_traits()
    assert [panel["name"] for panel in data["panels"]] == [
        "layers",
        "rollout",
        "readout",
        "gate",
    ]
    for panel in data["panels"]:
        words = re.escape(f"{panel['name']}: {figure.describe(panel['name'])}")
        assert re.search(rf'<img src="data:image/webp;base64,[^"]+" alt="{words}">', page)
    assert page.count(" Links: row ") == 2
    assert f'role="group" aria-label="{figure.alt}"' in page


@pytest.mark.parametrize("state", [{"links": 8}, {"cell": 3}, {"direction": "is looked at by"}])
def test_the_still_picture_shows_the_state(state):
    plain = many().to_html()
    figure = many(**state)
    assert re.findall("<img[^>]*>", figure.to_html()) != re.findall("<img[^>]*>", plain)


def test_names_are_text_never_markup():
    name = "</script><img src=x onerror=alert(1)>"
    page = explorer(
        maps={name: torch.full((9, 9), 1 / 9)}, alt=f"four words and {name}"
    ).to_html()
    assert page.count("<img") == 1 and page.count("</script>") == 1, (
        "its own picture and script, and no other"
    )
    assert json.loads(re.search(r"json\">(.*)</script>", page)[1])["panels"][0]["name"] == name


def test_the_live_figure_offers_a_widget_a_page_and_words():
    bundle, _ = explorer()._repr_mimebundle_()
    assert set(bundle) == {
        "application/vnd.jupyter.widget-view+json",
        "text/html",
        "text/plain",
    }
    assert bundle["text/plain"] == ALT


@pytest.mark.parametrize(
    ("name", "good", "bad", "message"),
    [
        ("query", 7, 24, "one of 24 positions, 0 to 23; got 24"),
        ("cell", 3, -1, "None or one of 24 positions, 0 to 23; got -1"),
        ("layer", 0, 2, "one of 2, 0 to 1; got 2"),
        ("head", 2, 3, "None or one of 3, 0 to 2; got 3"),
        ("opacity", 0.5, 1.5, "a share, 0 to 1; got 1.5"),
        ("links", 8, 9, "0 to 8; got 9"),
        ("direction", "is looked at by", "sees", "one of .*'is looked at by'.*got 'sees'"),
    ],
)
def test_python_sees_and_sets_each_choice(name, good, bad, message):
    figure, seen = many(), []
    figure.observe(lambda change: seen.append(change["new"]), name)
    setattr(figure, name, good)
    assert seen == [good] and getattr(many(**{name: good}), name) == good
    with pytest.raises(ValueError, match=message):
        setattr(figure, name, bad)
    assert getattr(figure, name) == good
    with pytest.raises(ValueError, match=message):
        many(**{name: bad})


def test_a_name_that_no_panel_has_is_refused():
    with pytest.raises(ValueError, match=r"no panel 'three'; there are \['one', 'two'\]"):
        explorer().attention_map("three")
