"""Rollout: rows sum to 1, the order of the layers, and the residual connection."""

import pytest
import torch
from torch.testing import assert_close

from attn_lib import rollout


def layers(count: int, n: int = 5) -> list:
    return [torch.rand(2, 3, n, n).softmax(-1) for _ in range(count)]


def test_each_row_sums_to_1():
    assert_close(rollout(layers(4)).sum(-1), torch.ones(2, 5))


def test_it_is_the_product_of_halved_layers_with_the_first_rightmost():
    first, second = layers(2)
    eye = torch.eye(5)
    halved = [(eye + weights.mean(1)) / 2 for weights in (first, second)]
    assert_close(rollout([first, second]), halved[1] @ halved[0])
    assert not torch.allclose(rollout([first, second]), rollout([second, first]))


def test_layers_that_look_only_at_themselves_leave_each_token_itself():
    eye = torch.eye(5).expand(1, 2, 5, 5)
    assert_close(rollout([eye] * 6), torch.eye(5)[None])


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        ([], r"got \[\]"),
        ([torch.ones(1, 2, 3, 4)], r"\(1, 2, 3, 4\)"),
        ([torch.ones(1, 2, 3, 3), torch.ones(1, 2, 4, 4)], r"\(1, 2, 4, 4\)"),
    ],
)
def test_layers_that_do_not_fit_are_refused(maps, message, unchecked):
    with pytest.raises(ValueError, match=message):
        rollout(maps)


def test_dictionaries_views_and_stacks_compose():
    maps = {str(i): weights for i, weights in enumerate(layers(3))}
    wanted = rollout(list(maps.values()))
    for form in (maps, maps.values(), tuple(maps.values()), torch.stack(list(maps.values()))):
        assert_close(rollout(form), wanted, rtol=0, atol=0)


def test_maps_of_one_head_compose():
    maps = [weights[:, 0] for weights in layers(3)]
    wanted = rollout([weights[:, None] for weights in maps])
    assert_close(rollout(maps), wanted, rtol=0, atol=0)
    assert_close(rollout([maps[0], maps[1][:, None], maps[2]]), wanted, rtol=0, atol=0)


def test_what_composes_to_no_layers_is_refused(unchecked):
    one = layers(1)[0]
    with pytest.raises(ValueError, match=r"got one tensor \(2, 3, 5, 5\)"):
        rollout(one)
    with pytest.raises(ValueError, match=r"got one tensor \(2, 5, 5\)"):
        rollout(one[:, 0])
    with pytest.raises(ValueError, match=r"got \[\(5, 5\)\]"):
        rollout([one[0, 0]])
    message = r"maps \[\(2, 3, 5, 5\)\], gradients \[\(2, 1, 5, 5\)\]"
    with pytest.raises(ValueError, match=message):
        rollout([one], [one[:, :1]])
