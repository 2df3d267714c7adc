"""Every test runs with the shapes in attn_lib's signatures checked, and from the same seed."""

import shutil
from collections.abc import Iterator

import jaxtyping
import pytest
import torch
import torchvision_operators  # noqa: F401 (before timm and vit-pytorch import torchvision)
from accelerate.state import AcceleratorState
from places import BUILT
from playwright.sync_api import Browser, Page, sync_playwright

# Before anything imports attn_lib: what is imported already stays unchecked.
jaxtyping.install_import_hook("attn_lib", "beartype.beartype")


# Chromium would ask its maker about updates and the like at every start.
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
]


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture
def unchecked():
    """Run as users do, without the shape checker: it refuses bad input before the library can, and cannot be traced."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def alone():
    """Accelerate remembers its first settings for as long as the process lives: here, for one test."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    names = ("chromium", "chromium-browser", "google-chrome")
    system = next(filter(None, map(shutil.which, names)), None)  # or else playwright's own
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=system, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser):
    """Open a page as a reader does. What it asks of the network, or complains about, fails the test."""
    contexts, complaints = [], []

    def heard(message) -> None:
        if message.type in ("error", "warning"):
            complaints.append(message.text)

    def open_page(
        name: str, *, width: int = 1200, scheme: str = "light", before: str = "", **options
    ) -> Page:
        viewport = {"width": width, "height": 900}
        context = browser.new_context(
            viewport=viewport, color_scheme=scheme, reduced_motion="reduce", **options
        )
        context.set_offline(True)
        contexts.append(context)
        page = context.new_page()
        page.on("console", heard)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("requestfailed", lambda request: complaints.append(f"failed: {request.url}"))
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith(("file:", "data:", "blob:"))
                else complaints.append(f"asked: {request.url}")
            ),
        )
        page.add_init_script(before)
        page.goto((BUILT / f"{name}.html").as_uri(), wait_until="load")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
