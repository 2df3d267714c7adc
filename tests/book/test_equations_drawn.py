"""All equations of the book on one page, in a browser: where their letters stand, and in what fonts."""

import re

import pytest
from equations import typeset
from fontTools.ttLib import TTFont
from places import BUILT
from test_equations import book


@pytest.fixture
def sheet(visit, tmp_path):
    """Open one page with equations, set as the book sets them."""

    def show(equations: list[tuple[str, bool]], width: int = 1200):
        static = (BUILT / "_static").as_uri()
        shown = "".join(
            f'<div class="attn-equation">{typeset(tex, display)}</div>'
            for tex, display in equations
        )
        target = tmp_path / "equations"
        target.with_suffix(".html").write_text(
            '<!doctype html><meta charset="utf-8"><title>Equations</title>'
            f'<link rel="stylesheet" href="{static}/equations.css">'
            f'<link rel="stylesheet" href="{static}/book.css"><body>{shown}',
            encoding="utf-8",
        )
        page = visit(target, width=width)
        page.evaluate("document.fonts.ready.then(() => 0)")
        return page

    return show


# What is said of each script: where its middle is beside its base's. A box is that of the letters themselves.
SCRIPTS = """() => {
  const box = node => {
    const range = new Range();
    range.selectNode(node);
    return range.getBoundingClientRect();
  };
  const letters = element => {
    const walk = document.createTreeWalker(element, NodeFilter.SHOW_TEXT), found = [];
    while (walk.nextNode()) if (walk.currentNode.data.replace("\\u200b", "")) found.push(walk.currentNode);
    return found;
  };
  const middle = rect => (rect.top + rect.bottom) / 2;
  return [...document.querySelectorAll(".msupsub")].map(scripts => {
    let left = scripts;
    while (!left.previousElementSibling) left = left.parentElement;
    // A hat is no letter of its own; a large delimiter is drawn.
    const last = letters(left.previousElementSibling).filter(node => !node.parentElement.closest(".accent-body")).at(-1) ?? left.previousElementSibling.querySelector("svg");
    const base = box(last), size = parseFloat(getComputedStyle(scripts).fontSize);
    const rows = [...scripts.querySelector(".vlist").children].filter(row => row.querySelector(".pstrut"));
    return {
      tex: scripts.closest(".katex").querySelector("annotation").textContent,
      base: last.data,
      depth: scripts.firstElementChild.classList.contains("vlist-t2"),
      rows: rows.map(row => {
        const own = letters(row), first = box(own[0]);
        return { text: own.map(node => node.data).join(""), below: (middle(first) - middle(base)) / size,
                 gap: (first.left - base.right) / size };
      }),
    };
  });
}"""


@pytest.mark.every_font
def test_subscripts_stand_below_their_base_superscripts_above_and_primes_beside(sheet):
    scripts = sheet(book()).evaluate(SCRIPTS)
    assert len(scripts) > 300
    primes = 0
    for script in scripts:
        rows = script["rows"]
        # A vlist with depth has a subscript, its first row; what else there is stands above the base.
        below, above = (rows[:1], rows[1:]) if script["depth"] else ([], rows)
        assert len(above) <= 1 and rows, script
        assert all(0.15 < row["below"] < 0.8 for row in below), script
        assert all(-0.95 < row["below"] < -0.15 for row in above), script
        assert all(-0.1 <= row["gap"] < 0.2 for row in rows), (script["base"], rows)
        primes += sum("′" in row["text"] for row in above)
    assert primes >= 5


LIMITS = """() => [...document.querySelectorAll(".op-limits")].map(limits => {
  const boxes = [...limits.querySelector(".vlist").children]
    .map(row => row.lastElementChild.getBoundingClientRect());
  return boxes.map(box => [(box.left + box.right) / 2, (box.top + box.bottom) / 2, box.width]);
})"""


@pytest.mark.every_font
def test_limits_stand_under_and_over_what_they_belong_to(sheet):
    found = sheet(book()).evaluate(LIMITS)
    assert len(found) >= 15
    for rows in found:
        assert len(rows) in (2, 3)
        heights = [y for _, y, _ in rows]  # from below upwards
        assert heights == sorted(heights, reverse=True) and len(set(heights)) == len(rows)
        middles = [x for x, _, _ in rows]
        assert max(middles) - min(middles) < 8, rows


