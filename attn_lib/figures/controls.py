"""The controls of common.js as HTML, so that a still picture keeps their place."""

import html
from collections.abc import Sequence


def select(label: str, options: Sequence[str]) -> str:
    choices = "".join(f"<option>{html.escape(option)}</option>" for option in options)
    return _labelled(f"{html.escape(label)} <select disabled>{choices}</select>")


def slider(label: str, said: str) -> str:
    return _labelled(
        f'{html.escape(label)} <input type="range" disabled> <output>{html.escape(said)}</output>'
    )


def checkbox(label: str) -> str:
    return _labelled(f'<input type="checkbox" disabled> {html.escape(label)}')


def _labelled(control: str) -> str:
    return f'<label class="attn-control">{control}</label>'
