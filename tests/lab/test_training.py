"""Training lowers the loss the same way every time, and scores are what they say."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from attn_lib import available
from attn_lib.data import LocatedImages, cluttered_digits
from attn_lib.lab.controls import CONTROLS
from attn_lib.lab.networks import HostCNN
from attn_lib.lab.training import (
    accuracy,
    evaluate,
    fit,
    look,
)


def tiny_run(seed: int = 0, **options) -> tuple[nn.Module, list[float]]:
    torch.manual_seed(0)
    model = HostCNN("self_attention", width=4)
    data = cluttered_digits("train", 256, size=20, fragments=0)
    trace = fit(
        model,
        data,
        steps=80,
        batch_size=32,
        learning_rate=1e-2,
        seed=seed,
        progress=False,
        **options,
    )
    return model, trace


def test_fit_lowers_the_loss():
    model, losses = tiny_run()
    assert len(losses) == 80
    assert sum(losses[-5:]) / 5 < sum(losses[:5]) / 5 - 0.3
    assert not model.training


def test_the_seed_of_fit_decides_the_order_of_the_images():
    first, again, other = tiny_run()[1], tiny_run()[1], tiny_run(seed=1)[1]
    assert first == again != other


def test_fit_collects_what_watch_sees_before_each_step():
    model, seen = tiny_run(watch=lambda model: model.slot.gamma.item())
    assert len(seen) == 80 and seen[0] == 0
    assert seen[1] != 0 and model.slot.gamma.item() != seen[-1]


@pytest.mark.parametrize("slot", [*available(), *CONTROLS])
def test_all_but_the_slot_starts_equal_whatever_it_holds(slot: str):
    states = []
    for name in ("none", slot):
        torch.manual_seed(3)
        states.append(HostCNN(name).state_dict())
    without, with_slot = states
    assert set(with_slot) - set(without) == {
        key for key in with_slot if key.startswith("slot.")
    }
    assert all(torch.equal(without[key], with_slot[key]) for key in without)


def test_accuracy_is_the_share_of_right_answers():
    class Brightest(nn.Module):
        slot = nn.Identity()

        def __init__(self):
            super().__init__()
            self.unused = nn.Parameter(torch.zeros(1))

        def forward(self, images):
            return images.mean((2, 3))

    images = torch.eye(3)[[0, 1, 2, 0]][:, :, None, None].expand(4, 3, 2, 2)
    data = LocatedImages(images, torch.tensor([0, 1, 2, 1]), torch.tensor([[0, 0, 1, 1]] * 4))
    assert evaluate(Brightest(), data, batch_size=3) == {"accuracy": 0.75}


def test_fit_trains_by_any_loss_on_any_data():
    class Numbers:
        def __len__(self) -> int:
            return 64

        def __getitem__(self, indices: torch.Tensor) -> torch.Tensor:
            return indices.float()[:, None] / 64

    torch.manual_seed(0)
    model = nn.Linear(1, 1)
    losses = fit(
        model,
        Numbers(),
        loss=lambda model, x: F.mse_loss(model(x), 3 * x - 1),
        steps=400,
        batch_size=16,
        learning_rate=3e-2,
        progress=False,
    )
    assert losses[-1] < 1e-2 < losses[0]
    assert model(torch.tensor([[0.5]])).item() == pytest.approx(0.5, abs=0.05)


def test_data_without_boxes_and_networks_without_maps_have_no_localisation():
    data = cluttered_digits("test", 20, size=20)
    nowhere = LocatedImages(data.images, data.labels)
    attentive = HostCNN("self_attention", width=4).eval()
    assert set(evaluate(attentive, data)) == {"accuracy", "received", "from_object"}
    for model, some in (
        (attentive, nowhere),
        (HostCNN(width=4), data),
        (HostCNN("pointwise"), data),
    ):
        assert evaluate(model, some) == {"accuracy": accuracy(model, some)}
    assert set(evaluate(HostCNN("squeeze_excitation"), data)) == {"accuracy"}
    with pytest.raises(ValueError, match="these data have no boxes"):
        look(attentive, nowhere)


@pytest.mark.parametrize(
    "options, name",
    [
        ({"slot": "cbam"}, "gate"),
        ({"readout": "attention"}, "pooling"),
        ({"slot": "non_local"}, "received"),
    ],
    ids=str,
)
def test_batches_do_not_change_what_is_seen(options: dict, name: str):
    data = cluttered_digits("test", 20, size=20)
    model = HostCNN(width=4, **options)
    right, maps = look(model, data)
    in_parts, same = look(model, data, batch_size=7)
    assert torch.equal(right, in_parts)
    torch.testing.assert_close(maps[name], same[name])
    assert right.float().mean().item() == pytest.approx(evaluate(model, data)["accuracy"])
