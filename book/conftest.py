"""What strict nbval compares: text. Pictures and living figures are checked on the built pages."""

import pytest


def pytest_itemcollected(item: pytest.Item) -> None:
    skipped = getattr(item.parent, "skip_compare", None)
    if skipped and "text/html" not in skipped:
        item.parent.skip_compare = (*skipped, "text/html")
