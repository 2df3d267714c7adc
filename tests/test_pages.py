"""The built pages in a real browser, opened from the file system with the network cut."""

import re

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from browsing import decoded, payload, picture, pixel
from playwright.sync_api import Page

from attn_lib import record, zoo
from attn_lib.data import cluttered_digits
from attn_lib.figures import AttentionExplorer

PAGES = (
    "index",
    "foundations/attention_without_learning",
    "spatial/self_attention",
    "channel/squeeze_excitation",
    "channel/selective_kernel",
    "appendix/errata",
    "appendix/glossary",
    "appendix/api_mechanisms",
    "appendix/api_tools",
    "appendix/api_figures",
    "appendix/references",
    "appendix/gallery",
    "appendix/speed",
    "search",
    "genindex",
)
LIVING = PAGES[:3]

every_living_page = pytest.mark.parametrize("name", LIVING)


def explorer(page: Page):
    return page.locator("attention-explorer").first


def canvas(page: Page, map: int = 0):
    return explorer(page).locator("canvas").nth(map)


def chosen(page: Page) -> int:
    return int(explorer(page).locator(".attn-explorer").get_attribute("data-query"))


def data(name: str) -> dict:
    return payload(name, "attention-explorer")


def centre(page: Page, query: int, grid: list[int], map: int = 0) -> dict:
    box = canvas(page, map).bounding_box()
    row, column = divmod(query, grid[1])
    return {
        "x": (column + 0.5) * box["width"] / grid[1],
        "y": (row + 0.5) * box["height"] / grid[0],
    }


