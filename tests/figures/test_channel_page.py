"""The ChannelExplorer on the built page: it draws Python's numbers, and answers mouse, keys and fingers."""

import re

import numpy as np
import pytest
import torch
from browsing import decoded, in_jupyter, inject, payload, pixel
from fonts import every_screen
from playwright.sync_api import Locator, Page

from attn_lib.data import cluttered_digits
from attn_lib.figures import ChannelExplorer
from attn_lib.figures.numbers import fixed
from attn_lib.lab import zoo

GALLERY, TAG = "appendix/gallery", "channel-explorer"
ALT = "Bars in a row beside two small maps."
# Figure 0 of the gallery shows gates, figure 1 shares.
each_figure = pytest.mark.parametrize("which", [0, 1])


def root(page: Page, which: int) -> Locator:
    return page.locator(TAG).nth(which)


def bars(page: Page, which: int) -> Locator:
    return root(page, which).locator(".attn-chunk svg").first


def shown(page: Page, which: int) -> int:
    return int(
        root(page, which).locator(".attn-channel-explorer").get_attribute("data-channel")
    )


def place(svg: Locator, bar: int) -> dict:
    box = svg.bounding_box()
    return {"x": (bar + 0.5) * box["width"] / 32, "y": 0.4 * box["height"]}


def twin(which: int, data: dict) -> ChannelExplorer:
    """The published figure in Python, from what it was published with."""
    names, parts = data["image_names"], max(1, len(data["branches"]))
    weights = decoded(data["weights"], "<f4").reshape(-1, len(names), parts, 32)
    features = decoded(data["features"], "u1").reshape(*weights.shape, *data["grid"])
    scales = decoded(data["scales"], "<f4").reshape(-1, 1, 1, 32, 1, 1, 2)
    low, high = scales[..., 0], scales[..., 1]
    values = low + features / 255 * (high - low)
    one = 0 if parts == 1 else slice(None)
    series = data["series_names"]
    return ChannelExplorer(
        dict.fromkeys(names, torch.zeros(3, 2, 2)),
        {name: torch.tensor(weights[i][:, one]) for i, name in enumerate(series)},
        features={name: torch.tensor(values[i][:, one]).float() for i, name in enumerate(series)},
        branches=data["branches"], channel=data["channel"], alt=ALT,
    )  # fmt: skip


def drawn(svg: Locator, kind: str) -> np.ndarray:
    """The corners of each bar, or the ends of each mark, of a path."""
    paths = [path.get_attribute("d").split("M")[1:] for path in svg.locator(f".{kind}").all()]
    return np.array([[re.findall(r"-?\d+", one) for one in path] for path in paths], int)


def agrees(page: Page, which: int, figure: ChannelExplorer) -> None:
    """What a page draws and says is what Python would."""
    weights, order = figure._weights[figure.series, figure.image], figure.order()
    corners = drawn(bars(page, which), "attn-part")
    heights = (corners[:, :, 1] - corners[:, :, 3]) / 1000
    assert np.abs(heights - weights[:, order]).max() <= 0.001 + 1e-9
    mean = figure._weights[figure.series].mean(0)[0, order]
    marks = 1 - drawn(bars(page, which), "attn-mean")[0][:, 1] / 1000
    assert np.abs(marks - mean).max() <= 0.001
    [[frame]] = drawn(bars(page, which), "attn-chosen")
    assert frame[0] == 10 * order.tolist().index(figure.channel)
    assert root(page, which).locator(".attn-words").inner_text() == figure.describe()
    colours = np.frombuffer(figure.colours, np.uint8).reshape(256, 3).astype(int)
    low, high = figure._scales[figure.series, figure.channel]
    canvases = root(page, which).locator("canvas").all()
    for canvas, values in zip(canvases, figure.maps(), strict=True):
        h, w = values.shape
        for row, column in {(0, 0), (h - 1, 2), divmod(int(values.argmax()), w)}:
            level = round(255 * (values[row, column] - low) / ((high - low) or 1))
            got = pixel(canvas, (row + 0.5) / h, (column + 0.5) / w)[:3]
            assert np.abs(colours[level] - got).max() <= 3
        ends = f": {fixed(values.min(), 2)} to {fixed(values.max(), 2)}"
        assert ends in canvas.get_attribute("aria-label")


