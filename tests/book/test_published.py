"""What to try first: its table shows what the file holds, its advice is whole, and its code runs."""

import json
import re
from decimal import Decimal

import pytest
import torch
from places import BOOK, BUILT
from torch import nn
from torchvision import models

from attn_lib import AttentionPooling, insert
from attn_lib.instruments.costs import cost

PAGE = BOOK / "comparison" / "what_to_try.md"
TEXT = PAGE.read_text(encoding="utf-8")
RUNS = json.loads((PAGE.parent / "published.json").read_text(encoding="utf-8"))
LISTINGS = re.findall(r"^```python\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
SITUATIONS = re.findall(
    r"^### (.*?)\n(.*?)(?=^#|^```)",
    TEXT.split("\n## By situation\n")[1].split("\n## By what")[0],
    re.DOTALL | re.MULTILINE,
)


@pytest.mark.parametrize("run", RUNS, ids=lambda run: f"{run['mechanism']} {run['network']}")
def test_a_published_number_has_a_source_and_its_table(run: dict):
    assert re.search(rf"\*\*{re.escape(run['source'])}\*\*", TEXT.split("\n## Sources\n")[1])
    where = r"Table \d+|“.+”|results-imagenet\.csv|[A-Z][\w ]+"
    assert re.fullmatch(where, run["table"])
    assert run["recipe"] in ("same", "other", "not stated")
    assert run["by"] in ("its authors", "others")
    assert "difference" not in run
    numbers = [run["with"], run.get("without", "1.0")]
    assert all(re.fullmatch(r"\d\d\.\d{1,2}|1\.0", number) for number in numbers)


def test_no_two_rows_of_one_source_are_about_the_same():
    keys = [(r["source"], r["table"], r["mechanism"], r["network"]) for r in RUNS]
    assert len(set(keys)) == len(keys)


def shown() -> list[list[str]]:
    """The cells of the page's first table."""
    page = (BUILT / "comparison" / "what_to_try.html").read_text(encoding="utf-8")
    body = re.findall(r"<tbody>(.*?)</tbody>", page, re.DOTALL)[0]
    rows = re.findall(r"<tr.*?>(.*?)</tr>", body, re.DOTALL)
    cells = [re.findall(r"<td.*?>(.*?)</td>", row, re.DOTALL) for row in rows]
    return [[re.sub(r"<.*?>", "", cell).strip() for cell in row] for row in cells]


def test_the_page_shows_what_the_file_holds():
    assert len(shown()) == len(RUNS) > 50
    for cells, run in zip(shown(), RUNS, strict=True):
        mechanism, network, measure, without, added, difference, *_, source = cells
        assert [mechanism, network, measure] == [
            run[k] for k in ("mechanism", "network", "measure")
        ]
        assert [without, added] == [run.get("without", ""), run["with"]]
        assert source == f"{run['source']}, {run['table']}"
        if "without" in run and run["recipe"] != "other":
            assert Decimal(difference) == Decimal(run["with"]) - Decimal(run["without"])
        else:
            assert difference == ""


def test_every_situation_says_what_where_at_what_cost_and_how_sure():
    assert len(SITUATIONS) == 8
    for name, advice in SITUATIONS:
        labels = re.findall(r"^\* \*\*(\w+)", advice, re.MULTILINE)
        assert labels == ["Try", "Where", "Costs", "What", "Evidence"], name
        evidence = advice.split("**Evidence: ")[1]
        assert evidence.startswith(
            ("published**", "measured here.**", "reasoning.**", "reasoning**")
        ), name


ROWS = re.findall(
    r"^\| `(\w+)` \| `(\w+)` \| `(.+?)` \| ([\d,]+) \| ([\d,]+) \|$", TEXT, re.MULTILINE
)


@pytest.mark.parametrize("name, network, after, parameters, adds", ROWS)
def test_a_mechanism_goes_where_the_page_says_and_costs_that(
    name, network, after, parameters, adds
):
    with torch.device("meta"):
        model = models.get_model(network)
    before = sum(p.numel() for p in model.parameters())
    insert(model, name, json.loads(after))
    found = cost(model, (1, 3, 224, 224))
    told = [int(number.replace(",", "")) for number in (parameters, adds)]
    assert told == [found.parameters.value, found.multiply_adds.value]
    assert sum(p.numel() for p in model.parameters()) - before == told[0]


def test_what_the_page_says_of_other_networks_runs():
    assert len(ROWS) == 8
    network = models.resnet18().eval()
    network.avgpool = AttentionPooling(512)
    insert(network, "efficient_channel", after="layer?.*.bn2", identity=True)
    assert network(torch.rand(2, 3, 64, 64)).shape == (2, 1000)
    detector = models.detection.fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None)
    video, phone = models.video.r3d_18(), models.mobilenet_v2()
    exec(
        LISTINGS[1],
        {"insert": insert, "detector": detector, "r3d_18": video, "mobilenet_v2": phone},
    )
    names = [name.split(".")[-1] for name, _ in detector.named_modules()]
    assert (names.count("global_context"), names.count("efficient_channel")) == (13, 4)
    assert detector.eval().backbone(torch.rand(1, 3, 64, 96))["0"].shape == (1, 256, 16, 24)
    assert phone.eval()(torch.rand(1, 3, 64, 64)).shape == (1, 1000)
    assert video.eval()(torch.rand(1, 3, 4, 32, 32)).shape == (1, 400)


def test_the_listing_inserts_what_it_says_and_changes_nothing_at_first(monkeypatch):
    plain = models.resnet50().eval()
    monkeypatch.setattr(models, "resnet50", lambda weights: models.get_model("resnet50"))
    names: dict = {}
    exec(LISTINGS[0], names)
    network: nn.Module = names["network"].eval()
    network.load_state_dict(plain.state_dict(), strict=False)
    assert sum(name.endswith(".cbam") for name, _ in network.named_modules()) == 16
    x = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(network(x), plain(x))
