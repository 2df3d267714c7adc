"""Playground in Python: what it shows is what the network says, and what it cannot show it refuses."""

import gzip

import numpy as np
import pytest
import torch
from test_skeleton import ALT, MOVED, PAINT, examples, play, play_together, shaken

from attn_lib.data import cluttered_digits, digit_examples
from attn_lib.figures import Playground
from attn_lib.figures.playground.canvas import enlarge
from attn_lib.figures.playground.view import View, chart_words, coverage, grid_of, note, verdict
from attn_lib.lab import zoo


def test_it_shows_what_the_network_says_of_the_canvas():
    figure = play()
    network = shaken(1, "self_attention")
    with torch.no_grad():
        shares = network(figure.image()[None])[0].softmax(0).numpy()
        weights = network.slot.attention(network.features(figure.image()[None]))[0].numpy()
    [view] = figure.views()
    assert np.abs(view.shares - shares).max() < 1e-6
    assert np.abs(view.weights.ravel() - weights.mean(0)).max() < 1e-6
    figure.query = 17
    [view] = figure.views()
    assert view.query == (1, 7) and np.abs(view.weights.ravel() - weights[17]).max() < 1e-6
    figure.network = 1
    [view] = figure.views()
    assert view.kind == "none" and view.name == "plain"
    kinds = [view.kind for view in play_together().views()]
    assert kinds == ["relation", "positions", "shares", "channels"]


def test_the_network_is_taken_as_it_is_in_evaluation_and_left_as_it_was():
    network = shaken(1, "self_attention").train()
    figure = Playground(network, examples(), alt=ALT)
    assert network.training
    before = figure.views()[0].shares
    torch.nn.init.zeros_(network.classifier.weight)
    assert np.array_equal(figure.views()[0].shares, before)


def test_canvases_are_like_those_of_the_training():
    """A trained network is right on nearly all digits on the default canvas with few scraps."""
    figure = Playground(
        zoo.load("host_self_attention"), digit_examples(), alt=ALT, scraps=2, side=17
    )
    right = 0
    for digit in range(120):
        figure.digit = digit
        [view] = figure.views()
        right += view.shares.argmax() == view.answer
    assert right >= 100
    figure.scraps = 6  # as many as those have
    ours, theirs = figure.image(), cluttered_digits("test", 100).images
    assert abs(ours.mean() - theirs.mean()) < 0.05 and abs(ours.std() - theirs.std()) < 0.05


def test_paint_lies_over_all_and_a_scrap_that_was_moved_over_the_digit():
    figure = play()
    figure.set_trait("noise", 0)
    bare = figure.image()
    figure.paint = PAINT
    changed = (figure.image() != bare).any(0)
    assert changed.sum() > 100 and (figure.image()[:, changed] - 0.9).abs().max() < 1e-6
    figure.paint = ""
    top, left = figure.place
    figure.scrap_places = [[top + 4, left + 4], *figure.scrap_places[1:]]
    [over] = [(figure.image() - bare)[:, top + 4 : top + 13, left + 4 : left + 13]]
    assert over.abs().max() > 0.1
    assert torch.equal(figure.image()[:, :top], bare[:, :top]) is False, (
        "where it was, it is not"
    )


def test_a_digit_that_grows_stays_inside():
    figure = play()
    figure.place = [22, 0]
    figure.side = 30
    assert figure.place == [10, 0] and figure.image().shape == (3, 40, 40)


@pytest.mark.parametrize(
    ("trait", "value"),
    [
        ("digit", 12), ("digit", -1), ("place", [23, 0]), ("place", [0, -1]), ("place", [1]), ("side", 9), ("side", 31),
        ("scraps", 13), ("noise", 31), ("scrap_places", MOVED[:11]), ("scrap_places", [*MOVED[:11], [32, 0]]),
        ("paint", PAINT[:-4]), ("network", 2), ("query", 1600),
    ],
)  # fmt: skip
def test_a_trait_that_is_set_to_what_there_is_not_is_refused(trait, value):
    figure = play()
    before = getattr(figure, trait)
    with pytest.raises(ValueError, match=r"got|paint"):
        setattr(figure, trait, value)
    assert getattr(figure, trait) == before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"digits": examples()[:2]}, r"got \{'network': 3\}, digits of 2 and 2 names"),
        ({"names": ["a", "b"]}, r"got \{'network': 3\}, digits of 3 and 2 names"),
        ({"digits": 2 + examples()}, r"in \[0, 1\]; got \(3, 4, 8, 8\)"),
        ({"networks": {}}, r"one network or more.*got \{\}"),
        ({"networks": shaken(1, "shuffled_channels")}, "ShuffledChannels, the layer 'slot'"),
        ({"budget": 10_000}, "its 1 networks are too many"),
        ({"digit": 12}, "digit goes from 0 to 11; got 12"),
    ],
)
def test_what_it_cannot_show_it_refuses(options, said):
    given = {"networks": shaken(1, "none"), "digits": examples(), "alt": ALT} | options
    with pytest.raises(ValueError, match=said):
        Playground(**given)


def test_a_reader_loads_little():
    trained = zoo.load("host_self_attention")
    twin = zoo.load("host_self_attention", trained=False)
    figure = Playground({"trained": trained, "untrained": twin}, digit_examples(), alt=ALT)
    assert figure.weight() < 150_000
    assert len(gzip.compress(figure.digits)) < 6_000


def test_digit_examples_are_the_first_of_each_class():
    digits = digit_examples("test", 5)
    assert digits.shape == (10, 5, 8, 8) and len(digits.flatten(0, 1).unique(dim=0)) == 50
    with pytest.raises(ValueError, match=r"test has \d+ digits of some class; got each=60"):
        digit_examples("test", 60)
    assert enlarge(16 * digits[3, 0].numpy(), 14).shape == (14, 14)


def view_of(kind: str, weights: np.ndarray, query=None) -> View:
    return View(
        "n", ["a", "b"], 1, np.array([0.25, 0.75]), kind, weights, query, (0, 0, 2, 4, 4)
    )


def test_it_says_what_it_shows():
    weights = np.array([[0.5, 0.25], [0.25, 0.0]])
    view = view_of("relation", weights, (1, 0))
    assert verdict(view) == "says b, 75 %: right"
    assert chart_words(view) == "probabilities: a 25 %, b 75 %"
    assert note(view) == (
        "query of row 2, column 1: most on row 1, column 1, 50 %; on the digit's square 50 %, evenly spread 25 %"
    )
    assert note(view_of("relation", -weights)).endswith("most on row 2, column 2, 0.0 %")
    assert note(view_of("shares", np.array([0.01, 1.0]))) == (
        "the first kernel's shares in 2 channels, 1.0 % to 100 %"
    )
    assert coverage((1, 0, 2, 4, 4), (2, 2)).tolist() == [[0.5, 0], [0.5, 0]]
    assert grid_of(100, (40, 40)) == (10, 10) and grid_of(50, (20, 37)) == (5, 10)
    assert grid_of(7, (40, 40)) == (1, 7)
