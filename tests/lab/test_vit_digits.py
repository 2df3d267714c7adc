"""The transformer on digits: its stem, its maps, and what was measured of them."""

import json

import pytest
import torch
from torch.testing import assert_close

from attn_lib import record, rollout
from attn_lib.data import cluttered_digits
from attn_lib.lab import vit_digits, zoo
from attn_lib.lab.networks import StemViT
from attn_lib.lab.vit_digits import NETWORKS, gradient_attention, maps_of


def small(**options) -> StemViT:
    return StemViT(16, 3, dim=8, depth=2, heads=2, mlp_dim=8, dim_head=4, **options).eval()


def test_a_stem_vit_is_its_equation():
    network, images = small(), torch.rand(2, 3, 16, 16)
    tokens = network.stem(images).flatten(2).mT
    wanted = network.classifier(network.transformer(tokens + network.positions).mean(1))
    assert_close(network(images), wanted)


def test_without_positions_the_order_of_tokens_tells_nothing(unchecked):
    images = torch.rand(2, 3, 16, 16)
    for positions in (True, False):
        network = small(positions=positions)
        logits, grid = network(images), network.stem(images)
        network.stem = torch.nn.Identity()
        shuffled = grid.flatten(2)[..., torch.randperm(16)].view_as(grid)
        assert torch.allclose(network(shuffled), logits, atol=1e-5) is not positions
    assert torch.equal(
        torch.cat([p.flatten() for p in seeded(True).parameters()]),
        torch.cat([p.flatten() for p in seeded(False).parameters()]),
    )


def seeded(positions: bool) -> StemViT:
    torch.manual_seed(0)
    return small(positions=positions)


def test_every_parameter_of_a_stem_vit_learns():
    network = small().double().train()
    y = network(torch.rand(4, 3, 16, 16).double())
    (y * torch.randn_like(y)).sum().backward()
    assert all(parameter.grad.abs().max() > 1e-12 for parameter in network.parameters())


@pytest.mark.parametrize("size", [0, 18, -4])
def test_a_size_that_cuts_a_token_is_refused(size: int):
    with pytest.raises(ValueError, match=f"multiples of 4; got {size}"):
        StemViT(size)


def test_gradient_attention_is_the_derivative_of_the_answer():
    network = small().double()
    images = torch.rand(2, 3, 16, 16).double()
    layer = network.transformer.layers[0][0]
    found = gradient_attention(network, layer, images)
    tokens = network.stem(images).flatten(2).mT + network.positions
    weights = layer.attention(tokens).detach()
    answer = network(images).argmax(1)

    def score(changed: torch.Tensor) -> torch.Tensor:
        hook = layer.register_forward_hook(lambda m, args, y: m.reweight(*args, changed))
        logits = network(images)
        hook.remove()
        return logits.gather(1, answer[:, None])[:, 0].detach()

    for head, query, key in [(0, 3, 5), (1, 15, 0), (1, 7, 7)]:
        step = torch.zeros_like(weights)
        step[:, head, query, key] = 1e-4
        slope = (score(weights + step) - score(weights - step)) / 2e-4
        wanted = (slope * weights[:, head, query, key]).clamp(min=0)
        assert_close(found[:, head, query, key], wanted, atol=1e-9, rtol=1e-4)


def test_gradient_attention_leaves_the_model_as_it_was():
    network, images = small(), torch.rand(2, 3, 16, 16)
    before = network(images)
    gradient_attention(network, network.transformer.layers[1][0], images)
    assert torch.equal(network(images), before)
    assert all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.parametrize("name", sorted(NETWORKS.keys() - {"stem alone"}))
def test_maps_are_where_all_tokens_look(name: str):
    torch.manual_seed(0)
    network, images = NETWORKS[name]().eval(), torch.rand(3, 3, 40, 40)
    logits, maps = maps_of(network, images)
    side = 8 if name == "patches" else 10
    assert_close(logits, network(images))
    assert list(maps) == [
        "layer 1", "layer 1, head 1", "layer 1, head 2",
        "layer 2", "layer 2, head 1", "layer 2, head 2", "rollout", "gradient × attention",
    ]  # fmt: skip
    assert all(map_.shape == (3, side, side) and (map_ >= 0).all() for map_ in maps.values())
    with record(network) as recorded:
        network(images)
    first, second = recorded.values()
    assert_close(maps["layer 2"], second.mean((1, 2)).view(3, side, side))
    assert_close(maps["layer 1, head 2"], first[:, 1].mean(1).view(3, side, side))
    assert_close(maps["rollout"], rollout([first, second]).mean(1).view(3, side, side))


def test_a_stem_alone_has_an_accuracy_and_no_maps():
    network, data = NETWORKS["stem alone"]().eval(), cluttered_digits("test", 64)
    scores = vit_digits.evaluate(network, data)
    right = (network(data.images).argmax(1) == data.labels).float().mean().item()
    assert scores == {"accuracy": pytest.approx(right), "maps": {}}


def test_the_command_writes_results_and_a_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(
        vit_digits, "cluttered_digits", lambda split="train", *_, seed=0: cluttered_digits(split, 128, seed=seed)
    )  # fmt: skip
    monkeypatch.setattr(
        "sys.argv", ["v", "--seeds", "1", "--steps", "1", "--folder", str(tmp_path)]
    )
    vit_digits.main()
    runs = json.loads((tmp_path / "vit.json").read_text())["runs"]
    assert [run["arm"] for run in runs] == list(NETWORKS)
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    again = vit_digits.evaluate(zoo.load("vit_digits"), cluttered_digits("test", 128, seed=1))
    assert again["accuracy"] == pytest.approx(runs[0]["accuracy"], abs=1e-4)
