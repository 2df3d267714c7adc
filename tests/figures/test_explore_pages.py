"""explore on the built page of figures, in Chromium: two figures, the first of images, the second of plots."""

import re

import numpy as np
import pytest
from browsing import in_jupyter, payload
from fonts import every_screen
from playwright.sync_api import Locator, Page

from attn_lib.figures import FrameExplorer, LivingFigure

PAGE, TAG = "appendix/gallery", "frame-explorer"


def figures(page: Page) -> Locator:
    return page.locator(TAG)


def state(figure: Locator) -> dict:
    """What one sees and hears of a figure."""
    return figure.evaluate(
        """figure => ({
          choice: figure.model.get("choice"),
          words: figure.querySelector(".attn-words output").textContent,
          images: [...figure.querySelectorAll("img")].map(image => image.src),
          alts: [...figure.querySelectorAll("img")].map(image => image.alt),
          plots: [...figure.querySelectorAll("svg")].map(svg => svg.getAttribute("aria-label")),
          controls: [...figure.querySelectorAll(".attn-control")].map(label => label.innerText.trim()),
          height: figure.getBoundingClientRect().height,
        })"""
    )


def published(data: dict, choice: dict) -> tuple[list[str], str]:
    places = [
        axis.index(choice[name]) for name, axis in zip(data["names"], data["grid"], strict=True)
    ]
    index = int(np.ravel_multi_index(places, [len(axis) for axis in data["grid"]]))
    return [data["pictures"][i] for i in data["frames"][index]], data["words"][index]


@pytest.mark.every_font
@pytest.mark.parametrize("which", [0, 1])
def test_every_frame_is_drawn_as_python_made_it_and_none_jumps(visit, which):
    figure, data = figures(visit(PAGE)).nth(which), payload(PAGE, TAG, which)
    heights = set()
    for first in data["grid"][0]:
        for second in data["grid"][1]:
            choice = dict(zip(data["names"], (first, second), strict=True))
            figure.evaluate("(figure, choice) => figure.model.set('choice', choice)", choice)
            seen, (pictures, words) = state(figure), published(data, choice)
            heights.add(seen["height"])
            assert seen["words"] == words
            if data["panels"] == [""]:
                assert seen["plots"] == [words]
            else:
                assert seen["images"] == pictures
                assert seen["alts"] == [f"{panel}: {words}" for panel in data["panels"]]
    assert len(heights) == 1


def test_the_mouse_chooses(visit):
    figure = figures(visit(PAGE)).nth(0)
    box = figure.locator("input").bounding_box()
    figure.locator("input").click(position={"x": box["width"] - 2, "y": box["height"] / 2})
    figure.locator("select").select_option("7")
    seen = state(figure)
    assert seen["choice"] == {"strength": 0.25, "patch": 7}
    assert seen["words"] == published(payload(PAGE, TAG), seen["choice"])[1]


def test_the_keyboard_alone_chooses(visit):
    page = visit(PAGE)
    slider = figures(page).nth(0).locator("input")
    for _ in range(200):
        page.keyboard.press("Tab")
        if slider.evaluate("slider => slider === document.activeElement"):
            break
    assert slider.evaluate("slider => getComputedStyle(slider).outlineStyle") == "solid"
    page.keyboard.press("ArrowRight")
    assert slider.get_attribute("aria-valuetext") == "0.15"
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    assert state(figures(page).nth(0))["choice"] == {"strength": 0.15, "patch": 7}


def test_a_finger_chooses_and_still_scrolls_the_page(visit):
    page = visit(PAGE, width=390, has_touch=True, is_mobile=True)
    slider = figures(page).nth(0).locator("input")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    assert box["height"] >= 24 and box["width"] >= 150
    slider.tap(position={"x": 2, "y": box["height"] / 2})
    assert state(figures(page).nth(0))["choice"]["strength"] == 0.05
    image = figures(page).nth(0).locator("img").first
    assert image.evaluate("image => getComputedStyle(image).touchAction") == "auto"


def test_two_of_a_kind_do_not_disturb_one_another(visit):
    page = visit(PAGE)
    before = state(figures(page).nth(1))
    figures(page).nth(0).locator("select").select_option("1")
    assert state(figures(page).nth(1)) == before
    shape = "svg => [...svg.querySelectorAll('path')].map(path => path.getBoundingClientRect().width)"
    widths = figures(page).nth(1).locator("svg").evaluate(shape)
    figures(page).nth(0).evaluate("figure => figure.remove()")
    assert figures(page).nth(0).locator("svg").evaluate(shape) == widths


def place(figure: Locator, part: str) -> dict:
    """Where in the figure a part of it lies: the code above it is lower without scripts."""
    return figure.evaluate(
        """(figure, part) => {
          const [all, box] = [figure, figure.querySelector(part)].map(e => e.getBoundingClientRect());
          return { x: box.x - all.x, y: box.y - all.y, width: box.width, height: box.height };
        }""",
        part,
    )


