"""The AttentionExplorer by mouse, keys and finger, in every medium, in time, and as Jupyter runs it."""

import numpy as np
import pytest
import torch
from browsing import in_jupyter, payload, pixel
from explorers import (
    GALLERY,
    LAYERS,
    TWO_IMAGES,
    assert_drawn,
    at,
    canvas,
    captions,
    chosen,
    injected,
    living,
    published,
    set_in_both,
)

from attn_lib.figures import AttentionExplorer


def test_the_mouse_previews_chooses_and_reads(visit):
    page, figure = visit(GALLERY), published(GALLERY, TWO_IMAGES)
    element = living(page, TWO_IMAGES)
    shown = element.locator(".attn-explorer")
    start = figure.query
    canvas(page).hover(position=at(canvas(page), 23, figure.grid))
    assert shown.get_attribute("data-query") == "23" and chosen(element, "query") == start
    page.mouse.move(0, 0)
    assert shown.get_attribute("data-query") == str(start), "leaving shows the chosen one again"
    canvas(page, panel=1).click(position=at(canvas(page, panel=1), 44, figure.grid))
    assert chosen(element, "query") == 44 and "Query: row 5, column 5." in element.inner_text()

    element.get_by_label("Hold, and read other cells").check()
    for cell in (42, 63):
        canvas(page).hover(position=at(canvas(page), cell, figure.grid))
        figure.query, figure.cell = 44, cell
        assert captions(element) == [figure.describe(panel["name"]) for panel in figure.panels]
    assert chosen(element, "query") == 44, "pointing reads, and leaves the query"
    canvas(page).click(position=at(canvas(page), 42, figure.grid))
    assert chosen(element, "cell") == 42
    edge = pixel(canvas(page), 0.4 + 1.5 / 480, 0.25)
    assert min(edge[:3]) > 200, "a white outline marks the cell"
    element.get_by_label("Hold, and read other cells").uncheck()
    assert chosen(element, "cell") is None


def test_the_keyboard_alone_reaches_and_moves_everything(visit):
    page = visit(GALLERY)
    element = living(page, LAYERS)

    def tab_to(label: str) -> None:
        for _ in range(120):
            page.keyboard.press("Tab")
            focused = page.evaluate(
                """() => { const at = document.activeElement;
                  return at.closest("attention-explorer") === document.querySelectorAll("attention-explorer")[2]
                    ? (at.labels?.[0]?.textContent ?? at.getAttribute("aria-label")) : ""; }"""
            )
            if focused.strip().startswith(label):
                outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
                assert outline == "solid", f"{label} shows its focus"
                return
        raise AssertionError(f"no Tab reaches {label}")

    for label, key, trait, value in (
        ("Layer", "ArrowLeft", "layer", 0),
        ("Head", "ArrowDown", "head", 1),
        ("Show", "ArrowDown", "direction", "is looked at by"),
        ("Links", "End", "links", 8),
        ("Opacity", "Home", "opacity", 0),
    ):
        tab_to(label)
        page.keyboard.press(key)
        assert chosen(element, trait) == value, label
    tab_to("Hold")
    page.keyboard.press("Space")
    held = chosen(element, "query")
    assert chosen(element, "cell") == held
    tab_to("one colour a head")
    for key, step in {"ArrowRight": 1, "ArrowUp": -10, "ArrowLeft": -1}.items():
        page.keyboard.press(key)
        held += step
        assert chosen(element, "cell") == held
    for _ in range(12):
        page.keyboard.press("ArrowLeft")
    assert chosen(element, "cell") % 10 == 0, "it stops at the edge"
    assert chosen(element, "query") == published(GALLERY, LAYERS).query
    said = captions(element)[0]
    assert said.startswith("layer 1, head 2: most from ")


