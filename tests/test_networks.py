"""The host's slot, readout and controls are what the comparison takes them for."""

import pytest
import torch
from torch.testing import assert_close

from attn_lib import SelectiveKernel, SqueezeExcitation
from attn_lib.data import cluttered_digits
from attn_lib.networks import CONTROLS, EvenKernels, FrozenGate, HostCNN, Pointwise, StemViT
from attn_lib.training import fit


@pytest.mark.parametrize("convolutions", [HostCNN().features, StemViT().stem])
def test_a_position_has_seen_27_pixels(convolutions: torch.nn.Module):
    images = torch.zeros(1, 3, 80, 80, requires_grad=True)
    seen = convolutions.eval()(images + torch.rand(1, 3, 80, 80))
    assert seen.shape == (1, 32, 20, 20)
    seen[0, :, 10, 10].sum().backward()
    seen = images.grad[0].abs().sum(0).nonzero()
    assert (seen.amax(0) - seen.amin(0) + 1).tolist() == [27, 27]


def test_attention_as_readout_starts_as_the_average():
    hosts = []
    for readout in ("average", "attention"):
        torch.manual_seed(0)
        hosts.append(HostCNN(readout=readout).eval())
    images = torch.rand(2, 3, 40, 40)
    assert_close(hosts[0](images), hosts[1](images))
    hosts[1].readout.query.data.normal_(std=5)
    assert not torch.allclose(hosts[0](images), hosts[1](images), atol=1e-5)


def test_a_frozen_gate_stays_while_the_rest_learns():
    torch.manual_seed(0)
    model = HostCNN("frozen_gate", width=8)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    fit(model, cluttered_digits("train", 64), steps=3, batch_size=32, progress=False)
    after = model.state_dict()
    moved = {key for key in before if not torch.equal(before[key], after[key])}
    assert not any(key.startswith("slot.") for key in moved)
    assert {key for key in before if "weight" in key and "slot" not in key} <= moved


def test_a_frozen_gate_spreads_and_a_fresh_one_does_not():
    x = torch.rand(200, 32, 5, 5)
    torch.manual_seed(0)
    frozen = torch.cat([FrozenGate(32).attention(x) for _ in range(20)])
    fresh = torch.cat([SqueezeExcitation(32).attention(x) for _ in range(20)])
    assert frozen.std() > 5 * fresh.std()


def test_even_kernels_are_selective_kernels_that_do_not_select():
    torch.manual_seed(0)
    even, selective, x = EvenKernels(32), SelectiveKernel(32), torch.rand(2, 32, 9, 9)
    assert (even.attention(x) == 0.5).all()
    selective.branches.load_state_dict(even.branches.state_dict())
    half = torch.full((2, 2, 32), 0.5)
    assert_close(even.eval()(x), selective.eval().reweight(x, half))
    assert all(name.startswith("branches.") for name, _ in even.named_parameters())


def test_pointwise_starts_as_the_identity_and_positions_stay_alone():
    torch.manual_seed(0)
    module, x = Pointwise(8).eval(), torch.rand(1, 8, 5, 5)
    assert_close(module(x), x)
    module.norm.weight.data.fill_(1)
    changed = x.clone()
    changed[0, :, 2, 3] += 1
    moved = (module(changed) - module(x)).abs().sum(1)[0] > 1e-6
    assert moved.nonzero().tolist() == [[2, 3]]


@pytest.mark.parametrize("slot", CONTROLS)
def test_controls_fit_the_host(slot: str):
    assert HostCNN(slot, width=4)(torch.rand(2, 3, 28, 40)).shape == (2, 10)


def test_unknown_names_meet_the_known_ones():
    with pytest.raises(
        ValueError, match=r"no slot 'senet'; there are none, even_kernels, .*cbam"
    ):
        HostCNN("senet")
    with pytest.raises(ValueError, match="no readout 'max'; there are average, attention"):
        HostCNN(readout="max")