def test_equations_look_the_same_whatever_fonts_the_machine_has(browsers, tmp_path):
    """The sizes of all equations, under both sets."""
    page = tmp_path / "equations.html"
    page.write_text(
        f'<!doctype html><meta charset="utf-8"><link rel="stylesheet" href="{(BUILT / "_static").as_uri()}/equations.css">'
        + "".join(f"<p>{typeset(tex, display)}</p>" for tex, display in book()),
        encoding="utf-8",
    )
    measured = []
    for fonts in ("DejaVu", "Liberation"):
        context = browsers(fonts).new_context(viewport={"width": 1200, "height": 900})
        tab = context.new_page()
        tab.goto(page.as_uri())
        tab.evaluate("document.fonts.ready.then(() => 0)")
        measured.append(
            tab.evaluate(
                """() => [...document.querySelectorAll(".base")].map(base => {
                  const { width, height } = base.getBoundingClientRect();
                  return [width.toFixed(2), height.toFixed(2)];
                })"""
            )
        )
        context.close()
    assert measured[0] == measured[1] and len(measured[0]) > 300


# Of each letter that the boxes show, the font that the page asks for.
LETTERS = """() => {
  const seen = new Set();
  for (const boxes of document.querySelectorAll(".katex-html")) {
    const walk = document.createTreeWalker(boxes, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) {
      const { fontFamily, fontStyle, fontWeight } = getComputedStyle(walk.currentNode.parentElement);
      const family = fontFamily.split(",")[0].replaceAll('"', "");
      for (const letter of walk.currentNode.data) seen.add([family, fontStyle, fontWeight, letter].join("|"));
    }
  }
  return [...seen].map(one => one.split("|"));
}"""
SPACES = {"\u200b", "\u00a0", " "}


def test_the_fonts_that_the_site_serves_have_every_letter(sheet):
    style = (BUILT / "_static/equations.css").read_text(encoding="utf-8")
    served = {}
    face = r'font-family:"?(\w+)"?;font-style:(\w+);font-weight:(\d+);src:url\((.*?)\)'
    for *which, url in re.findall(face, style):
        served[tuple(which)] = TTFont(BUILT / "_static" / url).getBestCmap()
    page = sheet(book())
    letters = page.evaluate(LETTERS)
    assert len(letters) > 80
    for *which, letter in letters:
        assert letter in SPACES or ord(letter) in served[tuple(which)], (which, letter)
    broken = "[...document.fonts].filter(font => font.status === 'error').length"
    assert page.evaluate(broken) == 0


def test_what_screen_readers_hear_is_there_and_not_seen(sheet):
    page = sheet(book())
    sizes = page.evaluate(
        """[...document.querySelectorAll(".katex-mathml")].map(hidden => {
          const { width, height } = hidden.getBoundingClientRect(), style = getComputedStyle(hidden);
          return [width, height, style.overflow, style.position, style.display, style.visibility];
        })"""
    )
    assert sizes and {tuple(size) for size in sizes} == {
        (1, 1, "hidden", "absolute", "block", "visible")
    }
    named = page.evaluate(
        """[...document.querySelectorAll(".katex")].every(one =>
          one.querySelector("math").textContent && one.querySelector(".katex-html").ariaHidden === "true")"""
    )
    assert named


def test_a_wide_equation_scrolls_in_its_own_box_on_a_phone(sheet):
    found = sheet([one for one in book() if one[1]], width=390).evaluate(
        """() => {
          const boxes = [...document.querySelectorAll(".attn-equation")];
          return {
            page: document.documentElement.scrollWidth - document.documentElement.clientWidth,
            wide: boxes.filter(box => box.scrollWidth > box.clientWidth).length,
            cut: boxes.filter(box => box.scrollHeight > box.clientHeight).length,
          };
        }"""
    )
    assert found["page"] <= 0 and found["wide"] > 5 and found["cut"] == 0


def test_on_paper_no_equation_is_cut(sheet):
    """A sheet of A4 has 672 pixels between its margins, of which a method of the API gets 592."""
    page = sheet([one for one in book() if one[1]], width=592)
    page.emulate_media(media="print")
    page.add_style_tag(content="body { margin: 0; }")
    cut = page.evaluate(
        """[...document.querySelectorAll(".attn-equation")].filter(box => box.scrollWidth > box.clientWidth)
          .map(box => box.querySelector("annotation").textContent)"""
    )
    assert cut == []
