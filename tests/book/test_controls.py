"""The controls around a page, by mouse and by keyboard, opened from the file system."""

import pytest
from playwright.sync_api import Page, expect

NAME = "spatial/self_attention"
FOCUSED = "document.activeElement.textContent.trim()"


@pytest.fixture
def page(visit) -> Page:
    return visit(NAME)


def menu(page: Page):
    """The menu of downloads: its button and its list."""
    around = page.locator(".dropdown-download-buttons")
    return around.locator("> button"), around.locator(".dropdown-menu")


def test_a_menu_opens_and_closes_by_mouse(page):
    button, items = menu(page)
    expect(items).to_be_hidden()
    button.click()
    page.mouse.move(600, 600)  # a menu is open under the mouse anyway
    expect(items).to_be_visible()
    assert button.get_attribute("aria-expanded") == "true"
    page.mouse.click(600, 600)
    expect(items).to_be_hidden()
    assert button.get_attribute("aria-expanded") == "false"
    button.click()
    button.click()
    page.mouse.move(600, 600)
    expect(items).to_be_hidden()


def test_a_menu_opens_and_closes_by_keyboard(page):
    button, items = menu(page)
    button.focus()
    page.keyboard.press("Enter")
    expect(items).to_be_visible()
    for key, text in [
        ("ArrowDown", ".ipynb"),
        ("ArrowDown", ".pdf"),
        ("ArrowDown", ".ipynb"),
        ("ArrowUp", ".ipynb"),
    ]:
        page.keyboard.press(key)
        assert page.evaluate(FOCUSED) == text
    page.keyboard.press("Escape")
    expect(items).to_be_hidden()
    assert button.evaluate("button => button === document.activeElement")
    page.keyboard.press("ArrowDown")
    assert page.evaluate(FOCUSED) == ".ipynb"
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(items).to_be_hidden()


@pytest.mark.parametrize("width", [390, 1200])
def test_a_menu_stays_within_the_window(visit, width):
    button, items = menu(visit(NAME, width=width))
    button.click()
    box = items.bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= width


def test_printing_is_a_choice_of_the_menu(page):
    page.evaluate("window.print = () => window.printed = true")
    button, items = menu(page)
    button.click()
    items.get_by_role("button", name=".pdf").click()
    assert page.evaluate("window.printed")


TIP = "one => getComputedStyle(one, '::after').visibility"


def test_a_tip_is_seen_by_mouse_and_by_keyboard_and_names_its_button(page):
    button = page.get_by_role("button", name="Fullscreen mode")
    assert button.evaluate(TIP) == "hidden" and button.get_attribute("title") is None
    seen = "one => getComputedStyle(one, '::after').visibility === 'visible'"
    button.hover()
    page.wait_for_function(seen, arg=button.element_handle())
    page.mouse.move(600, 600)
    assert button.evaluate(TIP) == "hidden"
    menu(page)[0].focus()
    page.keyboard.press("Tab")
    assert button.evaluate("one => one.matches(':focus-visible')")
    page.wait_for_function(seen, arg=button.element_handle())


MARKED = "[...document.querySelectorAll('.bd-toc-nav a.active')].map(link => link.hash)"


@pytest.mark.parametrize("name", [NAME, "appendix/api_mechanisms"])
def test_the_contents_follow_the_reader(visit, name):
    page = visit(name)
    links = page.locator(".bd-toc-nav a[href^='#']")
    hashes = links.evaluate_all("links => links.map(link => link.hash)")
    assert len(hashes) > 3
    for one in (hashes[1], hashes[-2], hashes[0]):
        page.evaluate("hash => document.querySelector(hash).scrollIntoView()", one)
        page.wait_for_function(f"hash => {MARKED}.at(-1) === hash", arg=one)
        around = page.evaluate(
            "hash => [...document.querySelectorAll('.bd-toc-nav li:has(> a.active)')].every(entry => entry.matches('.active') && entry.querySelector(`a[href='${hash}']`))",
            one,
        )
        assert around, page.evaluate(MARKED)


def test_the_top_is_offered_to_whoever_turns_back(visit):
    page = visit(NAME, width=800)  # on wider screens the theme has no such button
    button = page.get_by_role("button", name="Back to top")
    page.mouse.move(600, 600)
    page.mouse.wheel(0, 3000)
    page.wait_for_function("() => scrollY > 2000")
    page.evaluate("new Promise(requestAnimationFrame)")  # the page has heard of it
    expect(button).to_be_hidden()
    page.mouse.wheel(0, -300)
    expect(button).to_be_visible()
    button.click()
    page.wait_for_function("() => scrollY === 0")
    expect(button).to_be_hidden()


def test_the_theme_switch_turns_dark_and_light(page):
    button = page.get_by_role("button", name="light/dark")
    seen = set()
    for press in (button.click, lambda: page.keyboard.press("Enter"), button.click):
        press()
        seen.add(page.evaluate("document.documentElement.dataset.theme"))
    assert seen == {"light", "dark"}


def test_search_opens_by_button_and_by_key_and_leads_to_results(page):
    field = page.locator(".search-button__wrapper input")
    expect(field).to_be_hidden()
    page.get_by_role("button", name="Search").last.click()
    expect(field).to_be_focused()
    page.keyboard.press("Escape")
    expect(field).to_be_hidden()
    page.keyboard.press("Control+k")
    expect(field).to_be_focused()
    page.keyboard.type("squeeze")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=squeeze")
    expect(page.locator("ul.search li a").first).to_be_visible()


@pytest.mark.parametrize(
    ("side", "button"),
    [
        ("primary", "Toggle primary sidebar"),
        ("secondary", "Toggle secondary sidebar"),
    ],
)
def test_a_sidebar_opens_on_a_phone_and_closes_by_escape(visit, side, button):
    page = visit(NAME, width=390)
    bar = page.locator(f".bd-sidebar-{side}")
    expect(bar).not_to_be_in_viewport()
    page.get_by_role("button", name=button).focus()
    page.keyboard.press("Enter")
    expect(bar).to_be_in_viewport()
    page.wait_for_function(
        "side => document.querySelector(`.bd-sidebar-${side}`).contains(document.activeElement)",
        arg=side,
    )
    page.keyboard.press("Escape")
    expect(bar).not_to_be_in_viewport()


def test_code_is_copied_by_its_button(page):
    page.evaluate(
        "document.addEventListener('copy', () => window.copied = getSelection().toString() || document.activeElement.value, true)"
    )
    code = page.locator("div.cell_input div.highlight:visible").first
    code.hover()
    code.locator("button.copybtn").click()
    assert page.evaluate("window.copied").strip() == code.locator("pre").inner_text().strip()