@each_figure
def test_what_is_drawn_is_what_python_says_wherever_one_looks(visit, which):
    page, figure = visit(GALLERY), twin(which, payload(GALLERY, TAG, which))
    agrees(page, which, figure)
    for series, image, ranked, channel in ((0, 3, False, 9), (1, 2, True, 0), (0, 5, True, 31)):
        figure.series, figure.image = series, image
        figure.sorted, figure.channel = ranked, channel
        root(page, which).get_by_role("combobox").select_option(index=series)
        root(page, which).get_by_role("radio").nth(image).check()
        root(page, which).get_by_role("checkbox").set_checked(ranked)
        bars(page, which).click(
            position=place(bars(page, which), figure.order().tolist().index(channel))
        )
        page.mouse.move(0, 0)
        agrees(page, which, figure)


@pytest.mark.pages
@pytest.mark.parametrize(
    ("which", "name"), [(0, "squeeze_excitation"), (1, "selective_kernel")]
)
def test_the_gallery_shows_the_trained_and_the_untrained_network(which, name):
    data = payload(GALLERY, TAG, which)
    assert data["series_names"] == ["trained", "untrained"]
    test = cluttered_digits("test", 2_000, seed=1)
    some = [int((test.labels == digit).nonzero()[0]) for digit in range(6)]
    weights = decoded(data["weights"], "<f4").reshape(2, 6, -1)
    for published, trained in zip(weights, (True, False), strict=True):
        network = zoo.load(f"host_{name}", trained=trained)
        with torch.no_grad():
            made = network.slot.attention(network.features(test.images[some]))
        assert np.abs(published - made.flatten(1).numpy()).max() < 0.005
    if name == "squeeze_excitation":
        assert np.abs(weights[1] - 0.5).max() < 0.05, "as the page says of the untrained ones"
        assert np.median(weights[0]) > 0.9, "its alt text says that most are near 1"


def test_the_mouse_previews_and_a_click_chooses(visit):
    page, start = visit(GALLERY), payload(GALLERY, TAG)["channel"]
    bars(page, 0).hover(position=place(bars(page, 0), 20))
    assert shown(page, 0) == 20 and "Channel 20: gate" in root(page, 0).inner_text()
    page.mouse.move(0, 0)
    assert shown(page, 0) == start, "leaving goes back to the chosen channel"
    bars(page, 0).click(position=place(bars(page, 0), 11))
    page.mouse.move(0, 0)
    assert shown(page, 0) == 11


def test_the_keyboard_alone_reaches_everything(visit):
    page = visit(GALLERY)
    figure = root(page, 0)
    figure.get_by_role("radio").first.focus()
    page.keyboard.press("ArrowRight")
    assert figure.get_by_role("radio", name="picture: a 1").is_checked()
    assert "channels of a 1" in figure.inner_text()
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.selectedIndex") == 1
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert figure.get_by_role("checkbox").is_checked()
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    start = shown(page, 0)
    page.keyboard.press("Enter")
    assert shown(page, 0) == start + 1, "Next channel"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('role')") == "slider"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    reached = {"Home": 0, "ArrowLeft": 0, "ArrowRight": 1, "PageUp": 11, "End": 31}
    for key, now in reached.items():
        page.keyboard.press(key)
        assert shown(page, 0) == now
        assert figure.get_by_role("slider").get_attribute("aria-valuetext") == f"channel {now}"


def test_a_finger_chooses_and_still_scrolls_the_page(visit):
    page = visit(GALLERY, width=390, has_touch=True, is_mobile=True)
    bars(page, 0).scroll_into_view_if_needed()
    bars(page, 0).tap(position=place(bars(page, 0), 23))
    assert shown(page, 0) == 23
    root(page, 0).get_by_role("button", name="Next").tap()
    root(page, 0).locator(".attn-choice").nth(4).tap()
    assert shown(page, 0) == 24 and "channels of a 4" in root(page, 0).inner_text()
    assert (
        bars(page, 0).evaluate("svg => getComputedStyle(svg).touchAction") == "pan-y pinch-zoom"
    )
    for control in root(page, 0).locator("button, select, .attn-choice, .attn-control").all():
        assert control.bounding_box()["height"] >= 24


def test_two_figures_on_a_page_do_not_disturb_one_another(visit):
    page, data = visit(GALLERY), payload(GALLERY, TAG, 1)
    root(page, 0).get_by_role("radio").nth(3).check()
    bars(page, 0).click(position=place(bars(page, 0), 30))
    assert root(page, 1).get_by_role("radio").first.is_checked(), (
        "radio buttons of another group"
    )
    agrees(page, 1, twin(1, data))


