"""CostExplorer in the built page: it computes and draws as Python does, by mouse, keys and touch."""

import itertools
import json
import random
import re
from xml.etree.ElementTree import fromstring

import pytest
from browsing import in_jupyter, inject, payload
from playwright.sync_api import Page
from test_cost_explorer import COUNTS, explorer, settings

from attn_lib import NonLocalMeans, SelectiveKernel, SelfAttention2d
from attn_lib.figures import CostExplorer
from attn_lib.figures.cost.chart import draw
from attn_lib.figures.skeleton import to_html

PAGE, TAG = "appendix/gallery", "cost-explorer"


def figure_on(page: Page):
    return page.locator(TAG).first


def said(page: Page) -> str:
    return figure_on(page).locator("caption").inner_text()


def beside(page: Page, figure: CostExplorer):
    """Another figure on the page."""
    inject(page, figure)
    return page.locator(TAG).last


def numbers(figure: CostExplorer) -> list[str]:
    """The cells of its table."""
    names = [mechanism["name"] for mechanism in figure.mechanisms]
    return [p for name in names for p in (f"{figure.value(name):,}", figure.growth(name))]


def spot(page: Page, stop: int, name: str) -> dict:
    """Where a line passes a stop, in pixels of the chart."""
    figure = explorer()
    svg = draw(
        figure.scene(), round(figure_on(page).locator(".attn-chart").bounding_box()["width"])
    )
    curve = next(  # curves come in the order of the mechanisms, the chosen one first
        path.get("d")
        for path, line in zip(
            [given for _, given, *_ in svg[2:] if given["class"].startswith("attn-curve")],
            figure.scene().lines,
            strict=True,
        )
        if line.name == name
    )
    index = figure.letters["side"]["stops"].index(stop)
    x, y = map(float, curve[1:].split("L")[index].split(","))
    return {"x": x, "y": y}


def seen_text(tree: list) -> list[str]:
    """The texts in an element, of a stack that of its chosen child."""
    _, attributes, *children = tree
    if attributes.get("class") == "attn-stack":
        children = [child for child in children if "data-chosen" in child[1]]
    return [
        text
        for child in children
        for text in ([child] if isinstance(child, str) else seen_text(child))
    ]


@pytest.mark.pages
def test_the_page_holds_the_figure_that_these_tests_make():
    alt = payload(PAGE, TAG)["alt"]
    figure = explorer(alt=alt)
    data = json.loads(re.search(r"json\">(.*)</script>", figure.to_html())[1])
    assert payload(PAGE, TAG) == data | {"_skeleton": ["#markup", {}, figure.still()]}


@pytest.mark.parametrize("count", COUNTS)
def test_the_page_computes_what_python_does_at_every_setting(visit, count):
    figure, page = explorer(count=count), visit(PAGE)
    # Each side with each c, and with each r or each number of heads: no mechanism has both.
    heads = itertools.cycle(figure.letters["heads"]["stops"])
    every = [s | {"heads": next(heads)} for s in settings(figure) if s["heads"] == 1]
    assert len(every) == 9 * 7 * 6
    assert len({(s["side"], s["c"], s["heads"]) for s in every}) == 9 * 7 * 5
    for along in figure.letters:
        figure.along = along
        shown = every if along == "side" else every[::19]
        tables = figure_on(page).evaluate(
            """(figure, [count, along, every]) => {
              figure.model.set("count", count);
              figure.model.set("along", along);
              const cells = [...figure.querySelectorAll("td")];
              return every.map(sizes => (figure.model.set("sizes", sizes), cells.map(cell => cell.textContent)));
            }""",
            [count, along, shown],
        )
        for sizes, cells in zip(shown, tables, strict=True):
            figure.sizes = sizes
            assert cells == numbers(figure), sizes


@pytest.mark.parametrize("count", COUNTS)
def test_the_page_divides_rounds_and_meets_zero_as_python_does(visit, count):
    mechanisms = {
        "halved": SelfAttention2d(98, 49, subsample=True),
        "values": SelfAttention2d(98, 3, value_reduction=4),
        "groups": SelectiveKernel(98, 2, groups=7),
        "means": NonLocalMeans(3, 1.0),
    }
    figure = explorer(mechanisms, (2, 98, 9, 9), count=count)
    assert figure.letters["c"]["stops"] == [98] and 49 in figure.letters["r"]["stops"]
    page = visit(PAGE)
    second = beside(page, figure)
    some = random.Random(0).sample(settings(figure), 60)  # above, every setting is met
    for along in figure.letters:
        figure.along = along
        for sizes in some:
            figure.sizes = sizes
            cells = second.evaluate(
                """(figure, [along, sizes]) => {
                  figure.model.set("along", along);
                  figure.model.set("sizes", sizes);
                  return [...figure.querySelectorAll("td")].map(cell => cell.textContent);
                }""",
                [along, sizes],
            )
            assert cells == numbers(figure), sizes
        lines = second.locator(".attn-curve").count()
        assert lines == (3 if count == "parameters" else 4), "no line where all is zero"


