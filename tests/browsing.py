"""What the browser tests share: what a page was published with, and what it draws."""

import base64
import io
import json
import re

import numpy as np
from conftest import BUILT
from PIL import Image
from playwright.sync_api import Locator


def payload(name: str, tag: str, which: int = 0) -> dict:
    """What a page's figures of that tag were published with."""
    text = (BUILT / f"{name}.html").read_text()
    found = re.findall(rf'<{tag} .*?json">(.*?)</script>', text, re.DOTALL)
    return json.loads(found[which])


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
