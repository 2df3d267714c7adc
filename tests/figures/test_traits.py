"""What comes to a figure from elsewhere: taken for what it is, or refused, and the old value stays."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import traitlets
from test_skeleton import attention, costs, frames, gates, half_gates, play, shapes, shares

from attn_lib.figures import LivingFigure
from attn_lib.figures.base import FIGURES
from attn_lib.figures.traits import BadValue, Number, Whole

MAKERS = (attention, half_gates, frames, gates, shares, shapes, costs, play)
BAD = {
    Whole: (-1, 10**6),
    Number: (-0.5, 7.0, math.nan),
    traitlets.Unicode: ("nonsense!",),
    traitlets.List: ([], [10**6, -3]),
    traitlets.Dict: ({}, {"nobody": 1}),
}


def chosen(figure: LivingFigure) -> list[str]:
    """The traits that readers choose: those which are checked."""
    return sorted(name for name in figure._trait_validators if name != "alt")


CASES = [
    pytest.param(make, name, value, id=f"{make.__name__}-{name}-{value}")
    for make in MAKERS
    for figure in [make()]
    for name in chosen(figure)
    for kind, values in BAD.items()
    if isinstance(figure.traits()[name], kind)
    for value in values
]


def test_every_figure_and_every_kind_of_choice_is_tried():
    made = [make() for make in MAKERS]
    assert {figure.name for figure in made} == {figure.name for figure in FIGURES}
    tried = {(make().name, name) for make, name, _ in (case.values for case in CASES)}
    assert tried == {(figure.name, name) for figure in made for name in chosen(figure)}


@pytest.mark.parametrize(("make", "name", "value"), CASES)
def test_a_bad_value_is_refused_by_whoever_sets_it_and_the_old_one_stays(
    make: Callable, name: str, value
):
    figure = make()
    old, page = getattr(figure, name), figure.to_html()
    with pytest.raises(traitlets.TraitError) as refused:
        setattr(figure, name, value)
    if "instance contains" not in str(
        refused.value
    ):  # of another type, which traitlets refuses
        assert isinstance(refused.value, BadValue)
    assert getattr(figure, name) == old
    with pytest.raises(traitlets.TraitError):
        figure.set_state({name: value})  # as a front end does
    assert getattr(figure, name) == old
    figure.comm = None
    assert figure.to_html() == page


@pytest.mark.parametrize("make", MAKERS)
def test_scalars_of_numpy_and_torch_are_numbers(make: Callable):
    figure = make()
    for name in chosen(figure):
        trait, value = figure.traits()[name], getattr(figure, name)
        if not isinstance(trait, Whole | Number) or value is None:
            continue
        for given in (np.asarray(value)[()], np.asarray(value), torch.tensor(value)):
            setattr(figure, name, given)
            assert type(getattr(figure, name)) is type(value)
            assert getattr(figure, name) == pytest.approx(value)
        if isinstance(trait, Whole):
            with pytest.raises(traitlets.TraitError):
                setattr(figure, name, np.float64(value + 0.5))
