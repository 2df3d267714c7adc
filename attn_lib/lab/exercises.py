"""Exercises that answer back."""

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from copy import deepcopy
from numbers import Real
from typing import Any

from torch import Tensor


def grade(check: Callable[[Callable], None], answer: Callable) -> None:
    """Print "Passes.", or "Not yet: " and in a sentence why.

    Args:
        check: asserts what must hold of an answer. `against` makes one.
        answer: the reader's. Whatever it raises is reported, and never ends the notebook.
    """
    try:
        check(answer)
    except (AssertionError, NotImplementedError) as reason:
        print(f"Not yet: {reason or 'an assertion does not hold'}")
    except Exception as error:
        first, *_ = str(error).splitlines() or [""]
        print(f"Not yet: it raises {type(error).__name__}: {first[:120]}")
    else:
        print("Passes.")


def against(
    reference: Callable, *cases: tuple, tolerance: float = 1e-5, hint: str = ""
) -> Callable[[Callable], None]:
    """A check that an answer agrees with a reference, on each of several inputs.

    Args:
        reference: what gives the right answer.
        cases: for each call its positional arguments; both get copies. None: one call without arguments.
        tolerance: of numbers, as in `agree`.
        hint: a sentence for those whose answer differs. It should help, and not give the answer away.
    """

    def check(answer: Callable) -> None:
        for inputs in cases or ((),):
            right = reference(*deepcopy(inputs))
            shapes = [str(tuple(each.shape)) for each in inputs if isinstance(each, Tensor)]
            where = f"with inputs of {' and '.join(shapes)}, " if shapes else ""
            agree(answer(*deepcopy(inputs)), right, tolerance, hint, where)

    return check


def agree(
    mine: Any, right: Any, tolerance: float = 1e-5, hint: str = "", where: str = ""
) -> None:
    """Assert that `mine` is `right`.

    Args:
        mine: what an answer gave: a tensor, a number, a set, a word, None, or several in a row.
        right: what it should be. Of a tensor the shape counts, of a set the members, of a row the order.
        tolerance: how far numbers may lie apart, as a share of 1 + the right one.
        hint: is added to the sentence.
        where: begins it.

    Raises:
        AssertionError: it is not; a sentence says how it differs, but not what is right.
    """
    difference = _difference(mine, right, tolerance)
    if difference:
        raise AssertionError(f"{where}{difference}" + (f". {hint}" if hint else ""))


def _difference(mine: Any, right: Any, tolerance: float) -> str:
    """How `mine` differs from `right`, in words; nothing where it does not."""
    if isinstance(right, Tensor):
        return _tensors_difference(mine, right, tolerance)
    if isinstance(right, int | float):
        is_number = isinstance(mine, Real) or (isinstance(mine, Tensor) and mine.numel() == 1)
        near = is_number and abs(float(mine) - float(right)) <= tolerance * (1 + abs(right))
        return "" if near else f"not {_said(mine)}"
    if isinstance(right, AbstractSet):
        is_group = isinstance(mine, AbstractSet | Sequence) and not isinstance(mine, str)
        return "" if is_group and set(mine) == right else f"not {_said(mine)}"
    if isinstance(right, Sequence) and not isinstance(right, str):
        return _rows_difference(mine, right, tolerance)
    return "" if type(mine) is type(right) and mine == right else f"not {_said(mine)}"


def _tensors_difference(mine: Any, right: Tensor, tolerance: float) -> str:
    if not isinstance(mine, Tensor):
        return f"a tensor is wanted, not {_said(mine)}"
    if mine.shape != right.shape:
        return f"the shape is {tuple(mine.shape)}, not {tuple(right.shape)}"
    if mine.is_complex():
        return "real numbers are wanted, not complex ones"
    apart = (mine.detach().double() - right.detach().double()).abs()
    if not apart.isfinite().all():
        return "some numbers are not finite"
    if (apart <= tolerance * (1 + right.detach().double().abs())).all():
        return ""
    return f"the shape is right, the numbers are not: they are up to {apart.max():.2g} off"


def _rows_difference(mine: Any, right: Sequence, tolerance: float) -> str:
    if not isinstance(mine, Sequence) or isinstance(mine, str):
        return f"{len(right)} things are wanted, not {_said(mine)}"
    if len(mine) != len(right):
        return f"{len(right)} things are wanted, not {len(mine)}"
    wrong = [_difference(*pair, tolerance) for pair in zip(mine, right, strict=True)]
    told = [f"number {i} of {len(right)}: {words}" for i, words in enumerate(wrong, 1) if words]
    return "; ".join(told)


def _said(thing: Any) -> str:
    """What an answer gave, in few letters."""
    if isinstance(thing, Tensor) and thing.numel() == 1:
        thing = thing.item()
    if hasattr(thing, "shape"):
        return f"{type(thing).__name__} of shape {tuple(thing.shape)}"
    if isinstance(thing, float):
        return f"{thing:.4g}"
    if isinstance(thing, AbstractSet):
        thing = sorted(map(str, thing))
    text = " ".join(str(thing).split())
    return text if len(text) <= 60 else f"{text[:57]}…"
