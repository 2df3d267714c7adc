"""CostExplorer in the built page: what stands where, with its script and without, and that it stays there."""

import pytest
from fonts import every_screen
from test_cost_explorer_page import PAGE, TAG, figure_on

from attn_lib.figures.cost.chart import HEIGHT
from attn_lib.figures.cost.elements import NARROW, WIDE

# Within the figure: without scripts, code above it is unfolded.
PLACES = """figure => [...figure.querySelectorAll("tr, td, .attn-control, .attn-chart, .attn-formula"), figure].map(part => {
  const { x, y, width, height } = part.getBoundingClientRect(), all = figure.getBoundingClientRect();
  return [x - all.x, y - all.y, width, height].map(Math.round);
})"""


@pytest.mark.parametrize("family", ["sans-serif", "monospace", "serif"])
@every_screen
def test_nothing_jumps_whatever_one_chooses(visit, width, family):
    page = visit(PAGE, width=width)
    page.add_style_tag(content=f"{TAG} {{ font-family: {family}; }}")
    before = figure_on(page).evaluate(PLACES)
    for count, along, chosen, sizes in (
        ("multiply_adds", "heads", "SK", {"side": 112, "c": 2048, "r": None, "heads": 16}),
        ("parameters", "c", "ECA", {"side": 7, "c": 32, "r": 1, "heads": 1}),
        ("activations", "r", "multi-head", {"side": 112, "c": 2048, "r": 16, "heads": 16}),
    ):
        traits = {"count": count, "along": along, "chosen": chosen, "sizes": sizes}
        figure_on(page).evaluate(
            "(figure, traits) => { for (const name in traits) figure.model.set(name, traits[name]); }",
            traits,
        )
        assert figure_on(page).evaluate(PLACES) == before, traits


@every_screen
def test_life_moves_nothing_and_no_label_is_cut(visit, width):
    dead = figure_on(visit(PAGE, java_script_enabled=False, width=width)).evaluate(PLACES)
    page = visit(PAGE, width=width)
    alive = figure_on(page).bounding_box()
    assert figure_on(page).evaluate(PLACES) == dead
    edges = (
        figure_on(page)
        .locator(".attn-chart text")
        .evaluate_all(
            "texts => texts.map(text => text.getBoundingClientRect()).map(box => [box.left, box.right])"
        )
    )
    assert min(left for left, _ in edges) >= alive["x"] - 1
    assert max(right for _, right in edges) <= alive["x"] + alive["width"] + 1


def test_without_scripts_chart_table_and_formula_stand_in(visit):
    for width, drawn in ((1200, WIDE), (390, NARROW)):
        figure = figure_on(visit(PAGE, java_script_enabled=False, width=width))
        chart = figure.locator(".attn-chart svg:visible")  # one of the two
        assert chart.get_attribute("viewBox") == f"0 0 {drawn} {HEIGHT}"
        assert "724,140,032" in figure.inner_text()
        assert "multiply-adds of self-attention = " in figure.inner_text()


def test_forced_colours_dark_and_print_keep_it_legible(visit):
    stroke = "path => getComputedStyle(path).stroke"
    for scheme, wanted in (("light", "rgb(0, 0, 0)"), ("dark", "rgb(255, 255, 255)")):
        page = visit(PAGE, scheme=scheme, forced_colors="active")
        curves = figure_on(page).locator(".attn-curve").all()
        assert len(curves) == 7 and all(c.evaluate(stroke) == wanted for c in curves)
        text = figure_on(page).locator(".attn-name").first
        assert text.evaluate("text => getComputedStyle(text).fill") == wanted
    page = visit(PAGE)
    page.emulate_media(media="print")
    box = figure_on(page).locator(".attn-chart svg").bounding_box()
    assert box["height"] > 300 and box["width"] > 300
    assert "724,140,032" in figure_on(page).inner_text()
