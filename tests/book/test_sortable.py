"""A table that sorts and filters, by keyboard, from the file system, and without a script."""

import pytest
from playwright.sync_api import Page

NAME = "comparison/what_to_try"
COLUMN = "[...document.querySelectorAll('.tag_sortable tbody tr:not([hidden])')].map(r => r.cells[{}].textContent.trim())"


@pytest.fixture
def page(visit) -> Page:
    return visit(NAME)


def column(page: Page, which: int) -> list[str]:
    return page.evaluate(COLUMN.format(which))


def test_a_head_sorts_by_keyboard_and_says_so(page: Page):
    head = page.get_by_role("columnheader", name="difference")
    before = column(page, 5)
    head.get_by_role("button").focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    rising = [float(text) for text in column(page, 5) if text]
    assert rising == sorted(rising) and rising[0] < 0 < rising[-1]
    page.keyboard.press("Space")
    assert head.get_attribute("aria-sort") == "descending"
    shown = column(page, 5)
    falling = [float(text) for text in shown if text]
    assert falling == rising[::-1] and sorted(shown) == sorted(before)
    assert set(shown[len(falling) :]) == {""}, "what is empty comes last"
    page.get_by_role("columnheader", name="mechanism").get_by_role("button").click()
    assert head.get_attribute("aria-sort") is None
    names = column(page, 0)
    assert names == sorted(names, key=str.lower)


def test_parameters_are_sorted_by_those_with_the_mechanism(page: Page):
    page.get_by_role("columnheader", name="parameters").get_by_role("button").click()
    last = [float(text.split(" → ")[-1]) for text in column(page, 6) if text]
    assert last == sorted(last)


def test_a_field_keeps_the_rows_that_hold_all_its_words(page: Page):
    field = page.get_by_label("Rows with the words")
    field.fill("timm ECA")
    assert set(column(page, 0)) == {"ECA"} and len(column(page, 0)) == 2
    assert page.get_by_role("status").inner_text().startswith("2 of ")
    field.fill("no such row")
    assert column(page, 0) == []
    field.fill("")
    assert len(column(page, 0)) > 50


def test_without_a_script_it_is_a_table(visit):
    page = visit(NAME, java_script_enabled=False)
    assert page.locator(".tag_sortable tbody tr").count() > 50
    assert page.locator(".attn-sort, .attn-filter").count() == 0


def test_on_a_phone_the_first_column_and_the_head_stay(visit):
    page = visit(NAME, width=390)
    box = page.locator(".tag_sortable .pst-scrollable-table-container")
    first = box.locator("tbody td").first
    left = first.bounding_box()["x"]
    head = box.locator("th").nth(3)
    top = head.bounding_box()["y"]
    box.evaluate("box => box.scrollTo(300, 200)")
    assert box.evaluate("box => box.scrollLeft") == 300
    assert abs(first.bounding_box()["x"] - left) < 2
    assert abs(head.bounding_box()["y"] - top) < 2, "the head stays too"