@every_screen
@pytest.mark.parametrize("which", [0, 1])
def test_nothing_jumps_when_a_figure_comes_alive(visit, which, width):
    still = figures(visit(PAGE, java_script_enabled=False, width=width)).nth(which)
    living = figures(visit(PAGE, width=width)).nth(which)
    for part in (".attn-controls", ".attn-panels", ".attn-words"):
        dead, alive = (place(figure, part) for figure in (still, living))
        assert all(abs(alive[side] - dead[side]) <= 2 for side in alive), (part, dead, alive)
    heights = [figure.bounding_box()["height"] for figure in (still, living)]
    assert abs(heights[0] - heights[1]) <= 2
    words = still.locator(".attn-words output").inner_text()
    assert words == living.locator(".attn-words output").inner_text()


def test_the_dark_page_does_not_tint_an_image(visit):
    image = figures(visit(PAGE, scheme="dark")).nth(0).locator("img").first
    assert image.evaluate("image => getComputedStyle(image).filter") == "none"


@pytest.mark.parametrize("medium", ["print", "screen"])
@pytest.mark.parametrize("options", [{"forced_colors": "active"}, {"scheme": "dark"}, {}])
def test_a_plot_is_legible_in_print_forced_colours_and_dark(visit, options, medium):
    page = visit(PAGE, **options)
    page.emulate_media(media=medium)
    plot = figures(page).nth(1).locator("svg")
    assert plot.is_visible() and plot.bounding_box()["height"] > 150
    ink, paper = plot.evaluate(
        """svg => {
          let paper = svg;
          const seen = (element) => getComputedStyle(element).backgroundColor;
          while (paper.parentElement && /, 0\\)$|transparent/.test(seen(paper))) paper = paper.parentElement;
          return [getComputedStyle(svg.querySelector("text")).fill, seen(paper)];
        }"""
    )
    light, dark = (luminance(colour) for colour in (paper, ink))
    assert (max(light, dark) + 0.05) / (min(light, dark) + 0.05) >= 4.5, (ink, paper)


def luminance(colour: str) -> float:
    """Relative luminance of a CSS colour (WCAG 2.2); what is transparent to the root is white paper."""
    red, green, blue, *alpha = (float(part) for part in re.findall(r"[\d.]+", colour))
    if alpha == [0]:
        return 1.0
    shares = np.array([red, green, blue]) / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("which", [0, 1])
def test_a_redraw_takes_less_than_a_frame(visit, which):
    milliseconds = (
        figures(visit(PAGE))
        .nth(which)
        .evaluate(
            """figure => {
          const [names, grid] = [figure.model.get("names"), figure.model.get("grid")];
          document.body.replaceChildren(figure); // the layout of the figure, not that of a long page around it
          const times = [];
          for (let i = 0; i < 100; i++) {
            const choice = Object.fromEntries(names.map((name, axis) => [name, grid[axis][i % grid[axis].length]]));
            const start = performance.now();
            figure.model.set("choice", choice);
            figure.getBoundingClientRect(); // layout too
            times.push(performance.now() - start);
          }
          return times.sort((a, b) => a - b)[50];
        }"""
        )
    )
    print(f"redraw {milliseconds:.2f} ms")
    assert milliseconds < 16


def test_the_script_is_also_what_jupyter_runs(visit):
    """It offers more, waits for Python, and shows its errors."""
    data = payload(PAGE, TAG)
    figure = FrameExplorer.__new__(FrameExplorer)
    LivingFigure.__init__(figure, **data)
    data["_skeleton"] = figure.skeleton(live=True)
    log = in_jupyter(
        visit("search", bypass_csp=True),
        FrameExplorer,
        data,
        """const log = [], root = el.firstElementChild;
        const answer = (fresh) => { python("fresh", fresh); look(); };
        const look = () => log.push({ busy: root.ariaBusy, failed: root.classList.contains("attn-failed"),
          words: el.querySelector("output:not(label output)").textContent,
          error: el.querySelector("pre").textContent, src: el.querySelectorAll("img")[1].getAttribute("src") });
        const slider = el.querySelector("input");
        slider.value = 1;
        slider.dispatchEvent(new Event("input"));
        look();
        answer({ choice: { strength: 0.06, patch: 3 }, pictures: ["data:,a", "data:,b"], words: "anew" });
        answer({ choice: { strength: 0.06, patch: 3 }, error: "ValueError: no" });
        return { told, log, steps: slider.max };""",
    )
    chosen = {"strength": 0.06, "patch": 3}
    assert log["told"] == [["choice", chosen], "saved"]
    assert int(log["steps"]) + 1 == len(data["offered"][0]) > len(data["grid"][0])
    waiting, answered, failed = log["log"]
    assert waiting["busy"] == "true" and waiting["words"] == "computing …"
    assert answered | {"src": "data:,b", "words": "anew", "busy": "false"} == answered
    assert failed["failed"] and failed["error"] == "ValueError: no" and not answered["failed"]
