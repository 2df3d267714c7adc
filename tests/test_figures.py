"""Figures: they refuse what they cannot show, say in words what they show, and are the same each time."""

import html
import json
import re
import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from attn_lib.figures import QUANTITIES, AttentionExplorer, page_script, show, show_source
from attn_lib.figures.base import FIGURES
from attn_lib.module import AttentionModule

ALT = "Two heat maps over a grey square."


def explorer(**changed) -> AttentionExplorer:
    torch.manual_seed(1)
    arguments = {
        "image": torch.rand(3, 12, 12),
        "maps": {"one": torch.rand(9, 9).softmax(1), "two": (4 * torch.rand(9, 9)).softmax(1)},
        "alt": ALT,
    }
    return AttentionExplorer(**(arguments | changed))


def displayed(capture: list, call) -> dict:
    call()
    return capture.pop()


@pytest.fixture
def shown(monkeypatch) -> list:
    """What is displayed, instead of displaying it."""
    bundles: list[dict] = []
    monkeypatch.setattr(
        "attn_lib.figures.static.display", lambda bundle, raw: bundles.append(bundle)
    )
    return bundles


def plot():
    fig, axis = plt.subplots()
    axis.plot([0, 1], [0, 1], color=QUANTITIES["query"][0])
    axis.set_title("a title")
    return fig


def test_a_plot_carries_its_words_and_follows_the_page_s_colours(shown):
    bundle = displayed(shown, lambda: show(plot(), alt='rises & falls, "twice" as fast'))
    assert bundle["text/plain"] == 'rises & falls, "twice" as fast'
    svg = bundle["text/html"]
    assert f'role="img" aria-label="{html.escape(bundle["text/plain"])}"' in svg
    assert "currentColor" in svg and "#000000" not in svg
    assert f"var(--attn-query, {QUANTITIES['query'][0]})" in svg
    assert "a title" in svg, "text stays text"


def test_the_same_plot_gives_the_same_bytes(shown):
    first, second = (displayed(shown, lambda: show(plot(), alt=ALT)) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("alt", ["", "figure", "plot.png", "two words"])
def test_a_figure_without_a_description_is_refused(alt):
    with pytest.raises(ValueError, match="alt text"):
        show(plot(), alt=alt)
    with pytest.raises(ValueError, match="alt text"):
        explorer(alt=alt)


def test_source_is_the_library_s_own(shown):
    bundle = displayed(shown, lambda: show_source(AttentionModule.forward))
    assert "return self.reweight(x, self.attention(x))" in bundle["text/plain"]
    assert bundle["text/markdown"] == f"```python\n{bundle['text/plain']}\n```"


def test_an_explorer_is_the_same_bytes_each_time_and_in_each_process():
    code = "from tests.test_figures import explorer; print(explorer().to_html())"
    twin = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert explorer().to_html() == explorer().to_html() == twin.stdout.rstrip("\n")


def test_an_explorer_stores_weights_to_within_half_a_step():
    figure = explorer()
    torch.manual_seed(1)
    torch.rand(3, 12, 12)
    weights = torch.rand(9, 9).softmax(1).numpy()
    for query in range(9):
        error = np.abs(figure.row("one", query).ravel() - weights[query]).max()
        assert error <= weights[query].max() / 255 / 2 + 1e-7


def test_the_published_figure_holds_all_its_data_and_stands_without_scripts():
    figure = explorer(box=torch.tensor([1, 2, 7, 9]))
    page = figure.to_html()
    payload = json.loads(re.search(r'<script type="application/json">(.*)</script>', page)[1])
    assert payload["names"] == ["one", "two"] and payload["box"] == [1, 2, 7, 9]
    assert set(payload) == figure._own_traits()
    words = r"most on row \d, column \d: [\d.]+ %; [\d.]+ % inside the box"
    for name in ("one", "two"):
        assert re.search(
            rf'<img src="data:image/webp;base64,[^"]+" alt="{name}: {words}">', page
        )
    assert f'role="group" aria-label="{ALT}"' in page


def test_names_are_text_never_markup():
    name = "</script><img src=x onerror=alert(1)>"
    page = explorer(
        maps={name: torch.full((9, 9), 1 / 9)}, alt=f"four words and {name}"
    ).to_html()
    assert page.count("<img") == 1 and page.count("</script>") == 1, (
        "its own picture and script, and no other"
    )
    assert json.loads(re.search(r"json\">(.*)</script>", page)[1])["names"] == [name]


def test_the_live_figure_offers_a_widget_a_page_and_words():
    bundle, _ = explorer()._repr_mimebundle_()
    assert set(bundle) == {
        "application/vnd.jupyter.widget-view+json",
        "text/html",
        "text/plain",
    }
    assert bundle["text/plain"] == ALT


def test_python_sees_and_sets_the_query():
    figure, seen = explorer(), []
    figure.observe(lambda change: seen.append(change["new"]), "query")
    figure.query = 7
    assert seen == [7]
    with pytest.raises(ValueError, match=r"one of 9 positions.*got 9"):
        figure.query = 9


even = torch.full((9, 9), 1 / 9)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"maps": {}}, "at least one map"),
        ({"maps": {"one": even - 0.2}}, "not negative; map 'one' goes from -0.08"),
        ({"maps": {"one": even * torch.nan}}, "finite"),
        ({"maps": {"one": even * 2}}, "sums to 1; in map 'one' a row is off by 1"),
        ({"maps": {"one": even, "two": torch.full((4, 4), 0.25)}}, r"one shape.*\(4, 4\)"),
        ({"maps": {"one": torch.full((9, 8), 1 / 8)}}, "8 positions are no square"),
        ({"grid": (2, 4)}, r"\(9, 9\) do not match queries on a grid of \(2, 4\)"),
        (
            {"image": torch.rand(3, 2, 12)},
            r"at least as large as the grid \(3, 3\).*\(3, 2, 12\)",
        ),
        ({"image": torch.rand(1, 12, 12)}, r"an image \(3, h, w\)"),
        ({"image": 2 * torch.ones(3, 12, 12)}, r"values in \[0, 1\]; got 2 to 2"),
        ({"query": 9}, "one of 9 positions"),
    ],
)
def test_bad_input_is_refused_with_what_came(unchecked, changed, message):
    with pytest.raises(ValueError, match=message):
        explorer(**changed)


def test_every_figure_s_script_is_in_the_page_s():
    script = page_script()
    for figure in FIGURES:
        assert script.count(f'define("{figure.tag}"') == 1
    assert "export default" not in script and "import " not in script
