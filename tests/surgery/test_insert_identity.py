"""`identity=True`: a trained network stays what it was, until it is trained on."""

import re

import torch
from blocks import EVERYWHERE, IMAGES, every_name, network
from torch import nn
from torch.testing import assert_close

from attn_lib import SpatialGate, insert


@every_name
def test_composes_with_trained_networks_that_must_not_change(name: str):
    model, x = network(), torch.randn(IMAGES)
    before = model(x)
    torch.manual_seed(1)
    assert torch.equal(insert(model, name, EVERYWHERE, identity=True)(x), before)
    assert torch.equal(
        insert(model.train(), SpatialGate, "pool", identity=True).eval()(x), before
    )


@every_name
def test_composes_with_training_from_a_start_that_changes_nothing(name: str):
    # With one hidden unit ReLU may well let nothing through.
    options = {"reduction": 1} if name in ("cbam", "channel_gate", "squeeze_excitation") else {}
    model = insert(network(), name, EVERYWHERE, identity=True, **options).train()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    x, labels = torch.randn(8, 3, 8, 8), torch.arange(8) % 5
    for _ in range(3):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), labels).backward()
        optimizer.step()
    # A bias of the keys adds the same to a whole row of scores, and softmax forgets it.
    dead = re.compile(r"\.(key|phi)\.bias$")
    still = [n for n, p in model.named_parameters() if not p.grad.any() and not dead.search(n)]
    assert not still


def test_identity_starts_as_the_very_mechanism_with_a_gamma_beside():
    torch.manual_seed(1)
    plain = insert(network(), "cbam", "stem")
    torch.manual_seed(1)
    model = insert(network(), "cbam", "stem", identity=True)
    extra = set(model.state_dict()) - set(plain.state_dict())
    assert extra == {"stem.cbam_gamma"} and model.stem.cbam_gamma.shape == (1,)
    assert all(torch.equal(model.state_dict()[k], v) for k, v in plain.state_dict().items())
    nn.init.ones_(model.stem.cbam_gamma)
    x = torch.randn(IMAGES)
    model.load_state_dict(plain.state_dict(), strict=False)
    assert_close(model.eval()(x), plain.eval()(x))
    assert not [n for n in insert(network(), "non_local", "stem", identity=True).state_dict() if "gamma" in n]  # fmt: skip
