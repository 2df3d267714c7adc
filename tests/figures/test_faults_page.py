"""FaultExplorer in Chromium, from a file with the network cut: by mouse, finger and keys, in slices."""

from pathlib import Path

import pytest
from browsing import pixel
from fonts import every_screen
from playing import far_away, middle, state
from playwright.sync_api import Page
from test_skeleton import break_it

TALLY = ".attn-tally[aria-busy=false]"


def opened(visit, playgrounds, name: str, **options) -> Page:
    page = visit(playgrounds[name], **options)
    counted(page)
    return page


def counted(page: Page) -> None:
    page.wait_for_function("document.querySelector('.attn-tally').ariaBusy === 'false'")


def test_a_fault_that_is_chosen_is_counted_on_all_scenes(visit, playgrounds):
    page = opened(visit, playgrounds, "broken")
    told = page.locator("[data-hole=told]")
    assert told.inner_text() == "175 of 200 held-out digits are right. Choose what goes wrong."
    page.get_by_label("softmax over queries").check()
    page.wait_for_function("document.querySelector('.attn-tally').ariaBusy === 'true'")
    counted(page)
    assert told.inner_text() == (
        "175 of 200 held-out digits are right as trained, 67 with this fault. Answers that differ: 131."
    )
    after = page.locator("[data-hole=after-bar]").bounding_box()["width"]
    before = page.locator("[data-hole=before-bar]").bounding_box()["width"]
    assert abs(after / before - 67 / 175) < 0.02
    names = page.locator("figcaption strong").all_inner_texts()
    assert names == ["as trained", "broken: softmax over queries, not keys"]
    bright, even = (pixel(page.locator("figure canvas").nth(i), 0.05, 0.05) for i in (0, 1))
    assert max(bright[:3]) < 80 and even[0] > 200, "the map itself shows it"


def test_the_next_answer_that_differs_is_found(visit, playgrounds):
    page = opened(visit, playgrounds, "broken_cbam")
    page.get_by_label("average and maximum swapped").check()
    counted(page)
    seen = []
    for _ in range(3):
        page.get_by_role("button", name="Next answer").click()
        counted(page)
        answers = [
            text.split(",")[0] for text in page.locator("[data-hole=verdict]").all_inner_texts()
        ]
        assert answers[0] != answers[1]
        seen.append(state(page, "scene"))
    assert seen[0] == seen[2] != seen[1], "two answers differ"


def test_keys_alone_do_everything(visit, playgrounds):
    page = opened(visit, playgrounds, "small_broken")
    page.get_by_role("radio", name="nothing").focus()
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    assert state(page, "fault") == "reshaped_output"
    page.keyboard.press("Enter")  # a form of its own goes nowhere
    page.get_by_role("slider", name="Factor").focus()
    page.keyboard.press("ArrowLeft")
    assert (state(page, "factor"), state(page, "fault")) == (2, "scores_times")
    page.locator("[data-hole=scene]").focus()
    page.keyboard.press("ArrowRight")
    page.locator("[data-hole=one-query]").focus()
    page.keyboard.press("Space")
    assert state(page, "scene") == 1 and state(page, "query") is not None
    counted(page)
    chart = page.locator("figure canvas").last
    chart.focus()
    query = state(page, "query")
    page.keyboard.press("ArrowDown")
    assert state(page, "query") == query + 10
    counted(page)
    figure = break_it()
    figure.fault, figure.factor, figure.scene, figure.query = "scores_times", 2, 1, query + 10
    for note in page.locator(".attn-note").all_inner_texts():
        assert note in figure.to_html().replace("&#x27;", "'")


def test_a_query_is_pointed_at_in_both_maps(visit, playgrounds):
    page = opened(visit, playgrounds, "small_broken")
    chart = page.locator("figure canvas").first
    box = chart.bounding_box()
    chart.hover(position={"x": 0.75 * box["width"], "y": 0.15 * box["height"]})
    counted(page)
    notes = page.locator(".attn-note").all_inner_texts()
    assert all(note.startswith("query of row 2, column 8") for note in notes)
    assert state(page, "query") is None


