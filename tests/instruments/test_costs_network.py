"""`cost` of a network is the sum over the mechanisms that run in it, each where it runs; nothing is computed."""

import re

import pytest
import torch
from torch import Tensor, nn

from attn_lib import CBAM, AttentionModule, SqueezeExcitation, cost


class Network(nn.Module):
    """A mechanism that runs twice, one made of others, one that never runs, and a dropout."""

    def __init__(self):
        super().__init__()
        self.gate, self.cbam = SqueezeExcitation(8), CBAM(8)
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.Dropout(0.5))
        self.unused = SqueezeExcitation(8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.gate(self.stem(x))
        return self.gate(self.cbam(x)[..., ::2, ::2])


class Bright(AttentionModule):
    """A mechanism of somebody's own."""

    def attention(self, x: Tensor) -> Tensor:
        return x.sigmoid()


def test_of_a_network_all_mechanisms_are_counted_where_they_run():
    network, shape = Network(), (2, 3, 20, 12)
    state = {key: value.clone() for key, value in network.state_dict().items()}
    after = torch.get_rng_state()
    found = cost(network, shape)
    assert set(found.parts) == {"gate", "cbam"}
    assert found.parts["cbam"] == cost(network.cbam, (2, 8, 10, 6))
    gates = [cost(network.gate, (2, 8, h, w)) for h, w in ((10, 6), (5, 3))]
    cbam = found.parts["cbam"]
    assert found.parameters.value == gates[0].parameters.value + cbam.parameters.value
    for count in ("multiply_adds", "activations"):
        values = [getattr(each, count).value for each in (*gates, cbam)]
        assert getattr(found, count).value == sum(values)
        assert getattr(found.parts["gate"], count).value == sum(values[:2])
    assert network.training and network.stem.training and not network.gate._forward_pre_hooks
    assert torch.equal(torch.get_rng_state(), after)
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())


def test_a_network_s_weights_may_be_anywhere_and_in_any_precision():
    wanted = cost(Network(), (2, 3, 20, 12))
    assert cost(Network().bfloat16(), (2, 3, 20, 12)) == wanted
    assert cost(Network().to("meta"), (2, 3, 20, 12)) == wanted


@pytest.mark.parametrize(
    "network, shape, wanted",
    [
        (Network(), (2, 4, 20, 12), "does not run on one tensor of shape (2, 4, 20, 12): "),
        (Network(), (), "does not run on one tensor of shape (): "),
        (nn.Conv2d(3, 8, 1), (1, 3, 4, 4), "no mechanism of the library runs in Conv2d"),
        (nn.Sequential(Bright()), (1, 2), "no formula for Bright; there are Attention, "),
    ],
    ids=str,
)
def test_a_network_that_cannot_be_counted_is_refused(network, shape, wanted: str):
    with pytest.raises(ValueError, match=re.escape(wanted)):
        cost(network, shape)
    assert network.training and not any(part._forward_pre_hooks for part in network.modules())
