"""Files are UTF-8 whatever the machine's own encoding is: a Chinese Windows reads GBK, a bare server ASCII."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from places import BOOK, LIBRARY, ROOT

FOLDERS = (LIBRARY, BOOK / "_ext", ROOT / "recipes", ROOT / "benchmarks", ROOT / ".ci")
FILES = sorted(path for folder in FOLDERS for path in folder.rglob("*.py"))


def unsaid(source: str) -> Iterator[int]:
    """The lines on which text is read or written in an encoding that is not said."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        called = (
            node.func.attr
            if isinstance(node.func, ast.Attribute)
            else getattr(node.func, "id", "")
        )
        said = {keyword.arg for keyword in node.keywords}
        mode = next((a.value for a in node.args[1:2] if isinstance(a, ast.Constant)), "r")
        plain_open = (
            isinstance(node.func, ast.Name) and called == "open" and "b" not in str(mode)
        )
        if (called in ("read_text", "write_text") or plain_open) and "encoding" not in said:
            yield node.lineno


def test_the_reader_of_calls_sees_them():
    source = 'p.read_text()\np.write_text("x")\nopen("x")\nopen("x", "rb")\nImage.open("x")\n'
    assert [*unsaid(source)] == [1, 2, 3]
    assert not [*unsaid('p.read_text(encoding="utf-8")\nopen("x", encoding="utf-8")')]


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_whoever_reads_or_writes_text_says_its_encoding(path: Path):
    assert [*unsaid(path.read_text(encoding="utf-8"))] == []


ASCII = {
    "PYTHONUTF8": "0",
    "PYTHONCOERCECLOCALE": "0",
    "LC_ALL": "C",
    "LANG": "C",
    "PYTHONIOENCODING": "utf-8",
}
WORK = """
import locale, torch
assert locale.getpreferredencoding(False).upper() not in ("UTF-8", "UTF8")
from attn_lib import SelfAttention2d, cost, record, trace_shapes
from attn_lib.data import cluttered_digits
from attn_lib.figures import AttentionExplorer, CostExplorer, ShapeTracer, page_script, page_style, show_source
from attn_lib.lab import zoo
network = zoo.load("host_self_attention")
zoo.results("compare_where")
with record(network) as maps:
    network(cluttered_digits("test", 1, seed=1).images)
figure = AttentionExplorer(torch.rand(3, 40, 40), {"map": maps["slot"][0]}, alt="A map of weights over noise.")
figure.save("map.html")
assert "\\u00d7" in page_script() + page_style() + open("map.html", encoding="utf-8").read()
"""


@pytest.mark.slow
def test_a_machine_that_reads_ascii_imports_draws_and_saves(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-c", WORK],
        env=os.environ | ASCII | {"PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr[-2000:]
