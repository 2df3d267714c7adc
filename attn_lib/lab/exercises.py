"""Exercises that answer back."""

from collections.abc import Callable


def grade(check: Callable[[Callable], None], answer: Callable) -> None:
    """Print whether `answer` passes `check`, which asserts what must hold, and if not, what does not."""
    try:
        check(answer)
    except (AssertionError, NotImplementedError) as reason:
        print(f"Not yet: {reason}")
    else:
        print("Passes.")
