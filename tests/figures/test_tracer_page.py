"""ShapeTracer on its page, in a real browser: every reader can go through the lines and sees the numbers."""

import html

import pytest
import torch
from browsing import in_jupyter, payload
from fonts import every_screen
from playwright.sync_api import Locator, Page

from attn_lib import CBAM, SelfAttention2d
from attn_lib.figures import QUANTITIES, ShapeTracer

GALLERY = "appendix/gallery"
SIZES = pytest.mark.parametrize("width", [1200, 390])


@pytest.fixture(scope="module")
def figures() -> list[ShapeTracer]:
    """The page's figures, made anew: of the sizes alone."""
    x = torch.empty(128, 512, 7, 7, device="meta")
    modules = (SelfAttention2d(512), CBAM(512))
    return [
        ShapeTracer(module.to("meta"), x, alt="Lines of code and boxes.") for module in modules
    ]


def tracer(page: Page, which: int = 0) -> Locator:
    return page.locator("shape-tracer").nth(which)


def line(page: Page, step: int, which: int = 0) -> Locator:
    return tracer(page, which).locator(f'[data-step="{step}"].attn-step')


def shown(page: Page, which: int = 0) -> dict[str, str]:
    """The names and sizes of the tensors that one sees, in the sections that are open."""
    states = tracer(page, which).locator(".attn-state:visible:not(.attn-ghost)")
    return dict(states.evaluate_all(
        "states => states.map(s => [s.querySelector('strong').textContent, s.querySelector('code').textContent])"
    ))  # fmt: skip


def step(page: Page, which: int = 0) -> int:
    return int(tracer(page, which).locator(".attn-tracer").get_attribute("data-step"))


@pytest.mark.pages
def test_the_page_was_published_with_what_the_trace_says(figures):
    for which, figure in enumerate(figures):
        told = payload(GALLERY, "shape-tracer", which)
        assert (told["said"], told["step"]) == (figure.said, figure.step)
        _, _, still = told["_skeleton"]
        assert (
            still.replace(html.escape(told["alt"]), html.escape(figure.alt)) == figure.still()
        )


def test_the_mouse_shows_what_is_alive_and_a_click_chooses(visit, figures):
    page = visit(GALLERY)
    start = step(page)
    for at in range(start + 1):
        line(page, at).hover()
        assert shown(page) == figures[0].alive(at)
    line(page, 1).hover()
    page.mouse.move(0, 0)
    assert shown(page) == figures[0].alive(start), "leaving goes back to the chosen line"
    line(page, 2).click()
    page.mouse.move(0, 0)
    assert step(page) == 2 and shown(page) == figures[0].alive(2)
    new = tracer(page).locator(".attn-new:visible strong")
    assert new.all_inner_texts() == ["query"]


@pytest.mark.parametrize("which", [0, 1])
def test_the_buttons_go_through_all_lines(visit, figures, which):
    page, figure = visit(GALLERY), figures[which]
    before, after = tracer(page, which).get_by_role("button").all()
    start, count = step(page, which), figure.methods[-1]["stop"]
    for at in range(start + 1, count):
        after.click()
        assert step(page, which) == at
        method = next(m for m in figure.methods if at < m["stop"])
        seen = tracer(page, which).locator("details", has=page.locator(".attn-step.attn-now"))
        section = seen.filter(has=page.locator(f'[data-step="{at}"]')).last
        assert section.locator("summary strong").first.inner_text() == method["name"]
        assert (
            line(page, at, which).is_visible()
            and line(page, at, which).locator("input").is_checked()
        )
    assert after.is_disabled()
    for _ in range(count - 1):
        before.click()
    assert before.is_disabled() and step(page, which) == 0
    assert shown(page, which) == figure.alive(0)
    assert tracer(page, which).locator("output").inner_text() == "New: x: b=128 c=512 h=7 w=7."


def test_the_keyboard_alone_reaches_and_moves_the_line(visit, figures):
    page = visit(GALLERY)
    reached = "document.activeElement.closest('shape-tracer') && document.activeElement.type"
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate(reached) == "radio":
            break
    start = step(page)
    for key, move in (("ArrowUp", -1), ("ArrowLeft", -1), ("ArrowDown", 1), ("ArrowRight", 1)):
        page.keyboard.press(key)
        start += move
        assert step(page) == start and shown(page) == figures[0].alive(start)
    outline = line(page, start).evaluate("line => getComputedStyle(line).outlineStyle")
    assert outline == "solid", "one sees where one is"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    opened = tracer(page).locator("details[open] > summary strong").all_inner_texts()
    assert opened == ["attention", "reweight"], "the next method unfolds"


def test_a_finger_chooses_and_still_scrolls_the_page(visit, figures):
    page = visit(GALLERY, width=390, has_touch=True, is_mobile=True)
    line(page, 3).tap(position={"x": 60, "y": 12})
    assert step(page) == 3 and shown(page) == figures[0].alive(3)
    for box in (line(page, at).bounding_box() for at in range(6)):
        assert box["height"] >= 24 and box["width"] >= 24
    source = tracer(page).locator(".attn-source").first
    assert source.evaluate("s => getComputedStyle(s).touchAction") == "auto"
    assert source.evaluate("s => s.scrollWidth > s.clientWidth"), (
        "long lines scroll in their box"
    )


