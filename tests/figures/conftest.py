"""Figures are tested as the book's build makes them: held to a weight and to words."""

from pathlib import Path

import pytest
from browsing import started
from playwright.sync_api import Page

from attn_lib.figures.base import PUBLISHING, LivingFigure, page_style


@pytest.fixture(autouse=True)
def publishing(monkeypatch):
    monkeypatch.setenv(PUBLISHING, "1")


@pytest.fixture
def alone(browser, tmp_path: Path):
    """Open a figure on a page of its own, with or without its script."""
    context = browser.new_context(viewport={"width": 900, "height": 900})
    complaints: list[str] = []

    def open_page(figure: LivingFigure, script: str) -> Page:
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        path = tmp_path / f"{len(context.pages)}.html"
        script = f"<script>{script}</script>" if script else ""
        style = f"<meta charset='utf-8'><style>{page_style()}</style>"
        body = f"<body style='width: 720px'>{figure.to_html()}{script}"
        path.write_text(f"<!doctype html>{style}{body}", encoding="utf-8")
        page.goto(path.as_uri())
        started(page)
        return page

    yield open_page
    context.close()
    assert complaints == []


@pytest.fixture(scope="session")
def playgrounds(tmp_path_factory) -> dict[str, str]:
    """Pages of networks that run in them, saved once: small ones, and the book's own."""
    folder = tmp_path_factory.mktemp("playgrounds")
    from test_skeleton import (  # which imports the library: not before shapes are checked
        break_it,
        play,
        play_together,
    )

    from attn_lib.data import digit_examples
    from attn_lib.figures import FaultExplorer, Playground
    from attn_lib.lab import zoo

    alt = "A dark canvas with a digit among scraps; beside it ten bars and a heat map."
    digits = digit_examples()
    slots = ("self_attention", "cbam", "selective_kernel", "attention_pooling")
    trained = {slot: zoo.load(f"host_{slot}") for slot in slots}
    figures = {
        "small": play(),
        "small_together": play_together(),
        "trained": Playground(trained["self_attention"], digits, alt=alt),
        "together": Playground(trained, digits, alt=alt, together=True, budget=300_000),
        "small_broken": break_it(),
        "broken": FaultExplorer(trained["self_attention"], digit_examples("test", 20), alt=alt),
        "broken_cbam": FaultExplorer(trained["cbam"], digit_examples("test", 20), alt=alt),
    }
    for name, figure in figures.items():
        figure.save(folder / f"{name}.html")
    return {name: str(folder / name) for name in figures}
