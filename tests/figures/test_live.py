"""Figures with a kernel: in a real JupyterLab, driven by a real browser, and nobody else on the network."""

import json
import os
import secrets
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from places import ROOT
from playwright.sync_api import Page, expect

PATIENCE = 120  # seconds: a busy machine starts JupyterLab and imports torch slowly
expect.set_options(timeout=1000 * PATIENCE)

# What Python sees goes into files, which the tests read.
CELLS = (
    """import torch
from pathlib import Path
from tqdm.auto import tqdm
from attn_lib.figures import AttentionExplorer, explore, retrain, upload

figure = AttentionExplorer(
    torch.rand(3, 20, 20),
    {"a map": torch.rand(25, 25).softmax(1)},
    query=12,
    alt="Noise under a heat map of noise.",
)
figure.observe(lambda change: Path("query").write_text(str(figure.query)), "query")
figure""",
    """def square(side):
    image = torch.zeros(3, 8, 8)
    image[:, :side, :side] = 1 / (7 - side)
    return image, f"A square whose side is {side} pixels."

frames = explore(square, side=[1, 2, 3, 4], live={"side": [5, 7]}, alt="A bright square on black.")
frames.observe(lambda change: Path("side").write_text(str(frames.choice["side"])), "choice")
frames""",
    """upload(lambda image: f"a picture of shape {tuple(image.shape)}", longest=64)""",
    """def train():
    steps = [step for step in tqdm(range(7), desc="training")]
    return f"trained for {len(steps)} steps"

retrain(train, about="trains nothing for seven steps.", label="Train anew")""",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("live")
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    cells = [nbformat.v4.new_code_cell(cell) for cell in CELLS]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(notebook, folder / "live.ipynb")
    Image.new("RGB", (90, 60), "teal").save(folder / "photograph.png")
    (folder / "notes.txt").write_text("no picture")
    return folder


@pytest.fixture(scope="module")
def server(folder, tmp_path_factory) -> Iterator[dict]:
    """A JupyterLab of its own: its settings, kernels and port are nobody else's."""
    home, token = tmp_path_factory.mktemp("home"), secrets.token_hex(16)
    places = ("CONFIG", "DATA", "RUNTIME")
    environment = os.environ | {f"JUPYTER_{place}_DIR": str(home / place) for place in places}
    environment |= {"IPYTHONDIR": str(home / "ipython"), "PYTHONPATH": str(ROOT)}
    options = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": 0,
        "ServerApp.root_dir": folder,
        "ServerApp.allow_root": True,
        "IdentityProvider.token": token,
        "LabApp.expose_app_in_browser": True,
        "LabApp.extension_manager": "readonly",
        "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
    }
    command = [sys.executable, "-m", "jupyterlab", "--no-browser"]
    command += [f"--{name}={value}" for name, value in options.items()]
    log = (home / "log").open("w")
    process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:

        def started() -> dict | None:
            assert process.poll() is None, (home / "log").read_text()[-3000:]
            found = next((home / "RUNTIME").glob("jpserver-*.json"), None)
            return json.loads(found.read_text()) if found else None

        yield wait_for(started) | {"token": token}
    finally:
        if found := list((home / "RUNTIME").glob("jpserver-*.json")):
            stop(json.loads(found[0].read_text())["url"], token)
        else:
            process.terminate()
        try:
            process.wait(timeout=PATIENCE)
        finally:
            process.kill()
            log.close()


def stop(url: str, token: str) -> None:
    """Ask the server to end, which ends its kernels first."""
    headers = {"Authorization": f"token {token}"}
    request = urllib.request.Request(f"{url}api/shutdown", method="POST", headers=headers)
    urllib.request.urlopen(request, timeout=PATIENCE).close()


def wait_for(look: Callable, seconds: float = PATIENCE):
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, f"nothing after {seconds} s"
        time.sleep(0.1)
    return found