@SIZES
def test_boxes_are_to_scale(visit, figures, width):
    page, figure = visit(GALLERY, width=width), figures[0]
    wanted = {slot[0]["name"]: slot[0] for slot in figure.methods[0]["slots"]}
    states = tracer(page).locator("details[open] .attn-state.attn-now:visible").all()
    assert len(states) == len(wanted)
    drawn = "r => { const b = r.getBBox(), m = r.getScreenCTM(); return [b.width * m.a, b.height * m.d]; }"
    bar = tracer(page).locator(".attn-measure rect").first.evaluate(drawn)[0] / figure.bar
    for state in states:
        told = wanted[state.locator("strong").inner_text()]
        sides = state.locator("rect").evaluate(drawn)
        assert sides == pytest.approx([told["across"] * bar, told["down"] * bar], rel=0.02)


@every_screen
@pytest.mark.parametrize("which", [0, 1])
def test_nothing_jumps_when_it_comes_alive_nor_from_line_to_line(visit, figures, width, which):
    dead = tracer(visit(GALLERY, java_script_enabled=False, width=width), which)
    page = visit(GALLERY, width=width)
    box, before = tracer(page, which).bounding_box(), dead.bounding_box()
    assert (box["width"], box["height"]) == (before["width"], before["height"])
    texts = [
        dead.locator(".attn-columns").first,
        tracer(page, which).locator(".attn-columns").first,
    ]
    assert texts[0].inner_text() == texts[1].inner_text(), "two languages, one text"
    sizes = """figure => ["shape-tracer", "details[open] .attn-columns", ".attn-source", ".attn-slot"].map(
        part => Array.from((figure.matches(part) ? [figure] : figure.querySelectorAll(part)), each =>
            [each.clientWidth, each.clientHeight]))"""
    for method in figures[which].methods:
        seen = []
        for at in range(method["start"], method["stop"]):
            tracer(page, which).evaluate("(figure, at) => figure.model.set('step', at)", at)
            seen.append(tracer(page, which).evaluate(sizes))
        assert seen == seen[:1] * len(seen)


def test_without_scripts_every_method_unfolds_with_its_shapes(visit):
    page = visit(GALLERY, java_script_enabled=False)
    summaries = tracer(page).locator("details > summary")
    for i in range(1, summaries.count()):
        if summaries.nth(i).is_visible():
            summaries.nth(i).click()
    assert tracer(page).get_by_text("# value: b=128 n=49 d=512", exact=True).first.is_visible()
    assert not tracer(page).get_by_text("Next line").is_visible(), (
        "what cannot respond does not ask"
    )


def test_two_on_a_page_do_not_disturb_one_another(visit, figures):
    page = visit(GALLERY)
    line(page, 1, 0).click()
    line(page, 2, 1).click()
    assert line(page, 1, 0).locator("input").is_checked() and step(page, 0) == 1
    assert shown(page, 0) == figures[0].alive(1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_quantities_have_their_colours(visit, scheme):
    page = visit(GALLERY, scheme=scheme)
    for quantity, name in (("query", "query"), ("key", "key"), ("score", "scores")):
        text = tracer(page).get_by_text(f"# {name}:").first
        red, green, blue = bytes.fromhex(QUANTITIES[quantity][scheme == "dark"][1:])
        assert text.evaluate("t => getComputedStyle(t).color") == f"rgb({red}, {green}, {blue})"


def test_forced_colours_keep_boxes_and_the_chosen_line(visit):
    page = visit(GALLERY, forced_colors="active")
    rects = tracer(page).locator(".attn-now:visible rect")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    strokes = rects.evaluate_all("rects => rects.map(r => getComputedStyle(r).stroke)")
    assert len(strokes) == 5 and ground not in strokes and len(set(strokes)) == 2
    assert line(page, 5).evaluate("l => getComputedStyle(l).outlineStyle") == "solid"


def test_print_unfolds_all_methods(visit, figures):
    page = visit(GALLERY)
    page.emulate_media(media="print")
    sources = tracer(page).locator(".attn-source").all()
    assert len(sources) == len(figures[0].methods)
    for source, method in zip(sources, figures[0].methods, strict=True):
        assert source.is_visible() and source.bounding_box()["height"] > 24
        assert method["blocks"][0]["made"][0][0].strip() in source.inner_text()
        assert source.evaluate("s => s.scrollWidth <= s.clientWidth + 1"), "no line is cut"


def test_a_redraw_takes_less_than_a_frame(visit):
    milliseconds = tracer(visit(GALLERY)).evaluate(
        """figure => {
          const times = [], count = figure.querySelectorAll("[data-step].attn-step").length;
          for (let i = 0; i < 100; i++) {
            const start = performance.now();
            figure.model.set("step", (7 * i) % count);
            figure.getBoundingClientRect();
            times.push(performance.now() - start);
          }
          return times.sort((a, b) => a - b)[50];
        }"""
    )
    print(f"a redraw: {milliseconds:.2f} ms")
    assert milliseconds < 16


def test_the_script_is_also_what_jupyter_runs(visit, figures):
    told, seen = in_jupyter(
        visit("search", bypass_csp=True),
        ShapeTracer,
        payload(GALLERY, "shape-tracer"),
        """el.querySelectorAll("input")[1].click();
        python("step", 3);
        const states = el.querySelectorAll("details[open] .attn-state.attn-now:not(.attn-ghost) strong");
        return [told, [...states].map(state => state.textContent)];""",
    )
    assert told == [["step", 1], "saved"]
    assert seen == list(figures[0].alive(3))
