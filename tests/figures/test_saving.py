"""A figure in a file: a page that lives alone, or a picture; and what a figure says of itself in a terminal."""

import re
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from test_skeleton import SAMPLES

from attn_lib.figures import page_script
from attn_lib.figures.base import FIGURES, PUBLISHING

each_sample = pytest.mark.parametrize("name", SAMPLES)


@each_sample
def test_a_saved_page_lives_alone(name: str, visit, tmp_path: Path):
    make, states = SAMPLES[name]
    figure, changed = make(), make()
    for trait, value in states[-1].items():
        setattr(changed, trait, value)
    figure.save(tmp_path / "figure.html")
    page = visit(str(tmp_path / "figure"))  # no network, and any complaint fails
    living = page.locator(f"{figure.tag} .attn-living")
    before = living.inner_text()
    assert living.is_visible() and page.title()
    assert living.locator("[data-live]").first.is_visible(), "its controls are alive"
    for trait, value in states[-1].items():
        page.evaluate(
            "([tag, trait, value]) => document.querySelector(tag).model.set(trait, value)",
            [figure.tag, trait, value],
        )
    if states[-1]:
        assert living.inner_text() != before, "it responds"
    assert page.evaluate("document.documentElement.scrollWidth") <= 1200


@each_sample
def test_a_saved_page_reads_in_light_and_dark(name: str, visit, tmp_path: Path):
    SAMPLES[name][0]().save(tmp_path / "figure.html")
    page = visit(str(tmp_path / "figure"))
    colour = "getComputedStyle(document.documentElement).getPropertyValue('--attn-query')"
    for scheme, wanted, rules in (
        ("light", "#0b62b8", ["wcag2a", "wcag2aa"]),
        ("dark", "#6cb4ff", ["color-contrast"]),
    ):
        page.emulate_media(color_scheme=scheme)
        found = Axe().run(page, options={"runOnly": rules})
        assert found.violations_count == 0, found.generate_report()
        assert page.evaluate(colour) == wanted


@each_sample
def test_a_saved_page_shows_its_still_picture_without_scripts(name: str, visit, tmp_path: Path):
    figure = SAMPLES[name][0]()
    figure.save(tmp_path / "figure.html")
    page = visit(str(tmp_path / "figure"), java_script_enabled=False)
    assert page.locator(".attn-living").bounding_box()["height"] > 100


@pytest.mark.slow
@each_sample
def test_a_saved_picture_shows_what_is_chosen(name: str, tmp_path: Path):
    make, states = SAMPLES[name]
    pictures = []
    for state in (states[0], states[-1], states[-1]):
        figure = make()
        for trait, value in state.items():
            setattr(figure, trait, value)
        figure.save(str(tmp_path / "figure.PNG"))
        with Image.open(tmp_path / "figure.PNG") as picture:
            assert picture.format == "PNG" and picture.text["Description"] == figure.alt
            pictures.append(np.asarray(picture.convert("RGB")))
    first, last, again = pictures
    assert min(first.shape[:2]) > 300 and first.std() > 10, "it is not blank"
    assert np.array_equal(last, again), "the same figure gives the same picture"
    if name != "shapes":  # all lines of the source, whichever is chosen
        assert first.shape != last.shape or (first != last).any()


@pytest.mark.parametrize("name", ["map.pdf", "map", "map.html.gz"])
def test_another_suffix_is_refused_and_the_known_ones_named(name: str, tmp_path: Path):
    figure = SAMPLES["gates"][0]()
    with pytest.raises(
        ValueError, match=rf"\.html, .* or \.png, .*got .*{re.escape(name)}\. figure\.plot"
    ):
        figure.save(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_what_a_figure_is_called_cannot_end_its_page(tmp_path: Path, monkeypatch):
    monkeypatch.delenv(PUBLISHING)
    figure = SAMPLES["gates"][0]()
    figure.alt = "</title><script>alert(1)</script>"
    figure.save(tmp_path / "figure.html")
    page = (tmp_path / "figure.html").read_text(encoding="utf-8")
    assert page.count("</script>") == 2 and page.count("</title>") == 1
    figure.alt = ""
    figure.save(tmp_path / "figure.html")
    assert "<title>channel_explorer</title>" in (tmp_path / "figure.html").read_text(
        encoding="utf-8"
    )


@each_sample
def test_printed_it_says_what_it_is_and_how_to_keep_it(name: str):
    figure = SAMPLES[name][0]()
    said = str(figure)
    assert said == repr(figure) and len(said) < 300 and "\n" not in said
    assert said.startswith(f"<{type(figure).__name__}: {figure.alt} ")
    assert f"figure.save('{figure.name}.html')" in said


def test_a_script_of_some_figures_is_those_figures_alone():
    for figure in FIGURES:
        assert re.findall(r'define\("(.*?)"', page_script([figure])) == [figure.tag]
