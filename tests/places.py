"""Where things are."""

from pathlib import Path

TESTS = Path(__file__).parent
ROOT = TESTS.parent
LIBRARY = ROOT / "attn_lib"
BOOK = ROOT / "book"
BUILT = ROOT / "_build" / "html"
