"""Every test runs with the shapes in attn_lib's signatures checked, and from the same seed."""

import os
from collections.abc import Callable, Iterator
from functools import cache

import jaxtyping
import pytest
import torch
import torchvision_operators  # noqa: F401 (before timm and vit-pytorch import torchvision)
from accelerate.state import AcceleratorState
from fonts import SETS, fontconfig
from machine import chromium
from places import BUILT, TESTS
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


def pytest_configure(config: pytest.Config) -> None:
    for mark in (
        "pages: reads the built book, or needs a browser",
        "slow: not for `make quick`",
        "every_font: under each set of fonts; other tests of pages do not depend on how wide letters are",
    ):
        config.addinivalue_line("markers", mark)
    if "PYTEST_XDIST_WORKER" in os.environ:
        torch.set_num_threads(1)  # workers would take the cores from one another


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.definition.get_closest_marker("every_font"):
        metafunc.parametrize("fonts", SETS, indirect=True)


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs the built book; side by side, a file's tests share a process, or in a long file a page's."""
    for item in items:
        browses = "browsers" in item.fixturenames
        if browses or item.path.is_relative_to(TESTS / "book"):
            item.add_marker("pages")
        if item.path.is_relative_to(TESTS / "lab"):  # networks are trained there
            item.add_marker("slow")
        page = (
            item.callspec.params.get("name", "")
            if browses and hasattr(item, "callspec")
            else ""
        )
        item.add_marker(pytest.mark.xdist_group(f"{item.path.stem} {page}".strip()))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Without groups each worker would start browsers of its own."""
    grouped = getattr(
        session.config.option, "loadgroup", False
    )  # in a worker, under --dist loadgroup
    if grouped and not all("@" in item.nodeid for item in session.items):
        raise pytest.UsageError("this pytest-xdist does not group tests under this pytest")


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
def browsers(tmp_path_factory) -> Iterator[Callable[[str], Browser]]:
    """A browser for each set of fonts, started when a test first wants it."""
    if chromium() is None:
        pytest.skip("no Chromium or Chrome: `make machine` says what to install")
    with sync_playwright() as playwright:

        @cache
        def start(fonts: str) -> Browser:
            if not (file := fontconfig(fonts, tmp_path_factory.mktemp(fonts))):
                pytest.skip(f"no {fonts} fonts: `make machine` says what to install")
            environment = os.environ | {"FONTCONFIG_FILE": str(file)}
            return playwright.chromium.launch(
                executable_path=chromium(), args=QUIET, env=environment
            )

        yield start
        # With Playwright itself they end.


@pytest.fixture(scope="session")
def browser(browsers) -> Browser:
    return browsers("DejaVu")


@pytest.fixture
def fonts(request) -> str:
    """The fonts that a page is seen with: one set, or each in turn where the test says `every_font`."""
    return getattr(request, "param", "DejaVu")


@pytest.fixture
def visit(browsers, fonts):
    """Open a page as a reader does; what it loads is in `asked`. Asking the network or complaining fails the test."""
    from browsing import started  # which imports the library: not before shapes are checked

    browser = browsers(fonts)
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
        page.asked = []
        page.on("request", lambda request: page.asked.append(request.url))
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
        if options.get("java_script_enabled", True):  # a reader would see them start
            started(page)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