def test_a_finger_chooses_and_still_scrolls_the_page(visit):
    page = visit(GALLERY, width=390, has_touch=True, is_mobile=True)
    element = living(page)
    canvas(page).scroll_into_view_if_needed()
    canvas(page).tap(position=at(canvas(page), 31, [10, 10]))
    assert chosen(element, "query") == 31
    assert canvas(page).evaluate("canvas => getComputedStyle(canvas).touchAction") == "pan-y pinch-zoom"
    element.get_by_label("Hold, and read other cells").tap()
    canvas(page).tap(position=at(canvas(page), 52, [10, 10]))
    assert (chosen(element, "query"), chosen(element, "cell")) == (31, 52)
    for control in element.locator(".attn-control").all():
        assert control.bounding_box()["height"] >= 24


def test_two_of_a_kind_do_not_disturb_one_another(visit):
    page = visit(GALLERY)
    before = [captions(living(page, which)) for which in range(3)]
    living(page, TWO_IMAGES).evaluate("figure => figure.model.set('query', 3)")
    after = [captions(living(page, which)) for which in range(3)]
    assert after[0] != before[0] and after[1:] == before[1:]
    assert page.locator("attention-explorer [id]").count() == 0


@pytest.mark.parametrize(
    "medium",
    [
        {"forced_colors": "active"},
        {"color_scheme": "dark"},
        {"media": "print"},
        {"reduced_motion": "reduce"},
    ],
    ids=str,
)
def test_pictures_and_legend_stay_in_every_medium(visit, medium):
    page = visit(GALLERY)
    page.emulate_media(**medium)
    for which in range(3):
        figure, element = published(GALLERY, which), living(page, which)
        for index in range(len(figure.panels)):
            shown = element.locator("canvas").nth(index)
            assert shown.is_visible() and shown.bounding_box()["width"] > 150
        set_in_both(figure, element, query=0, links=0)
        assert_drawn(figure, element)
        lowest = f"rgb({', '.join(map(str, figure.colours[:3]))})"
        for bar in element.locator(".attn-bar").all():
            assert lowest in bar.evaluate("bar => getComputedStyle(bar).backgroundImage")
        text = element.locator("figcaption").first
        ink, paper = text.evaluate(
            """text => { const of = node => getComputedStyle(node); let paper = text;
              while (paper.parentElement && of(paper).backgroundColor.endsWith(", 0)")) paper = paper.parentElement;
              return [of(text).color, of(paper).backgroundColor]; }"""
        )
        light = [
            np.mean([float(n) for n in c.strip("rgba()").split(",")[:3]]) for c in (ink, paper)
        ]
        assert abs(light[0] - light[1]) > 100, (ink, paper)


@pytest.mark.parametrize("side", [14, 28])
def test_a_redraw_takes_less_than_a_frame_at_784_positions_too(visit, side):
    torch.manual_seed(0)
    n = side * side
    figure = AttentionExplorer(
        torch.rand(3, 56, 56),
        {"one": torch.rand(n, n).softmax(1), "two": torch.rand(n, n).softmax(1)},
        links=8,
        box=torch.tensor([4, 4, 40, 40]),
        alt="Two heat maps over noise, for a measurement.",
        budget=10_000_000,
    )
    milliseconds = injected(visit("search"), figure).evaluate(
        """figure => {
          const copy = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
          const times = [];
          for (let query = 0; query < 100; query++) {
            figure.model.set("direction", query % 2 ? "looks at" : "is looked at by");
            const start = performance.now();
            figure.model.set("query", query);
            copy.drawImage(figure.querySelector("canvas"), 0, 0);
            copy.getImageData(0, 0, 1, 1); // waits until all is drawn
            times.push(performance.now() - start);
          }
          return times.sort((a, b) => a - b)[50];
        }"""
    )
    print(f"{n} positions: {milliseconds:.2f} ms")
    assert 0 < milliseconds < 16


def test_the_script_is_also_what_jupyter_runs(visit):
    """Choosing tells Python, and Python's choice is drawn."""
    figure = published("spatial/self_attention")
    told = in_jupyter(
        visit("search", bypass_csp=True),
        AttentionExplorer,
        payload("spatial/self_attention", AttentionExplorer.tag),
        """el.querySelector("canvas").dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowDown" }));
        python("query", 3);
        return [told, el.querySelector("figcaption output").textContent];""",
    )
    start, figure.query = figure.query, 3
    assert told == [[["query", start + 10], "saved"], figure.describe("trained")]
