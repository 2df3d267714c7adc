"""Figures: they refuse what they cannot show, say in words what they show, and are the same each time."""

import base64
import html
import io
import json
import os
import re
import subprocess
import sys

import matplotlib.pyplot as plt
import pytest
import torch
from PIL import Image

import attn_lib.figures
from attn_lib.figures import (
    QUANTITIES,
    page_script,
    show,
    show_images,
    show_source,
    show_table,
)
from attn_lib.figures.base import FIGURES
from attn_lib.figures.static import PAPER
from attn_lib.module import AttentionModule

ALT = "Two heat maps over a grey square."


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


def test_what_is_white_in_a_plot_is_the_page_s_own_but_for_words(shown):
    def boxes():
        fig, axis = plt.subplots()
        axis.text(0, 0, "boxed", bbox={"facecolor": "white"})
        axis.plot([0.5], [0.5], "o", markerfacecolor="white")
        axis.text(1, 1, "bright", color="white")
        return fig

    svg = displayed(shown, lambda: show(boxes(), alt=ALT))["text/html"]
    assert svg.count(f"fill: {PAPER}") == 2
    assert re.findall(r"<(\w+) [^>]*fill: #ffffff", svg) == ["text"]


@pytest.mark.parametrize("look", ["dark_background", {"figure.facecolor": "#fffbe6"}])
def test_a_plot_with_a_background_of_its_own_keeps_it_and_its_colours(shown, look):
    with plt.style.context(look):
        svg = displayed(shown, lambda: show(plot(), alt=ALT))["text/html"]
    assert "currentColor" not in svg and "var(--attn" not in svg
    assert 'fill="black"' in svg, "what names no colour is black"
    background = re.search("<path[^>]*>", svg)[0]
    assert ("fill: #fffbe6" in background) == (look != "dark_background")
    assert "fill" not in background or "fbe6" in background


def test_the_same_plot_gives_the_same_bytes(shown):
    first, second = (displayed(shown, lambda: show(plot(), alt=ALT)) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("alt", ["", "figure", "plot.png", "two words"])
def test_a_figure_without_a_description_is_refused(alt):
    with pytest.raises(ValueError, match="alt text"):
        show(plot(), alt=alt)


def test_source_is_the_library_s_own(shown):
    bundle = displayed(shown, lambda: show_source(AttentionModule.forward))
    assert "return self.reweight(x, self.attention(x))" in bundle["text/plain"]
    assert bundle["text/markdown"] == f"```python\n{bundle['text/plain']}\n```"


def test_pictures_stand_each_under_its_name_and_clipped(shown):
    images = {"<one>": torch.full((3, 4, 5), 2.0), "two": torch.zeros(3, 200, 300)}
    bundle = displayed(shown, lambda: show_images(images, alt=ALT))
    text = bundle["text/html"]
    assert f'role="img" aria-label="{ALT}"' in text and bundle["text/plain"] == ALT
    assert re.findall(r'center">(.*?)</div><svg viewBox="(.*?)"', text) == [
        ("&lt;one&gt;", "0 0 5 4"),
        ("two", "0 0 300 200"),
    ]
    white, black = (decoded(link) for link in re.findall(r'href="(.*?)"', text))
    assert white.size == (5, 4) and white.getextrema() == ((255, 255),) * 3
    assert black.size == (300, 200) and black.getextrema() == ((0, 0),) * 3
    assert text.count("pixelated") == 1, "a large picture is smoothed where it shrinks"


def decoded(link: str) -> Image.Image:
    return Image.open(
        io.BytesIO(base64.b64decode(link.removeprefix("data:image/webp;base64,")))
    )


def test_a_table_is_read_by_page_and_terminal_alike(shown):
    rows = [("a_slot", "n", "gain"), ("`none`", 1_000, ""), ("*x*", 49, "-0.1 ± 0.2")]
    bundle = displayed(shown, lambda: show_table(rows))
    assert bundle["text/markdown"].splitlines() == [
        r"| a\_slot | n | gain |",
        "|---|---:|---:|",
        "| `none` | 1000 |  |",
        r"| \*x\* | 49 | -0.1 ± 0.2 |",
    ]
    assert bundle["text/plain"].splitlines() == [
        "a_slot     n        gain",
        "`none`  1000",
        "*x*       49  -0.1 ± 0.2",
    ]


@pytest.mark.parametrize("rows", ([("head", "alone")], [("a", "b"), ("c",)]))
def test_a_table_with_nothing_in_it_or_ragged_is_refused(rows):
    with pytest.raises(ValueError, match="a head and rows as long"):
        show_table(rows)


def test_every_figure_s_script_is_in_the_page_s():
    script = page_script()
    for figure in FIGURES:
        assert script.count(f'define("{figure.tag}"') == 1
    assert "export default" not in script and "import " not in script


TWINS = """
from test_attention_explorer import many
from test_channel_explorer import gates, shares
from test_cost_explorer import explorer
from test_explore import curves, squares
from test_skeleton import break_it, play, play_together
from test_tracer import tracer

made = [many(links=3), gates(), shares(), explorer(), curves(), squares(), tracer(), play()]
made += [play_together(), break_it()]
"""


@pytest.mark.slow
def test_each_figure_is_the_same_bytes_each_time_and_in_each_process():
    # By name: tests make figures of their own.
    kinds = {figure.__name__ for figure in FIGURES}
    shipped = kinds & set(attn_lib.figures.__all__)

    def pages() -> list[str]:
        names: dict = {}
        exec(TWINS, names)
        assert {type(figure).__name__ for figure in names["made"]} == shipped
        return [figure.to_html() for figure in names["made"]]

    code = TWINS + "import json; print(json.dumps([figure.to_html() for figure in made]))"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "7"}
    run = {"capture_output": True, "text": True, "check": True, "env": environment}
    twin = subprocess.run([sys.executable, "-c", code], **run)
    assert pages() == pages() == json.loads(twin.stdout)