@every_screen
@each_figure
def test_nothing_jumps_when_the_figure_comes_alive(visit, which, width):
    still = root(visit(GALLERY, java_script_enabled=False, width=width), which)
    living = root(visit(GALLERY, width=width), which)

    def extent(figure: Locator, part: str) -> tuple[float, float]:
        box = figure.locator(f".attn-channel-explorer {part}").first.bounding_box()
        return box["y"] - figure.bounding_box()["y"], box["height"]

    for part in ("form", ".attn-bars", ".attn-words", ".attn-sum", ".attn-scale"):
        assert extent(still, part) == pytest.approx(extent(living, part), abs=2), part
    words = living.locator(".attn-words").inner_text()
    assert still.locator(".attn-words").inner_text() == words
    assert abs(still.bounding_box()["height"] - living.bounding_box()["height"]) <= 2


@pytest.mark.parametrize("width", [1200, 390])
def test_nothing_moves_as_one_steps_through_it(visit, width):
    names = {"a 0": (8, 8), "a name longer than any of the others": (8, 16), "m" * 60: (16, 8)}
    powers = 10.0 ** torch.arange(-3, 3).repeat_interleave(2)[:, None, None]
    figure = ChannelExplorer(
        {name: torch.rand(3, *size) for name, size in names.items()},
        {"one": torch.rand(3, 12), "another": torch.rand(3, 12)},
        features=dict.fromkeys(("one", "another"), powers * (torch.rand(3, 12, 3, 4) - 0.5)),
        channel=0, alt=ALT,
    )  # fmt: skip
    page = visit(GALLERY, width=width)
    inject(page, figure, "afterbegin")
    places = page.evaluate(
        """async () => {
          const figure = document.querySelector("channel-explorer"), places = new Set();
          const { model } = figure;
          const parts = figure.querySelectorAll(".attn-living, .attn-living > *, .attn-term, .attn-bar");
          for (const series of [0, 1]) for (const sorted of [false, true]) for (const image of [0, 1, 2])
            for (let channel = 0; channel < 12; channel++) {
              for (const [name, value] of Object.entries({ series, sorted, image, channel })) model.set(name, value);
              await figure.querySelector("[data-hole=input]").decode();
              places.add(JSON.stringify(Array.from(parts, part => part.getBoundingClientRect())));
            }
          return [...places];
        }""",
    )
    assert len(places) == 1
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(
    "media", [{"forced_colors": "active"}, {"color_scheme": "dark"}, {"media": "print"}]
)
def test_the_bars_stand_out_in_every_medium(visit, media):
    page = visit(GALLERY)
    page.emulate_media(**media)
    drawn = [f"svg .attn-{kind}" for kind in ("part", "mean", "chosen")]
    for part in (*drawn, "canvas", ".attn-words"):
        assert root(page, 1).locator(part).first.is_visible(), part
    colour = (
        "el => { const s = getComputedStyle(el); return s.fill === 'none' ? s.stroke : s.fill }"
    )
    paints = [
        bars(page, 1).locator(kind).first.evaluate(colour)
        for kind in (".attn-part", ".attn-mean")
    ]
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert len({*paints, background}) == 3


def test_a_redraw_takes_less_than_a_frame_with_512_channels(visit):
    torch.manual_seed(0)
    names = {str(i): torch.rand(3, 16, 16) for i in range(6)}
    figure = ChannelExplorer(names, {"one": torch.rand(6, 512)}, alt=ALT)
    page = visit(GALLERY)
    inject(page, figure, "afterbegin")
    slowest = page.evaluate(
        """() => {
          const figure = document.querySelector("channel-explorer");
          return ["channel", "image"].map(trait => {
            const times = Array.from({ length: 60 }, (_, i) => {
              const start = performance.now();
              figure.model.set(trait, (i + 1) % 6);
              figure.getBoundingClientRect();
              return performance.now() - start;
            });
            return times.sort((a, b) => a - b)[30];
          });
        }""",
    )
    assert page.locator(TAG).first.locator(".attn-chunk").count() == 8
    assert max(slowest) < 16, slowest


def test_jupyter_runs_the_same_script_and_python_sees_each_choice(visit):
    told = in_jupyter(
        visit("search", bypass_csp=True),
        ChannelExplorer,
        payload(GALLERY, TAG),
        """el.querySelector("[role=slider]").dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight" }));
        for (const radio of [...el.querySelectorAll("[type=radio]")].slice(2, 3)) radio.click();
        el.querySelector("[type=checkbox]").click();
        python("channel", 3);
        return [told, el.querySelector(".attn-living").dataset.channel];""",
    )
    channel = payload(GALLERY, TAG)["channel"] + 1
    choices = [["channel", channel], "saved", ["image", 2], "saved", ["sorted", True], "saved"]
    assert told == [choices, "3"]
