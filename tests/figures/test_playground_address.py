"""A Playground of several networks carries its canvas in the page's address, and takes none that is damaged."""

import re

import pytest
from playing import drag, middle, opened, scale, settled, state, thing


def test_the_address_carries_the_canvas(visit, playgrounds):
    page = opened(visit, playgrounds, "small_together")
    drag(page, middle(thing(page)), (5 * scale(page), -3 * scale(page)))
    page.get_by_label("Pointer").select_option("paints")
    page.locator(".attn-canvas canvas").click(position={"x": 20, "y": 20})
    page.wait_for_function("location.hash.length > 100")
    address = page.evaluate("location.hash")
    names = ("place", "paint", "digit", "scrap_places", "scraps", "noise", "side")
    sent = {name: state(page, name) for name in names}
    assert sent["place"] == [3, 17] and sent["paint"]
    other = opened(visit, playgrounds, "small_together")
    other.evaluate("hash => { location.hash = hash; }", address)
    other.wait_for_function(
        "document.querySelector('network-playground').model.get('place')[1] === 17"
    )
    assert {name: state(other, name) for name in names} == sent
    other.reload()
    settled(other)
    assert {name: state(other, name) for name in names} == sent


@pytest.mark.parametrize(
    "change",
    [
        lambda hash_: hash_[:20],
        lambda hash_: hash_.replace("=", "=9999.", 1),
        lambda hash_: hash_ + ".1",
        lambda hash_: hash_ + ".<b>",
        lambda hash_: hash_ + "." + "A" * 152,
        lambda hash_: hash_.replace(".", ".-1.", 1),
        lambda hash_: re.sub(r"=\d+", "=12", hash_),
        lambda hash_: re.sub(r"(=\d+\.)\d+", r"\g<1>13", hash_),
        lambda hash_: re.sub(r"\d+$", "29", hash_),
        lambda hash_: "#canvas=",
    ],
)
def test_a_damaged_address_gives_the_first_canvas(visit, playgrounds, change):
    page = opened(visit, playgrounds, "small_together")
    first = {name: state(page, name) for name in ("digit", "place", "scrap_places", "paint")}
    address = page.evaluate(
        """() => {
          const model = document.querySelector("network-playground").model;
          const names = ["digit", "place", "side", "scraps", "noise", "scrap_places"];
          const [digit, place, side, scraps, noise, places] = names.map(name => model.get(name));
          return "#canvas=" + [digit, 1, 1, side, scraps, noise, ...places.flat()].join(".");
        }"""
    )
    page.evaluate("hash => { location.hash = hash; }", address)
    page.wait_for_function(
        "document.querySelector('network-playground').model.get('place')[0] === 1"
    )
    page.evaluate("hash => { location.hash = hash; }", change(address))
    page.wait_for_function(
        "document.querySelector('network-playground').model.get('place')[0] !== 1"
    )
    assert {name: state(page, name) for name in first} == first
