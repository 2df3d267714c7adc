"""Tables of the built pages, on a phone and on wide screens: whole words, whole shapes, and a first column that stays."""

import pytest
from places import BUILT
from test_pages import BROKEN, PAGES, WIDE

WITH_TABLES = [
    name for name in PAGES if "<table" in (BUILT / f"{name}.html").read_text(encoding="utf-8")
]
every_table = pytest.mark.parametrize("name", WITH_TABLES)
every_width = pytest.mark.parametrize("width", [390, 1200, 1600])

# Words that stand on several lines. Between words there are spaces; in prose a word may also end with a hyphen.
TORN = r"""() => {
  const torn = [];
  for (const table of document.querySelectorAll("article table:not(.indextable)")) {
    if (table.closest(".attn-living")) continue;
    const texts = document.createTreeWalker(table, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
      const text = texts.currentNode, around = text.parentElement;
      if (around.closest(".katex-mathml, .katex-html, svg") || !around.checkVisibility()) continue;
      for (const { index, 0: word } of text.data.matchAll(around.closest("code") ? /\S+/g : /[^\s\-–—\/]+/g)) {
        const range = new Range();
        range.setStart(text, index);
        range.setEnd(text, index + word.length);
        const lines = [...range.getClientRects()].filter(box => box.width > 1).map(box => Math.round(box.top));
        if (new Set(lines).size > 1) torn.push(word);
      }
    }
  }
  return torn;
}"""

# Of each table that scrolls: the room that its box leaves to the right edge, whether it is seen there, and how far its
# first column moves with it.
SCROLLED = """async () => {
  const found = [];
  for (const box of document.querySelectorAll("article .pst-scrollable-table-container")) {
    if (!box.checkVisibility() || box.scrollWidth <= box.clientWidth) continue;
    const first = box.querySelector("tbody tr").cells[0], before = first.getBoundingClientRect().left;
    box.scrollLeft = 1e6;
    box.scrollIntoView({ behavior: "instant" });
    await new Promise(folded => setTimeout(folded, 600));
    const { left, width } = first.getBoundingClientRect(), edge = box.getBoundingClientRect();
    found.push({
      room: document.querySelector(".bd-content").getBoundingClientRect().right - edge.right,
      seen: box.contains(document.elementFromPoint(edge.right - 5, Math.min(edge.bottom - 30, 120))),
      moved: Math.abs(left - before), share: width / box.clientWidth,
    });
  }
  return found;
}"""


@every_width
@every_table
def test_no_word_of_a_table_is_torn_and_no_shape_of_a_page(visit, name, width):
    page = visit(name, width=width)
    assert page.evaluate(WIDE) <= 0
    assert page.evaluate(TORN) == []
    assert [shape for shape, lines in page.evaluate(BROKEN) if lines > 1] == []


@every_width
@every_table
def test_a_table_scrolls_only_where_no_room_is_left_and_keeps_its_first_column(
    visit, name, width
):
    for table in visit(name, width=width).evaluate(SCROLLED):
        assert table["moved"] < 1 and table["share"] < 0.75, table
        assert table["room"] < 64 and table["seen"], table


def test_there_are_tables_that_scroll(visit):
    name = "comparison/what_to_try"
    assert visit(name, width=390).evaluate(SCROLLED) and visit(name).evaluate(SCROLLED)


def test_the_contents_give_way_to_a_wide_table_and_unfold_by_keyboard(visit):
    page = visit("comparison/what_to_try")
    contents = page.locator(".bd-sidebar-secondary")
    high = "list => list.clientHeight > 100"
    assert contents.evaluate(high)
    page.evaluate("document.querySelector('.tag_sortable table').scrollIntoView()")
    page.wait_for_function(
        "() => document.querySelector('.bd-sidebar-secondary').clientHeight < 60"
    )
    contents.locator("a").first.focus()
    page.wait_for_function(f"list => ({high})(list)", arg=contents.element_handle())
    page.evaluate("document.querySelector('#sources').scrollIntoView()")
    page.wait_for_function("() => !document.querySelector('.bd-sidebar-secondary.hide')")


def test_nothing_shows_beside_the_column_that_stays(visit):
    page = visit("comparison/which_one", width=390)
    box = page.locator(".pst-scrollable-table-container", has_text="shifted windows")
    box.evaluate("box => box.scrollIntoView({ behavior: 'instant', block: 'center' })")
    strips = []
    for scrolled in (0, 60, 120):
        box.evaluate("(box, by) => box.scrollLeft = by", scrolled)
        area = box.bounding_box()
        clip = {"x": area["x"], "y": area["y"], "width": 5, "height": area["height"]}
        strips.append(page.screenshot(clip=clip))
    assert strips[0] == strips[1] == strips[2]
