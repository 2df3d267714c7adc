"""Figures in other people's programs: what each does to a page, imitated, and the colours that it then has."""

import sys
import types
from collections.abc import Callable
from pathlib import Path

import anywidget
import nbformat
import pytest
from axe_playwright_python.sync_playwright import Axe
from nbconvert import HTMLExporter
from playwright.sync_api import Page
from test_skeleton import SAMPLES

from attn_lib.figures import LivingFigure, retrain
from attn_lib.figures.base import FIGURES, PUBLISHING, page_script

each_figure = pytest.mark.parametrize(
    "make",
    {make().name: make for make, _ in SAMPLES.values()}.values(),
    ids=lambda make: make.__name__,
)
# What each host writes on its page, with the background and the text that it has then.
LIGHT, DARK = "#0b62b8", "#6cb4ff"
HOSTS = {
    "JupyterLab": ("", 'data-jp-theme-light="true"', "white", "#212121", LIGHT),
    "JupyterLab Dark": ("", 'data-jp-theme-light="false"', "#111111", "#ffffff", DARK),
    "Notebook 6": ("", 'class="notebook_app"', "white", "black", LIGHT),
    "VS Code light": ("", 'class="vscode-light" data-vscode-theme-kind="vscode-light"', "white", "#3b3b3b", LIGHT),
    "VS Code dark": ("", 'class="vscode-dark" data-vscode-theme-kind="vscode-dark"', "#1f1f1f", "#cccccc", DARK),
    "VS Code contrast": ("", 'class="vscode-high-contrast" data-vscode-theme-kind="vscode-high-contrast"', "black", "white", DARK),
    "Colab dark": ("theme=dark", "", "#383838", "#e3e3e3", DARK),
    "Colab light": ("theme=light", "", "white", "#212121", LIGHT),
    "marimo dark": ('class="dark"', "", "#181c1a", "#eceeed", DARK),
}  # fmt: skip
COLOUR = (
    "getComputedStyle(document.querySelector('.attn-living')).getPropertyValue('--attn-query')"
)


@pytest.fixture
def hosted(browser, tmp_path: Path):
    """Open a figure in a host's page, alive, with the style that a notebook gives it."""
    contexts = []

    def open_page(figure: LivingFigure, host: str, scheme: str) -> Page:
        root, body, background, colour, _ = HOSTS[host]
        style = (
            f"<style>body {{ background: {background}; color: {colour} }} {figure._css}</style>"
        )
        page = f"<!doctype html><html lang=en {root}><meta charset=utf-8><title>t</title>{style}<body {body}><main>"
        path = tmp_path / "host.html"
        script = f"</main><script>{page_script([type(figure)])}</script>"
        path.write_text(page + figure.to_html() + script, encoding="utf-8")
        contexts.append(browser.new_context(color_scheme=scheme))
        opened = contexts[-1].new_page()
        opened.goto(path.as_uri())
        return opened

    yield open_page
    for context in contexts:
        context.close()


@pytest.mark.parametrize("host", HOSTS)
def test_a_host_s_own_mark_decides_whatever_the_system_asks_for(hosted, host: str):
    for scheme in ("light", "dark"):
        page = hosted(SAMPLES["gates"][0](), host, scheme)
        assert page.evaluate(COLOUR).strip() == HOSTS[host][-1]


def test_a_host_that_says_nothing_is_as_the_system_asks_for(hosted, monkeypatch):
    monkeypatch.setitem(HOSTS, "unknown", ("", "", "Canvas", "CanvasText", ""))
    for scheme, wanted in (("light", LIGHT), ("dark", DARK)):
        page = hosted(SAMPLES["gates"][0](), "unknown", scheme)
        assert page.evaluate(COLOUR).strip() == wanted


@each_figure
@pytest.mark.parametrize("host", ["JupyterLab Dark", "VS Code dark", "Colab dark"])
def test_a_figure_is_read_with_ease_in_the_dark(hosted, make: Callable, host: str):
    found = Axe().run(hosted(make(), host, "light"), options={"runOnly": ["color-contrast"]})
    assert found.violations_count == 0, found.generate_report()


@each_figure
def test_the_bundle_wins_in_ipywidgets_7_too(make: Callable):
    """There a widget displays itself, unless it has nothing to do that with."""
    figure = make()
    assert figure._ipython_display_ is None
    bundle, _ = figure._repr_mimebundle_()
    assert set(bundle) == {
        "application/vnd.jupyter.widget-view+json",
        "text/html",
        "text/plain",
    }


def test_every_figure_is_tried():
    assert {make().name for make, _ in SAMPLES.values()} == {figure.name for figure in FIGURES}


@each_figure
def test_a_converted_notebook_shows_the_still_with_its_style(
    make: Callable, browser, monkeypatch, tmp_path
):
    """`nbconvert --to html`, network cut, no widget state: as mails and learning platforms get it."""
    monkeypatch.delenv(PUBLISHING)
    bundle, metadata = make()._repr_mimebundle_()
    output = nbformat.v4.new_output("display_data", bundle, metadata=metadata)
    cell = nbformat.v4.new_code_cell("figure", outputs=[output])
    notebook = nbformat.v4.new_notebook(
        cells=[cell],
        metadata={
            "kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}
        },
    )
    text, _ = HTMLExporter(require_js_url="", mathjax_url="").from_notebook_node(notebook)
    (tmp_path / "page.html").write_text(text, encoding="utf-8")
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.goto((tmp_path / "page.html").as_uri(), wait_until="domcontentloaded")
    assert page.locator(".attn-living").bounding_box()["height"] > 100
    assert page.locator("[data-live]:visible").count() == 0, "no control that does nothing"
    assert (
        page.locator(
            ":is(.attn-state:not(.attn-now), .attn-stack > :not([data-chosen])):visible"
        ).count()
        == 0
    )
    context.close()


def test_colab_hears_where_custom_widgets_are_found(monkeypatch):
    """Imitated: what colabtools offers, as anywidget asks for it."""
    asked = []
    output = types.ModuleType("google.colab.output")
    output.enable_custom_widget_manager = lambda: asked.append(True)
    output._widgets = types.SimpleNamespace(_installed_url="https://there.example")
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    monkeypatch.setitem(sys.modules, "google.colab.output", output)
    wanted = anywidget.AnyWidget()._repr_mimebundle_()[1]
    assert "there.example" in str(wanted)
    _, metadata = retrain(int, about="trains nothing for no steps.")._repr_mimebundle_()
    assert metadata == wanted