def test_a_finger_chooses_and_scrolls_the_page_from_any_place(visit, playgrounds):
    page = opened(visit, playgrounds, "small_broken", width=390, has_touch=True, is_mobile=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_label("even weights").tap()
    assert state(page, "fault") == "even_weights"
    counted(page)
    touch = page.context.new_cdp_session(page)
    page.evaluate("document.body.style.minHeight = '4000px'")
    for place in (".attn-canvas canvas", "figure canvas"):
        page.evaluate("scrollTo(0, 0)")
        page.locator(place).first.scroll_into_view_if_needed()
        x, y = middle(page.locator(place).first)
        start = page.evaluate("scrollY")
        for kind, at in (
            ("touchStart", y),
            *(("touchMove", y - 40 * i) for i in range(1, 5)),
            ("touchEnd", None),
        ):
            points = [] if at is None else [{"x": x, "y": at}]
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        page.wait_for_function("start => scrollY > start + 50", arg=start)
        page.wait_for_timeout(800)  # a page that was pushed goes on for a while
    for control in page.locator("button, .attn-control").all():
        assert control.bounding_box()["height"] >= 24


def test_while_it_counts_nothing_holds_the_page_up(visit, playgrounds):
    """A task of more than 50 ms is what browsers call a long one. Others may be at work on this machine."""
    page = opened(visit, playgrounds, "broken")
    times = page.evaluate(
        """async () => {
          const { model } = document.querySelector("fault-explorer"), tally = document.querySelector(".attn-tally");
          const times = [];
          for (const fault of model.get("faults")) {
            model.set("fault", fault);
            while (tally.ariaBusy === "true") {
              await new Promise(requestAnimationFrame);
              const before = performance.now();
              await new Promise(done => setTimeout(done));  // after the frame's own work
              times.push(performance.now() - before);
            }
          }
          return times.sort((a, b) => a - b);
        }"""
    )
    assert len(times) > 10 and times[len(times) // 2] < 50, times


def test_it_counts_in_many_frames_and_says_how_far_it_is(visit, playgrounds):
    """By a clock that runs ten times too fast, no machine is done within one."""
    hurried = (
        "const now = performance.now.bind(performance); performance.now = () => 10 * now();"
    )
    page = opened(visit, playgrounds, "broken", before=hurried)
    page.get_by_label("even weights").check()
    page.wait_for_function(
        "/^Counting: [1-9]/.test(document.querySelector('[data-hole=told]').textContent)"
    )
    counted(page)


def test_nothing_is_computed_before_the_figure_is_near(visit, playgrounds, tmp_path: Path):
    page = far_away(visit, playgrounds["small_broken"], tmp_path)
    counted(page)
    assert page.locator("fault-explorer canvas").count() == 3


def test_what_is_not_a_number_is_not_shown_and_not_right(visit, playgrounds, tmp_path: Path):
    text = (Path(f"{playgrounds['small_broken']}.html")).read_text(encoding="utf-8")
    spoiled = "this.model = new PageModel(data);"
    assert spoiled in text
    nan = "for (let at = 0; at < data.weights.byteLength - 4; at += 4) data.weights.setUint32(at, 0x7fc00000, true);"
    (tmp_path / "nan.html").write_text(text.replace(spoiled, nan + spoiled), encoding="utf-8")
    page = opened(visit, {"nan": str(tmp_path / "nan")}, "nan")
    said = page.locator(".attn-living")
    assert "gives no number" in said.inner_text() and "0 of 12" in said.inner_text()
    assert "NaN" not in said.evaluate("el => el.outerHTML")


@every_screen
@pytest.mark.parametrize("name", ["small_broken", "broken_cbam"])
def test_nothing_jumps_when_the_figure_comes_alive(visit, playgrounds, name, width):
    still = visit(playgrounds[name], java_script_enabled=False, width=width).locator(
        ".attn-living"
    )
    living = opened(visit, playgrounds, name, width=width).locator(".attn-living")
    assert abs(still.bounding_box()["height"] - living.bounding_box()["height"]) <= 2
