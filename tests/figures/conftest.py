"""Figures are tested as the book's build makes them: held to a weight and to words."""

import pytest

from attn_lib.figures.base import PUBLISHING


@pytest.fixture(autouse=True)
def publishing(monkeypatch):
    monkeypatch.setenv(PUBLISHING, "1")
