"""Values that come to a figure from elsewhere: from a front end, a linked slider, NumPy, PyTorch."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import traitlets
from torch import Tensor


class BadValue(ValueError, traitlets.TraitError):
    """A value that a figure refuses: a `ValueError` for whoever set it, and a `TraitError` for traitlets.

    Of a value that a front end sent, traitlets takes back only what is refused with the latter.
    """

    def __init__(self, message: str):
        super().__init__(message)


def validates(*names: str) -> Callable[[Callable], Any]:
    """`traitlets.validate` for checks that raise a `ValueError`: the old value stays."""

    def decorate(check: Callable):
        @functools.wraps(check)
        def refuse(self, proposal):
            try:
                return check(self, proposal)
            except ValueError as error:
                raise BadValue(str(error)) from None

        return traitlets.validate(*names)(refuse)

    return decorate


class Whole(traitlets.Int):
    """A whole number, also NumPy's, PyTorch's, and a slider's 7.0; a truth value is none."""

    def validate(self, obj, value):
        value = _number(self, obj, value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        return super().validate(obj, value)


class Number(traitlets.Float):
    """A number, also NumPy's and PyTorch's; a truth value is none."""

    def validate(self, obj, value):
        return super().validate(obj, _number(self, obj, value))


def plain(value: Any) -> Any:
    """What a scalar of NumPy or PyTorch holds; all else as it is."""
    if isinstance(value, np.generic | np.ndarray | Tensor) and value.ndim == 0:
        return value.item()
    return value


def _number(trait: traitlets.TraitType, obj: traitlets.HasTraits, value: Any) -> Any:
    if isinstance(value := plain(value), bool):
        trait.error(obj, value)
    return value
