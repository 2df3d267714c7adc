"""Each exercise's check takes right answers, however they are written, and refuses wrong ones with a sentence.

The answers are in `answers/`, a module a chapter: RIGHT and WRONG have a dictionary of answers for each exercise,
under the name of the function that the reader writes."""

import ast
import functools
import importlib
import re

import pytest
import torch
from test_book import CHAPTERS, cells

from attn_lib.lab.exercises import grade

GRADED = re.compile(r"^grade\((\w+), (\w+)\)$", re.MULTILINE)
# What any check must survive.
STRANGE = {
    "gives nothing": lambda *inputs: None,
    "gives a word": lambda *inputs: "?",
    "gives far too much": lambda *inputs: torch.zeros(3, 1, 2, 1, 5),
    "raises": lambda *inputs: {}["no such key"],
    "takes nothing": lambda: 0,
}


@functools.cache
def namespace(path) -> dict:
    """The names that an exercise meets: imports and definitions of its chapter, and what the exercises define."""
    names: dict = {}
    before, exercises = [], []
    every = cells(path, "code")
    last = max(i for i, cell in enumerate(every) if GRADED.search(cell.source))
    for cell in every[1 : last + 1]:
        (exercises if exercises or _is_stub(path, cell) else before).append(cell.source)
    kept = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
    for source in before:
        tree = ast.parse(source)
        tree.body = [node for node in tree.body if isinstance(node, kept)]
        exec(compile(tree, str(path), "exec"), names)
    for source in exercises:
        exec(compile(source, str(path), "exec"), names)
    return names


def _is_stub(path, cell) -> bool:
    """Whether a cell is the first that a reader shall fill."""
    every = cells(path, "code")
    graded = next(i for i, one in enumerate(every) if GRADED.search(one.source))
    return cell.id == every[graded - 1].id


def exercises() -> list:
    found = []
    for path in CHAPTERS:
        graded = [GRADED.search(cell.source) for cell in cells(path, "code")]
        pairs = [match.groups() for match in graded if match]
        found += [
            pytest.param(path, check, answer, solution, id=f"{path.stem}-{answer}")
            for (check, answer), (_, solution) in zip(pairs[::2], pairs[1::2], strict=True)
        ]
    return found


every_exercise = pytest.mark.parametrize("path, check, answer, solution", exercises())


def answers(path, kind: str, name: str) -> dict:
    return getattr(importlib.import_module(f"answers.{path.stem}"), kind)[name]


def said(path, check: str, answer, capsys) -> str:
    checks = namespace(path)
    capsys.readouterr()
    torch.manual_seed(1)  # a check must not lean on the state of the random numbers
    grade(checks[check], answer)
    return capsys.readouterr().out.strip()


@every_exercise
def test_right_answers_pass(path, check, answer, solution, capsys):
    right = answers(path, "RIGHT", answer)
    assert len(right) >= 3
    for name, one in {**right, "its solution": namespace(path)[solution]}.items():
        assert said(path, check, one, capsys) == "Passes.", name


@every_exercise
def test_wrong_answers_are_refused_with_a_sentence(path, check, answer, solution, capsys):
    wrong = answers(path, "WRONG", answer)
    assert len(wrong) >= 5
    for name, one in {**wrong, "its stub": namespace(path)[answer], **STRANGE}.items():
        text = said(path, check, one, capsys)
        assert re.fullmatch(r"Not yet: .{3,240}", text), (name, text)
        # Wrong by what it gives: what a slip of the pen raises would prove nothing of the check.
        assert name in STRANGE or "it raises" not in text, (name, text)
