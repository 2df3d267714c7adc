"""What comes to a figure from elsewhere: taken for what it is, or refused, and the old value stays."""

import json
import math
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
import traitlets
from test_skeleton import (
    WORKING,
    attention,
    break_cbam,
    break_it,
    costs,
    frames,
    gates,
    half_gates,
    play,
    shapes,
    shares,
)

from attn_lib.figures import LivingFigure
from attn_lib.figures.base import FIGURES, page_script
from attn_lib.figures.traits import BadValue, Number, Whole

MAKERS = (
    attention,
    half_gates,
    frames,
    gates,
    shares,
    shapes,
    costs,
    play,
    break_it,
    break_cbam,
)
# For tests after which it is as before: it takes longer to make than to ask.
the_one = cache(lambda make: make())
as_page = cache(lambda make: the_one(make).to_html())
BAD = {
    Whole: (-1, 10**6),
    Number: (-0.5, 7.0, math.nan),
    traitlets.Unicode: ("nonsense!",),
    traitlets.List: ([], [10**6, -3]),
    traitlets.Dict: ({}, {"nobody": 1}),
}


def chosen(figure: LivingFigure) -> list[str]:
    """The traits that readers choose, of several values."""
    checked = figure._trait_validators
    return sorted(
        name
        for name in figure.traits(sync=True, changes=True)
        if name in checked and name != "alt"
    )


CASES = [
    pytest.param(make, name, value, id=f"{make.__name__}-{name}-{value}")
    for make in MAKERS
    for figure in [the_one(make)]
    for name in chosen(figure)
    for kind, values in BAD.items()
    if isinstance(figure.traits()[name], kind)
    for value in values
]


def test_every_figure_and_every_kind_of_choice_is_tried():
    made = [the_one(make) for make in MAKERS]
    assert {figure.name for figure in made} == {figure.name for figure in FIGURES}
    tried = {(the_one(make).name, name) for make, name, _ in (case.values for case in CASES)}
    assert tried == {(figure.name, name) for figure in made for name in chosen(figure)}


@pytest.mark.parametrize(("make", "name", "value"), CASES)
def test_a_bad_value_is_refused_by_whoever_sets_it_and_the_old_one_stays(
    make: Callable, name: str, value
):
    figure, page = the_one(make), as_page(make)
    old = getattr(figure, name)
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
        for given in (
            np.asarray(value)[()],
            np.asarray(value),
            torch.tensor(value),
            float(value),
        ):
            setattr(figure, name, given)
            assert type(getattr(figure, name)) is type(value)
            assert getattr(figure, name) == pytest.approx(value)
        for wrong in (
            True,
            np.bool_(False),
            *[np.float64(value + 0.5)] * isinstance(trait, Whole),
        ):
            with pytest.raises(traitlets.TraitError):
                setattr(figure, name, wrong)


@pytest.mark.parametrize("make", MAKERS)
def test_what_a_figure_is_made_of_stays(make: Callable):
    figure = make()
    page = figure.to_html()
    made_of = {
        name for name in figure._own_traits() if not figure.trait_metadata(name, "changes")
    }
    assert figure._own_traits() - made_of - {"alt", "fresh", "sorted"} == set(chosen(figure))
    for name in made_of:
        other = another(getattr(figure, name))
        with pytest.raises(traitlets.TraitError) as refused:
            setattr(figure, name, other)
        said = str(refused.value)
        assert re.match(f"{name} is what .* another figure|.* instance contains", said), said
        with pytest.raises(traitlets.TraitError):
            figure.set_state({name: other})
    assert figure.to_html() == page


def another(value):
    """A value of that kind which is not that one."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, list):
        return value[:-1] if value else [1]
    return {dict: {}, bytes: b"x", str: "x"}.get(type(value), 10**6)


# To a page's figure, or to a front end's, anything may be linked.
STRANGE = [None, "x", "", -1, 7, 0.5, -0.5, 10**6, True, [], [10**6, -3], {}, {"nobody": 1}]
SETTING = """async ([tag, name, values]) => {
  const figure = document.querySelector(tag), old = figure.model.get(name);
  const seen = () => figure.querySelector(".attn-living").outerHTML + [...figure.querySelectorAll("canvas")].map(canvas => canvas.toDataURL());
  const settled = async () => {
    for (let i = 0; i < 2 || figure.querySelector("WORKING"); i++) await new Promise(requestAnimationFrame);
  };
  await settled();
  const before = seen();
  for (const value of values) figure.model.set(name, value);
  await settled();
  const kept = seen() === before;
  figure.model.set(name, old);
  await settled();
  return kept;
}""".replace("WORKING", WORKING)


@pytest.mark.parametrize("make", MAKERS)
def test_what_python_refuses_the_page_ignores_and_says_so(make: Callable, alone):
    figure, told = make(), []
    page = alone(figure, page_script())
    page.on("console", lambda message: told.append(message.text))
    given = [
        *STRANGE,
        *(value for kind in BAD.values() for value in kind if not isinstance(value, float)),
    ]
    for name in chosen(figure):
        for refused in (True, False):
            told.clear()
            values = [each for each in given if refuses(figure, name, each) is refused]
            kept = page.evaluate(SETTING, [figure.tag, name, values])
            assert kept or not refused, name
            said = {line.split(";")[0] for line in told}
            wanted = {
                f"a figure cannot show {name} = {json.dumps(each, separators=(',', ':'))}"
                for each in values
                if refused
            }
            assert said == wanted, name


def refuses(figure: LivingFigure, name: str, value: object) -> bool | None:
    """Whether Python refuses a value; None of an equal one."""
    old = getattr(figure, name)
    if value == old:
        return None
    try:
        setattr(figure, name, value)
    except traitlets.TraitError:
        return True
    setattr(figure, name, old)
    return False


@pytest.mark.parametrize("make", MAKERS)
def test_the_living_figure_follows_its_words(make: Callable, alone):
    figure = make()
    page = alone(figure, page_script())
    page.evaluate(
        "([tag, alt]) => document.querySelector(tag).model.set('alt', alt)",
        [figure.tag, "What one sees is now said otherwise."],
    )
    assert (
        page.locator(".attn-living").get_attribute("aria-label")
        == "What one sees is now said otherwise."
    )


def test_a_figure_of_choices_alone_is_one(monkeypatch, tmp_path: Path):
    """Somebody's own, beside its script, with nothing that stays."""
    monkeypatch.setattr("attn_lib.figures.base.FIGURES", [])
    monkeypatch.setattr("attn_lib.figures.base._own_file", lambda *_: "export default {};")

    class Own(LivingFigure):
        name = "own"
        count = Whole().tag(sync=True, changes=True)

        def skeleton(self, live: bool = False):
            return ["p", {}, str(self.count)]

    figure = Own(alt="A number that one may change.")
    figure.count = 3
    assert "<p>3</p>" in figure.to_html()


def test_a_picture_that_does_not_load_is_said(alone):
    """As where a host's policy refuses pictures within a page."""
    figure = attention()
    page = alone(
        figure, page_script().replace("{ src }", "{ src: 'data:image/webp;base64,AAAA' }")
    )
    said = page.get_by_role("alert")
    said.first.wait_for()
    assert said.first.inner_text() == figure.phrases["missing"]
