"""A function's own source: its lines, the statement to which each belongs, and what that binds."""

import ast
import inspect
import textwrap
from dataclasses import dataclass
from types import FunctionType


@dataclass(frozen=True)
class FunctionSource:
    """The lines of a function as they stand in its file, without the indent that they share.

    Attributes:
        first_line: the number of the first line.
        statements: by a line's number, the innermost statement that it belongs to.
    """

    lines: list[str]
    first_line: int
    statements: dict[int, ast.stmt]

    @classmethod
    def of(cls, function: FunctionType) -> "FunctionSource":
        """Read it.

        Raises:
            ValueError: it cannot be found.
        """
        try:
            lines, first_line = inspect.getsourcelines(function)
        except (OSError, TypeError) as error:
            raise ValueError(f"the source of {function!r} cannot be found") from error
        text = textwrap.dedent("".join(lines))
        tree = ast.parse(text)
        ast.increment_lineno(tree, first_line - 1)
        statements: dict[int, ast.stmt] = {}
        for node in ast.walk(tree):  # outer ones first, so that inner ones prevail
            if isinstance(node, ast.stmt):
                numbers = range(node.lineno, (node.end_lineno or 0) + 1)
                statements |= dict.fromkeys(numbers, node)
        return cls(text.splitlines(), first_line, statements)

    @property
    def signature(self) -> ast.stmt:
        return self.statements[min(self.statements)]

    @property
    def heads(self) -> dict[int, ast.stmt]:
        """By a line's number, the statement of which it is the head, or all, where it holds no others."""
        return {
            number: statement
            for statement in self.statements.values()
            for number in range(statement.lineno, end_of_head(statement) + 1)
        }


def bound_names(statement: ast.stmt) -> list[str]:
    """The variables that a statement binds: of a loop or a `with`, those in its first line."""
    nodes: list[ast.AST] = getattr(statement, "targets", None) or [
        getattr(statement, "target", ast.Pass())
    ]
    names = [name for node in nodes for name in ast.walk(node) if isinstance(name, ast.Name)]
    return [name.id for name in names if isinstance(name.ctx, ast.Store) and name.id != "_"]


def end_of_head(statement: ast.stmt) -> int:
    """The line where a simple statement, or the head of one that holds others, ends."""
    if not hasattr(statement, "body"):
        return statement.end_lineno or statement.lineno
    inner = {"body", "orelse", "finalbody", "handlers", "decorator_list"}
    ends = [statement.lineno]
    for name, value in ast.iter_fields(statement):
        parts = value if isinstance(value, list) else [value]
        if name not in inner:
            nodes = [
                node for part in parts if isinstance(part, ast.AST) for node in ast.walk(part)
            ]
            ends += [getattr(node, "end_lineno", None) or 0 for node in nodes]
    return max(ends)
