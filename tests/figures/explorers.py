"""What the AttentionExplorer's browser tests share: the figure in Python and on the page, side by side."""

import numpy as np
from browsing import decoded, inject, payload, picture, pixel
from playwright.sync_api import Locator, Page

from attn_lib.figures import AttentionExplorer, LivingFigure

GALLERY = "appendix/gallery"
TWO_IMAGES, GATES, LAYERS = range(3)  # the gallery's explorers


def published(name: str, which: int = 0) -> AttentionExplorer:
    """The figure in Python again, from what the page carries."""
    data = payload(name, AttentionExplorer.tag, which)
    figure = AttentionExplorer.__new__(AttentionExplorer)
    raw = {key: decoded(value, "u1").tobytes() for key, value in data.items() if is_raw(value)}
    LivingFigure.__init__(figure, **(data | raw))
    return figure


def is_raw(value) -> bool:
    return isinstance(value, dict) and "base64" in value


def living(page: Page, which: int = 0) -> Locator:
    return page.locator("attention-explorer").nth(which)


def canvas(page: Page, which: int = 0, panel: int = 0) -> Locator:
    return living(page, which).locator("canvas").nth(panel)


def injected(page: Page, figure: AttentionExplorer) -> Locator:
    """The figure on a page that was built without it, alive."""
    inject(page, figure)
    return page.locator("attention-explorer").last


def set_in_both(figure: AttentionExplorer, element: Locator, **state) -> None:
    for name, value in state.items():
        setattr(figure, name, value)
    element.evaluate(
        "(figure, state) => { for (const name in state) figure.model.set(name, state[name]); }",
        state,
    )


def chosen(element: Locator, name: str):
    return element.evaluate("(figure, name) => figure.model.get(name)", name)


def captions(element: Locator) -> list[str]:
    return element.locator("figcaption output").all_text_contents()


def place(cell: int, grid) -> list[float]:
    """The centre of a cell, as shares of height and width."""
    return [
        (part + 0.5) / cells for part, cells in zip(divmod(cell, grid[1]), grid, strict=True)
    ]


def at(element: Locator, cell: int, grid) -> dict:
    box = element.bounding_box()
    y, x = place(cell, grid)
    return {"x": x * box["width"], "y": y * box["height"]}


def colour_of(figure: AttentionExplorer, panel: dict, cell: int) -> np.ndarray:
    """What the figure promises to draw in the middle of a cell that bears no mark."""
    kind = panel["kind"] == "gate"
    maps = {each["name"]: figure.attention_map(each["name"]) for each in figure.panels}
    alike = [p["name"] for p in figure.panels if (p["kind"] == "gate") == kind]
    weights = maps[panel["name"]]
    low = min(maps[n].min() for n in alike) if kind else 0
    span = max(maps[n].max() for n in alike) - low  # 0 where nobody looks at the position
    level = round(255 * np.sqrt((weights.ravel()[cell] - low) / span)) if span else 0
    grey = 0.75 * np.asarray(picture(figure.images[panel["image"]]).convert("L"), float)
    y, x = place(cell, weights.shape)
    under = grey[int(y * grey.shape[0]), int(x * grey.shape[1])]
    opacity = figure.opacity * np.sqrt(level / 255)
    colours = np.frombuffer(figure.colours, np.uint8).reshape(256, 3).astype(float)
    return under * (1 - opacity) + colours[level] * opacity


def assert_drawn(figure: AttentionExplorer, element: Locator) -> None:
    marked = {figure.query, figure.cell}
    for index, panel in enumerate(figure.panels):
        weights = figure.attention_map(panel["name"])
        near = [
            place(figure.place_in(weights.shape, p), weights.shape)
            for p in marked
            if p is not None
        ]
        for cell in {int(weights.argmax()), 1, weights.size - 1}:
            # A mark and the number beside it are in the way.
            if any(
                np.abs(np.subtract(place(cell, weights.shape), mark)).max() < 0.15
                for mark in near
            ):
                continue
            drawn = pixel(element.locator("canvas").nth(index), *place(cell, weights.shape))
            wanted = colour_of(figure, panel, cell)
            assert np.abs(wanted - drawn[:3]).max() < 6, (panel["name"], cell)
