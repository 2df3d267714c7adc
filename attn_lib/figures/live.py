"""What only a kernel can do, with plain widgets. The published page says in words what that would be."""

import html
import sys
from collections.abc import Callable
from typing import Any

import anywidget
import ipywidgets
import numpy as np
import torch
from IPython.display import display
from jaxtyping import Float
from torch import Tensor

from .base import require_alt

WHERE = "Open this page in Colab (the launch button at its top) or in Jupyter."


class LiveOnly:
    """A widget where a kernel runs; elsewhere a sentence that says what one could do with it there."""

    def __init__(self, widget: ipywidgets.Widget, about: str):
        require_alt(about)
        self.widget, self.sentence = widget, f"Live only: {about} {WHERE}"

    def _repr_mimebundle_(self, **kwargs) -> tuple[dict, dict]:
        view = {"version_major": 2, "version_minor": 0, "model_id": self.widget.model_id}
        bundle = {
            "application/vnd.jupyter.widget-view+json": view,
            "text/html": f'<p class="attn-figure attn-live-only">{html.escape(self.sentence)}</p>',
            "text/plain": self.sentence,
        }
        return bundle, _metadata()


def _metadata() -> dict:
    """What Colab wants to know before it shows a figure inside a widget; elsewhere nothing."""
    if "google.colab" not in sys.modules:
        return {}
    probe = anywidget.AnyWidget()
    _, metadata = probe._repr_mimebundle_()  # type: ignore[misc]
    probe.close()
    return metadata


def upload(
    show: Callable[[Tensor], Any],
    *,
    about: str = "upload a photograph of your own.",
    longest: int = 512,
) -> LiveOnly:
    """A button that uploads a photograph and shows what `show` makes of it.

    Args:
        show: called with the image (3, h, w), values in [0, 1], at each upload. What it displays or returns
            appears below the button, and so does an error in it.
        about: what one can do here, for the published page, in at least four words.
        longest: pixels of the longer side; larger pictures are made smaller.

    Raises:
        ValueError: `about` says nothing, or `longest` is not positive.
    """
    if longest < 1:
        raise ValueError(f"a picture's longer side has at least 1 pixel; got {longest=}")
    chooser = ipywidgets.FileUpload(accept="image/*", description="Choose a photograph")
    chooser.layout.width = "auto"
    output = ipywidgets.Output()

    def on_upload(_) -> None:
        if not chooser.value:
            return
        name, content = last_file(chooser.value)
        output.clear_output()
        with output:  # which shows errors too
            try:
                image = read_picture(content, longest)
            except ValueError as error:
                print(f"{name}: {error}")
            else:
                _show(show(image))

    chooser.observe(on_upload, "value")
    return LiveOnly(ipywidgets.VBox([chooser, output]), about)


def retrain(train: Callable[[], Any], *, about: str, label: str = "Train") -> LiveOnly:
    """A button that trains and shows the result.

    Args:
        train: called at each press. What it displays appears below the button: the progress bar of
            `attn_lib.lab.training.fit`, what it returns, an error in it.
        about: what one can do here and how long it takes, for the published page, in at least four words.
        label: of the button.

    Raises:
        ValueError: `about` says nothing.
    """
    button = ipywidgets.Button(description=label, tooltip=about)
    output = ipywidgets.Output()

    def on_press(_) -> None:
        button.disabled = True  # a second press would wait, and then train again
        output.clear_output()
        try:
            with output:  # which shows errors too
                _show(train())
        finally:
            button.disabled = False

    button.on_click(on_press)
    return LiveOnly(ipywidgets.VBox([button, output]), about)


def read_picture(content: bytes, longest: int) -> Float[Tensor, "3 h w"]:
    """The picture in a file, upright, its longer side at most `longest` pixels, values in [0, 1].

    Raises:
        ValueError: as `attn_lib.data.files.open_picture`.
    """
    from ..data.files import (
        open_picture,  # which wants what `attn_lib.data` wants; figures do not
    )

    picture = open_picture(content)
    picture.thumbnail((longest, longest))
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1) / 255


def last_file(value) -> tuple[str, bytes]:
    """Name and content of what was uploaded last: ipywidgets 7 (Colab) has a dict by name, 8 a tuple."""
    if isinstance(value, dict):
        name, file = list(value.items())[-1]
    else:
        file = value[-1]
        name = file["name"]
    return name, bytes(file["content"])


def _show(result) -> None:
    if result is not None:
        display(result)