@pytest.fixture(scope="module")
def lab(browser, server) -> Iterator[Page]:
    """The notebook in JupyterLab, all cells run. What is asked of another machine is refused, and fails."""
    context = browser.new_context(viewport={"width": 1200, "height": 2400})
    context.set_default_timeout(1000 * PATIENCE)
    asked = []

    def route(route) -> None:
        if urlsplit(route.request.url).hostname == "127.0.0.1":
            route.continue_()
        else:
            asked.append(route.request.url)
            route.abort()

    context.route("http*://**", route)
    page = context.new_page()
    page.goto(f"{server['url']}lab/tree/live.ipynb?token={server['token']}")
    page.locator(".jp-Notebook .jp-Cell").first.wait_for()
    page.wait_for_function(
        "jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
    )
    page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')")
    yield page
    context.close()
    assert asked == []


def output(lab: Page, cell: int):
    return lab.locator(".jp-Notebook .jp-Cell").nth(cell).locator(".jp-Cell-outputArea")


def read(folder: Path, name: str) -> str:
    path = folder / name
    return path.read_text() if path.exists() else ""


def test_keys_and_clicks_reach_python(lab, folder):
    canvas = output(lab, 0).locator(".attn-explorer canvas")
    canvas.wait_for()
    assert lab.locator("attention-explorer").count() == 0, "the widget, not its page"
    canvas.press("ArrowRight")
    wait_for(lambda: read(folder, "query") == "13")
    canvas.press("ArrowDown")
    wait_for(lambda: read(folder, "query") == "18")
    box = canvas.bounding_box()
    canvas.click(position={"x": 0.1 * box["width"], "y": 0.9 * box["height"]})
    wait_for(lambda: read(folder, "query") == "20")


def test_with_a_kernel_explore_calls_its_function_and_shows_its_errors(lab, folder):
    figure = output(lab, 1).locator(".attn-frames")
    slider, words = figure.locator("input"), figure.locator(".attn-words output")
    expect(words).to_have_text("A square whose side is 1 pixels.")
    assert slider.get_attribute("max") == "5" and lab.locator("frame-explorer").count() == 0
    slider.press("End")
    expect(figure.locator(".attn-error")).to_contain_text("ZeroDivisionError")
    slider.press("ArrowLeft")
    expect(words).to_have_text("A square whose side is 5 pixels.")
    wait_for(lambda: read(folder, "side") == "5")
    expect(figure.locator(".attn-error")).to_be_hidden()
    expect(figure.locator("img")).to_be_visible()


def test_an_uploaded_photograph_is_shown_and_another_file_explained(lab, folder):
    choose_file(lab, folder / "photograph.png")
    expect(output(lab, 2)).to_contain_text("a picture of shape (3, 43, 64)")
    choose_file(lab, folder / "notes.txt")
    expect(output(lab, 2)).to_contain_text("notes.txt: no picture that can be read here")


def choose_file(lab: Page, path: Path) -> None:
    with lab.expect_file_chooser() as chooser:
        output(lab, 2).get_by_role("button", name="Choose a photograph").click()
    chooser.value.set_files(path)


def test_training_shows_its_progress_and_its_result(lab):
    output(lab, 3).get_by_role("button", name="Train anew").click()
    expect(output(lab, 3)).to_contain_text("trained for 7 steps")
    expect(output(lab, 3)).to_contain_text("7/7")
    expect(output(lab, 3).get_by_role("button", name="Train anew")).to_be_enabled()


def test_all_is_read_with_ease_in_the_dark(lab):
    """The last of these tests: from here on the theme is another."""
    lab.evaluate(
        "jupyterapp.commands.execute('apputils:change-theme', { theme: 'JupyterLab Dark' })"
    )
    lab.wait_for_selector("body[data-jp-theme-light=false]", state="attached")
    expect(output(lab, 0).locator(".attn-living")).to_be_visible()
    figures = {"include": [[".jp-OutputArea .attn-living"]]}
    found = Axe().run(lab, figures, {"runOnly": ["color-contrast"]})
    assert found.response["passes"], "something is read"
    assert found.violations_count == 0, found.generate_report()
