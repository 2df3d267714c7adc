"""What the browser tests of networks in the page share: a page that is alive, and what is on it."""

from pathlib import Path

from playwright.sync_api import Locator, Page


def opened(visit, playgrounds, name: str, **options) -> Page:
    page = visit(playgrounds[name], **options)
    settled(page)
    return page


def settled(page: Page) -> None:
    page.wait_for_function("'shown' in document.querySelector('.attn-living').dataset")


def state(page: Page, name: str):
    """A trait of the first figure, whatever figure it is."""
    return page.evaluate("name => document.querySelector('.attn-figure').model.get(name)", name)


def far_away(visit, file: str, folder: Path) -> Page:
    """A page whose figure is far below the window, where nothing is computed."""
    text = Path(f"{file}.html").read_text(encoding="utf-8")
    far = text.replace("<main>", "<main><div style='height: 4000px'></div>")
    (folder / "far.html").write_text(far, encoding="utf-8")
    page = visit(str(folder / "far"))
    page.wait_for_timeout(300)
    assert page.locator("main canvas").count() == 0
    page.evaluate("scrollTo(0, 3600)")
    return page


def thing(page: Page, which: int = 12) -> Locator:
    """A scrap, or, after the last of them, the digit."""
    return page.locator(".attn-thing").nth(which)


def middle(locator: Locator) -> tuple[float, float]:
    box = locator.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def drag(page: Page, start: tuple[float, float], by: tuple[float, float]) -> None:
    page.mouse.move(*start)
    page.mouse.down()
    for share in (0.5, 1):
        page.mouse.move(start[0] + share * by[0], start[1] + share * by[1])
    page.mouse.up()


def scale(page: Page) -> float:
    return page.locator(".attn-canvas").bounding_box()["width"] / state(page, "size")[1]
