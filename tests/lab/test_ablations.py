"""Ablations change what a mechanism does, and only while they last."""

import pytest
import torch
from torch.testing import assert_close

from attn_lib import SelectiveKernel, SelfAttention2d, record
from attn_lib.data import paired_digits, sized_digits
from attn_lib.lab.ablations import QUERIES, instead, mean_shares, rows
from attn_lib.lab.networks import HostCNN
from attn_lib.lab.scoring import accuracy, calibrate


def test_a_mechanism_reweights_by_other_weights_for_a_while():
    module, x = SelfAttention2d(16), torch.randn(2, 16, 3, 5)
    module.gamma.data.fill_(0.7)
    before, even = module(x), torch.full((2, 15, 15), 1 / 15)
    with instead(module, lambda weights: even):
        assert_close(module(x), module.reweight(x, even))
    assert_close(module(x), before)
    with pytest.raises(RuntimeError), instead(module, lambda weights: weights[:, :, :3]):
        module(x)
    assert_close(module(x), before)


def host(slot: str, **options) -> HostCNN:
    torch.manual_seed(0)
    return HostCNN(slot, width=4, **options)


def test_behind_an_average_the_mean_row_does_what_all_rows_do():
    data = paired_digits("test", 40)
    model = calibrate(host("self_attention", num_classes=2), data)
    model.slot.gamma.data.fill_(5)
    model.slot.query.weight.data.mul_(40)  # rows that differ
    found = rows(model, data)
    assert found["own"] == found["mean"] == accuracy(model, data)
    assert len(found["one"]) == QUERIES and set(found["one"]) != {found["own"]}


def test_shares_that_do_not_depend_on_the_image_lose_nothing_by_being_averaged():
    data = sized_digits("test", 40)
    model = calibrate(host("selective_kernel", everywhere=True), data)
    for part in model.modules():
        if isinstance(part, SelectiveKernel):
            part.select.weight.data.zero_()
    assert mean_shares(model, data) == accuracy(model, data)


def test_averaged_shares_are_those_that_the_network_then_uses():
    data = sized_digits("test", 40)
    model = calibrate(host("selective_kernel"), data)
    with record(model) as maps, torch.no_grad():
        model(data.images)
    mean = maps["slot"].mean(0, keepdim=True)
    seen = []
    reweight = model.slot.reweight
    model.slot.reweight = lambda x, weights: seen.append(weights) or reweight(x, weights)
    mean_shares(model, data)
    (used,) = seen
    assert_close(used, mean.expand_as(used))
