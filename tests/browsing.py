"""What the browser tests share: what a page was published with, and what it draws."""

import base64
import io
import json
import re

import numpy as np
from PIL import Image
from places import BUILT
from playwright.sync_api import Locator, Page

from attn_lib.figures import LivingFigure

STARTED = """async () => {
  const figures = [...document.querySelectorAll(":has(> script[type='application/json'])")];
  while (figures.some(figure => customElements.get(figure.localName) && !figure.model))
    await new Promise(requestAnimationFrame);
}"""


def started(page: Page) -> None:
    """Wait until each figure is alive: those away from the window start when the browser is idle."""
    page.evaluate(STARTED)


def inject(page: Page, figure: LivingFigure, where: str = "beforeend") -> None:
    """Put a figure on a page that was built without it, alive."""
    page.evaluate(
        "([where, html]) => (document.querySelector('article') ?? document.querySelector('main')).insertAdjacentHTML(where, html)",
        [where, figure.to_html()],
    )
    started(page)


def payload(name: str, tag: str, which: int = 0) -> dict:
    """What a page's figures of that tag were published with: their traits, and their skeleton as HTML."""
    text = (BUILT / f"{name}.html").read_text(encoding="utf-8")
    form = rf'<{tag} [^>]*>(.*?)<script type="application/json">(.*?)</script>'
    still, data = re.findall(form, text, re.DOTALL)[which]
    return json.loads(data) | {"_skeleton": ["#markup", {}, still]}


def decoded(value: dict, dtype: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(value["base64"]), dtype)


def picture(url: str) -> Image.Image:
    """The image that a data URL carries."""
    return Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGB")


def pixel(canvas: Locator, y: float, x: float) -> list[int]:
    """Red, green, blue and alpha at a place of a canvas, as shares of its height and width."""
    # Of a copy: reading a canvas back makes Chromium warn, and slow that canvas down.
    return canvas.evaluate(
        """(canvas, [y, x]) => {
          const copy = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
          copy.drawImage(canvas, Math.floor(x * canvas.width), Math.floor(y * canvas.height), 1, 1, 0, 0, 1, 1);
          return Array.from(copy.getImageData(0, 0, 1, 1).data);
        }""",
        [y, x],
    )


def in_jupyter(page: Page, figure: LivingFigure | type[LivingFigure], data: dict, script: str):
    """What `script` returns, run beside a figure as Jupyter runs it: a module, with a model like anywidget's.

    Args:
        page: an empty one.
        figure: whose script it is.
        data: the traits, as a page carries them.
        script: sees `el`, the figure, `data`, its traits, and `told`, what Python hears;
            `python(name, value)` sets a trait as Python does.
    """
    return page.evaluate(
        """async ([source, data, script]) => {
          for (const name in data) if (data[name]?.base64)
            data[name] = new DataView(Uint8Array.from(atob(data[name].base64), c => c.charCodeAt(0)).buffer);
          const told = [], heard = {}, el = document.createElement("div");
          const python = (name, value) => {
            data[name] = value;
            for (const call of heard["change:" + name] ?? []) call();
          };
          const model = { get: name => data[name], save_changes: () => told.push("saved"), send() {},
                          set: (name, value) => { told.push([name, value]); python(name, value); },
                          on: (event, call) => (heard[event] ??= []).push(call) };
          const module = await import("data:text/javascript;base64," + btoa(unescape(encodeURIComponent(source))));
          module.default.render({ model, el });
          document.body.append(el);
          await new Promise(requestAnimationFrame);  // figures draw in the next frame
          return new Function("el", "data", "told", "python", script)(el, data, told, python);
        }""",
        [figure._esm, data, script],
    )