@pytest.mark.parametrize("width", [1200, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_quiet_fits_and_is_accessible(visit, name, scheme, width):
    page = visit(name, width=width, scheme=scheme)
    wide = page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    assert wide <= 0, f"the page moves sideways by {wide} px"
    found = Axe().run(
        page, options={"preload": False}
    )  # it would fetch style sheets, which files may not
    assert found.violations_count == 0, found.generate_report()


@every_living_page
def test_without_scripts_a_picture_with_words_stands_in(visit, name):
    page = visit(name, java_script_enabled=False)
    for image in explorer(page).locator("img").all():
        assert image.is_visible() and image.bounding_box()["height"] > 200
        assert re.fullmatch(r".+: most on row \d+, column \d+: .*", image.get_attribute("alt"))
    assert len(explorer(page).locator(".attn-still").get_attribute("aria-label").split()) > 10


@every_living_page
def test_what_is_drawn_is_what_the_numbers_say(visit, name):
    page, figure = visit(name), data(name)
    grid, m = figure["grid"], np.prod(figure["key_grid"])
    weights = decoded(figure["weights"], "u1").reshape(len(figure["names"]), -1, m)
    peaks = decoded(figure["peaks"], "<f4").reshape(len(figure["names"]), -1)
    colours = decoded(figure["colours"], "u1").reshape(256, 3).astype(float)
    grey = 0.75 * np.asarray(picture(figure["image"]).convert("L"), float)
    for query in (0, 7, figure["query"]):
        canvas(page).hover(position=centre(page, query, grid))
        for map in range(len(figure["names"])):
            shared = weights[map, query] / 255 * peaks[map, query] / peaks[:, query].max()
            level = np.round(255 * np.sqrt(shared)).astype(int)
            for key in {int(level.argmax()), 11, m - 1} - {query}:
                place = [
                    (part + 0.5) / cells
                    for part, cells in zip(divmod(key, grid[1]), grid, strict=True)
                ]
                under = grey[int(place[0] * grey.shape[0]), int(place[1] * grey.shape[1])]
                opacity = 0.9 * np.sqrt(level[key] / 255)
                wanted = under * (1 - opacity) + colours[level[key]] * opacity
                drawn = pixel(canvas(page, map), *place)
                assert np.abs(wanted - drawn[:3]).max() < 5, (query, map, key)


def test_the_numbers_are_those_of_the_trained_and_the_untrained_network():
    figure = data("index")
    test = cluttered_digits("test", 2_000, seed=1)
    weights = decoded(figure["weights"], "u1").reshape(2, 100, 100) / 255
    published = weights * decoded(figure["peaks"], "<f4").reshape(2, 100, 1)
    for map, trained in enumerate((True, False)):
        network = zoo.load("host_self_attention", trained=trained)
        with record(network) as maps:
            network(test.images[422:423])
        assert np.abs(published[map] - maps["slot"][0].numpy()).max() < 0.005


def test_the_mouse_previews_and_a_click_chooses(visit):
    page = visit("index")
    grid, start = [10, 10], data("index")["query"]
    canvas(page).hover(position=centre(page, 23, grid))
    assert chosen(page) == 23
    page.mouse.move(0, 0)
    assert chosen(page) == start, "leaving goes back to the chosen query"
    canvas(page, 1).click(position=centre(page, 78, grid, 1))
    page.mouse.move(0, 0)
    assert chosen(page) == 78
    assert "Query: row 8, column 9." in explorer(page).inner_text()


def test_the_keyboard_reaches_and_moves_the_query(visit):
    page = visit("index")
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.tagName") == "CANVAS":
            break
    start = chosen(page)
    for key, step in {
        "ArrowRight": 1,
        "ArrowDown": 10,
        "ArrowLeft": -1,
        "ArrowUp": -10,
    }.items():
        page.keyboard.press(key)
        start += step
        assert chosen(page) == start
    for _ in range(12):
        page.keyboard.press("ArrowLeft")
    assert chosen(page) % 10 == 0, "it stops at the edge"


def test_a_finger_chooses_and_still_scrolls_the_page(visit):
    page = visit("index", width=390, has_touch=True, is_mobile=True)
    canvas(page).scroll_into_view_if_needed()
    canvas(page).tap(position=centre(page, 31, [10, 10]))
    assert chosen(page) == 31
    assert canvas(page).evaluate("canvas => getComputedStyle(canvas).touchAction") == "pan-y"


@every_living_page
def test_the_living_figure_says_what_the_still_one_said(visit, name):
    """Two languages, one text: the script's words and numbers against Python's."""
    still = explorer(visit(name, java_script_enabled=False))
    living = explorer(visit(name))
    said = [note.inner_text() for note in still.locator("figcaption").all()]
    assert [note.inner_text() for note in living.locator("figcaption").all()] == said
    assert (
        living.locator(".attn-scale").inner_text().split()
        == still.locator(".attn-scale").inner_text().split()
    )


@pytest.mark.parametrize("width", [1200, 390])
@every_living_page
def test_nothing_jumps_when_a_figure_comes_alive(visit, name, width):
    dead = explorer(visit(name, java_script_enabled=False, width=width)).bounding_box()[
        "height"
    ]
    alive = explorer(visit(name, width=width)).bounding_box()["height"]
    assert abs(alive - dead) <= 2, (dead, alive)


def test_a_redraw_takes_less_than_a_frame(visit):
    page = visit("foundations/attention_without_learning")
    milliseconds = explorer(page).evaluate(
        """figure => {
          const times = [];
          for (let query = 0; query < 100; query++) {
            const start = performance.now();
            figure.model.set("query", query);
            times.push(performance.now() - start);
          }
          return times.sort((a, b) => a - b)[50];
        }"""
    )
    assert milliseconds < 16


def test_the_script_is_also_what_jupyter_runs(visit):
    """As a module, with a model like anywidget's: choosing tells Python."""
    page, figure = visit("search"), data("index")
    told = page.evaluate(
        """async ([source, data]) => {
          for (const name in data) if (data[name]?.base64)
            data[name] = new DataView(Uint8Array.from(atob(data[name].base64), c => c.charCodeAt(0)).buffer);
          const told = [];
          const model = { get: name => data[name], set: (name, value) => told.push([name, value]),
                          save_changes: () => told.push("saved"), on() {} };
          const el = document.createElement("div");
          const module = await import("data:text/javascript;base64," + btoa(unescape(encodeURIComponent(source))));
          module.default.render({ model, el });
          el.querySelector("canvas").dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowDown" }));
          return told;
        }""",
        [AttentionExplorer._esm, figure],
    )
    assert told == [["query", figure["query"] + 10], "saved"]