@pytest.mark.parametrize("width", [1200, 390])
def test_the_page_draws_what_python_draws(visit, width):
    """Two languages, one layout: the same elements, words and pixels."""
    figure, page = explorer(), visit(PAGE, width=width)
    for count, along, chosen, sizes in (
        ("multiply_adds", "side", "self-attention", {}),
        ("activations", "c", "SK", {"r": 4, "side": 112}),
        ("parameters", "r", "SE", {"c": 2048}),
        ("multiply_adds", "heads", "multi-head", {"side": 10, "heads": 16}),
    ):
        figure.sizes = explorer().sizes | sizes
        figure.count, figure.along, figure.chosen = count, along, chosen
        drawn = figure_on(page).evaluate(
            """(figure, traits) => {
              for (const name in traits) figure.model.set(name, traits[name]);
              const chart = figure.querySelector(".attn-chart");
              return [chart.clientWidth, chart.innerHTML, figure.querySelector("table").innerText,
                      figure.querySelector(".attn-formula [data-chosen]").innerHTML];
            }""",
            {"count": count, "along": along, "chosen": chosen, "sizes": figure.sizes},
        )
        python = fromstring(to_html(draw(figure.scene(), drawn[0])))
        script = fromstring(drawn[1])
        numbers = re.compile(r"-?[\d.]+")
        for mine, theirs in zip(python.iter(), script.iter(), strict=True):
            assert mine.text == theirs.text and mine.tag == theirs.tag
            assert set(mine.attrib) == set(theirs.attrib)
            for name, text in mine.attrib.items():
                other = theirs.get(name)
                assert numbers.sub("", text) == numbers.sub("", other), (name, text, other)
                pairs = zip(numbers.findall(text), numbers.findall(other), strict=True)
                assert all(abs(float(a) - float(b)) < 0.11 for a, b in pairs), (text, other)
        *_, table, _, formulas = figure.skeleton()
        assert drawn[2].split() == " ".join(seen_text(table)).split()
        shown = next(p for p in formulas[2:] if "data-chosen" in p[1])
        assert re.sub(r"<[^>]*>", "", drawn[3]) == "".join(seen_text(shown))


def test_the_mouse_previews_and_a_click_chooses_a_size_and_a_mechanism(visit):
    page = visit(PAGE)
    chart = figure_on(page).locator(".attn-chart")
    chart.hover(position=spot(page, 14, "CBAM"))
    assert said(page) == "b = 1, c = 64, h = w = 14"
    page.mouse.move(0, 0)
    assert said(page) == "b = 1, c = 64, h = w = 56", "leaving goes back to the setting"
    chart.click(position=spot(page, 20, "CBAM"))
    page.mouse.move(0, 0)
    assert said(page) == "b = 1, c = 64, h = w = 20"
    assert "multiply-adds of CBAM" in figure_on(page).locator(".attn-formula").inner_text()
    figure_on(page).get_by_role("button", name="512 × 7 × 7").click()
    assert said(page) == "b = 1, c = 512, h = w = 7"
    channels = figure_on(page).get_by_role("slider", name="channels c")
    assert channels.get_attribute("aria-valuetext") == "512"


def test_the_keyboard_alone_does_all(visit):
    page = visit(PAGE)
    figure = figure_on(page)
    page.evaluate("document.querySelector('#costexplorer, #cost-explorer, main').focus()")
    for _ in range(200):
        page.keyboard.press("Tab")
        if page.evaluate(f"!!document.activeElement.closest('{TAG}')"):
            break
    page.keyboard.press("ArrowDown")  # Measure
    head = figure.locator("thead th").nth(1)
    assert head.inner_text() == "activation bytes, float32"
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.evaluate(outline) == "solid"
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")  # along
    assert figure.locator("thead th").nth(2).inner_text() == "when c doubles"
    for key, wanted in (
        ("ArrowLeft", "b = 1, c = 64, h = w = 40"),
        ("ArrowRight", "b = 1, c = 128, h = w = 40"),
    ):
        page.keyboard.press("Tab")
        page.keyboard.press(key)
        assert said(page) == wanted
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")  # r of all: 1
    assert figure.locator("tbody small").first.inner_text() == "r = 1"


def test_a_finger_chooses_and_still_scrolls_the_page(visit):
    page = visit(PAGE, width=390, has_touch=True, is_mobile=True)
    chart = figure_on(page).locator(".attn-chart")
    chart.scroll_into_view_if_needed()
    chart.tap(position=spot(page, 28, "SK"))
    assert said(page) == "b = 1, c = 64, h = w = 28"
    assert "of SK" in figure_on(page).locator(".attn-formula").inner_text()
    assert chart.evaluate("chart => getComputedStyle(chart).touchAction") == "pan-y pinch-zoom"
    for control in figure_on(page).locator("select, button, label:has(input)").all():
        assert control.bounding_box()["height"] >= 24


def test_two_of_a_kind_do_not_disturb_one_another(visit):
    page = visit(PAGE)
    first, second = figure_on(page), beside(page, explorer(count="parameters"))
    before = first.inner_text()
    second.get_by_role("button", name="512 × 7 × 7").click()
    second.locator("select").first.select_option("activation bytes, float32")
    assert first.inner_text() == before
    assert "c = 512" in second.locator("caption").inner_text()
    assert page.locator(f"{TAG} [id]").count() == 0


def test_a_redraw_takes_less_than_a_frame(visit):
    milliseconds = figure_on(visit(PAGE)).evaluate(
        """figure => Array.from({ length: 100 }, (_, i) => {
          const start = performance.now();
          figure.model.set("sizes", { side: i % 2 ? 56 : 112, c: 2048, r: null, heads: 16 });
          figure.getBoundingClientRect(); // with its layout
          return performance.now() - start;
        }).sort((a, b) => a - b)[50]"""
    )
    assert milliseconds < 16


def test_the_script_is_also_what_jupyter_runs(visit):
    """Choosing tells Python."""
    data = payload(PAGE, TAG)
    told = in_jupyter(
        visit("search", bypass_csp=True),
        CostExplorer,
        data,
        """const range = el.querySelector("input");
        range.value = 0;
        range.dispatchEvent(new Event("input"));
        return told;""",
    )
    assert told == [["sizes", data["sizes"] | {"side": 7}], "saved"]
