"""The host's slot, readout and controls are what the comparison takes them for."""

import pytest
import torch
from torch.testing import assert_close

from attn_lib import (
    CBAM,
    EfficientChannelAttention,
    SelectiveKernel,
    SqueezeExcitation,
    record,
)
from attn_lib.data import cluttered_digits
from attn_lib.lab.controls import (
    CONTROLS,
    EvenKernels,
    FrozenGate,
    LoudGate,
    OneKernel,
    Parallel,
    Pointwise,
    PositionsFirst,
    ShuffledChannels,
)
from attn_lib.lab.networks import HostCNN, StemViT
from attn_lib.lab.training import fit


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


@pytest.mark.parametrize("slot", ["frozen_gate", "loud_gate"])
def test_a_frozen_gate_stays_while_the_rest_learns_and_a_loud_one_learns(slot: str):
    torch.manual_seed(0)
    model = HostCNN(slot, width=8)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    fit(model, cluttered_digits("train", 64), steps=3, batch_size=32, progress=False)
    after = model.state_dict()
    moved = {key for key in before if not torch.equal(before[key], after[key])}
    assert {key for key in before if "weight" in key and "slot" not in key} <= moved
    in_slot = {key for key in before if key.startswith("slot.")}
    assert in_slot & moved == (in_slot if slot == "loud_gate" else set())


def test_a_frozen_gate_starts_as_a_loud_one_and_a_fresh_one_says_less():
    x, gates = torch.rand(200, 32, 5, 5), []
    for gate in (SqueezeExcitation, LoudGate, FrozenGate):
        torch.manual_seed(0)
        gates.append(torch.cat([gate(32).attention(x) for _ in range(20)]))
    fresh, loud, frozen = gates
    assert torch.equal(loud, frozen)
    assert loud.std() > 5 * fresh.std()
    assert (loud > 0.5).equal(fresh > 0.5)


def test_a_slot_behind_every_convolution():
    hosts = []
    for everywhere in (False, True):
        torch.manual_seed(0)
        hosts.append(HostCNN("squeeze_excitation", everywhere=everywhere).eval())
    once, always = hosts
    with record(always) as maps:
        always(torch.rand(2, 3, 20, 44))
    assert {name: gate.shape[1] for name, gate in maps.items()} == {
        "features.0.slot": 16, "features.1.slot": 16, "features.2.slot": 32, "features.3.slot": 32,
        "slot": 32,
    }  # fmt: skip
    started = always.state_dict()
    assert all(torch.equal(value, started[key]) for key, value in once.state_dict().items())


def test_even_kernels_are_selective_kernels_that_do_not_select():
    torch.manual_seed(0)
    even, selective, x = EvenKernels(32), SelectiveKernel(32), torch.rand(2, 32, 9, 9)
    assert (even.attention(x) == 0.5).all()
    selective.branches.load_state_dict(even.branches.state_dict())
    half = torch.full((2, 2, 32), 0.5)
    assert_close(even.eval()(x), selective.eval().reweight(x, half))
    assert all(name.startswith("branches.") for name, _ in even.named_parameters())


@pytest.mark.parametrize("dilation", [1, 2])
def test_one_kernel_is_a_branch_of_selective_kernels_alone(dilation: int):
    one, both = OneKernel(32, dilation).eval(), EvenKernels(32).eval()
    one.branches[0].load_state_dict(both.branches[dilation - 1].state_dict())
    x = torch.rand(2, 32, 7, 9)
    assert_close(one(x), both.branches[dilation - 1](x))
    assert all(name.startswith("branches.0.") for name, _ in one.named_parameters())


def test_pointwise_starts_as_the_identity_and_positions_stay_alone():
    torch.manual_seed(0)
    module, x = Pointwise(8).eval(), torch.rand(1, 8, 5, 5)
    assert_close(module(x), x)
    module.norm.weight.data.fill_(1)
    changed = x.clone()
    changed[0, :, 2, 3] += 1
    moved = (module(changed) - module(x)).abs().sum(1)[0] > 1e-6
    assert moved.nonzero().tolist() == [[2, 3]]


def test_shuffled_channels_are_efficient_channel_attention_of_reordered_features():
    torch.manual_seed(0)
    shuffled = ShuffledChannels(32)
    torch.manual_seed(0)
    plain, x, order = EfficientChannelAttention(32), torch.rand(2, 32, 5, 5), shuffled.order
    # With one seed, only the order differs.
    assert_close(shuffled.conv.weight, plain.conv.weight)
    assert_close(shuffled(x)[:, order], plain(x[:, order]))
    assert not torch.allclose(shuffled(x), plain(x), atol=1e-4)
    assert sorted(order.tolist()) == list(range(32)) and "order" in shuffled.state_dict()


def test_without_neighbours_shuffling_changes_nothing():
    torch.manual_seed(0)
    shuffled, x = ShuffledChannels(32, kernel_size=1), torch.rand(2, 32, 5, 5)
    plain = EfficientChannelAttention(32, 1)
    plain.load_state_dict(shuffled.state_dict(), strict=False)
    assert_close(shuffled(x), plain(x))


@pytest.mark.parametrize("arranged", [PositionsFirst, Parallel])
def test_arrangements_have_the_parts_of_cbam_and_join_them_otherwise(arranged: type[CBAM]):
    torch.manual_seed(0)
    module, cbam, x = arranged(32).eval(), CBAM(32).eval(), torch.randn(2, 32, 9, 7)
    cbam.load_state_dict(module.state_dict())
    assert_close(module(x), x * module.attention(x))
    assert not torch.allclose(module(x), cbam(x), atol=1e-4)
    gates = module.channel.attention, module.spatial.attention
    of_channels, of_positions = (gate(x) for gate in gates)
    if arranged is PositionsFirst:
        of_channels = gates[0](of_positions * x)
    assert_close(module(x), of_channels * of_positions * x)


@pytest.mark.parametrize("slot", CONTROLS)
def test_controls_fit_the_host(slot: str):
    assert HostCNN(slot, width=4)(torch.rand(2, 3, 28, 40)).shape == (2, 10)


def test_unknown_names_meet_the_known_ones():
    with pytest.raises(
        ValueError, match=r"no slot 'senet'; there are none, even_kernels, .*loud_gate, .*cbam"
    ):
        HostCNN("senet")
    with pytest.raises(ValueError, match="no readout 'max'; there are average, attention"):
        HostCNN(readout="max")
