"""Training lowers the loss the same way every time, and scores are what they say."""

import copy
import re
import warnings
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from places import BOOK
from torch import nn
from torch.utils.data import (
    DataLoader,
    IterableDataset,
    Subset,
    TensorDataset,
    WeightedRandomSampler,
)

from attn_lib import SpatialGate, available
from attn_lib.data import LocatedImages, Pictures, cluttered_digits
from attn_lib.lab.controls import CONTROLS
from attn_lib.lab.networks import HostCNN
from attn_lib.lab.scoring import accuracy, calibrate, evaluate, look
from attn_lib.lab.training import classify, fit


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


def pairs(count: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    digits = cluttered_digits("train", count, size=20, fragments=0)
    return digits.images, digits.labels


@pytest.mark.parametrize(
    "made",
    [
        lambda images, labels: TensorDataset(images, labels),
        lambda images, labels: DataLoader(TensorDataset(images, labels), 16, shuffle=True),
        lambda images, labels: list(zip(images, labels.tolist(), strict=True)),
        lambda images, labels: Subset(TensorDataset(images, labels), range(40)),
        lambda images, labels: Pictures(TensorDataset(images, labels)),
    ],
    ids=["TensorDataset", "DataLoader", "list", "Subset", "Pictures"],
)
def test_fit_and_scores_take_pairs_as_they_take_located_images(made):
    def trained(data) -> tuple[list[float], float]:
        torch.manual_seed(0)
        model = HostCNN(width=4)
        options = {} if isinstance(data, DataLoader) else {"batch_size": 16}
        losses = fit(model, data, steps=6, progress=False, **options)
        assert evaluate(model, data) == {"accuracy": accuracy(model, data)}
        return losses, accuracy(model, data)

    images, labels = pairs()
    assert trained(made(images, labels)) == trained(LocatedImages(images, labels))


class Endless(IterableDataset):
    def __iter__(self):
        yield from zip(*pairs(), strict=True)


@pytest.mark.parametrize(
    "made, wanted",
    [
        (lambda: pairs(), r"of a tuple of tensors make TensorDataset\(images, labels\)"),
        (lambda: "pictures", "got a str"),
        (lambda: {"images": 1}, "got a dict"),
        (lambda: Endless(), "got an IterableDataset, which has no order to draw"),
        (lambda: pairs()[0], "fit wants images with labels: .*got batches of Tensor"),
        (lambda: DataLoader(TensorDataset(*pairs()), sampler=WeightedRandomSampler([1.0] * 40, 40)), "this one has a WeightedRandomSampler"),
        (lambda: DataLoader(TensorDataset(*pairs()), 4, collate_fn=len), "collate_fn=len: give fit the dataset"),
        (lambda: TensorDataset(pairs()[0]), r"\(image, label\) pairs are wanted.*got tuple"),
    ],
    ids=["tensors", "str", "dict", "iterable", "images", "sampler", "collate", "no labels"],
)  # fmt: skip
def test_fit_says_at_once_what_data_it_wants(made, wanted: str, unchecked):
    steps = []
    with pytest.raises(ValueError, match=wanted):
        fit(HostCNN(width=4), made(), batch_size=8, progress=False, watch=steps.append)
    assert len(steps) <= 1


def test_with_few_images_the_usual_batch_is_all_of_them_and_it_says_so():
    sizes = []

    def loss(model: nn.Module, batch: LocatedImages) -> torch.Tensor:
        sizes.append(len(batch))
        return classify(model, batch)

    few = LocatedImages(*pairs(20))
    with pytest.warns(UserWarning, match="there are 20 images: fit takes 20 a step, not 128"):
        fit(HostCNN(width=4), few, loss=loss, steps=2, progress=False)
    enough = LocatedImages(*pairs(130))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(HostCNN(width=4), enough, loss=loss, steps=1, progress=False)
    assert sizes == [20, 20, 128]


class Plain(nn.Module):
    """A network of somebody's own: nothing in it is called features."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, 2, 1))
        self.gate, self.head = SpatialGate(), nn.Linear(8, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.gate(self.body(images)).mean((2, 3)))


def test_a_network_without_features_says_where_its_maps_lie():
    data, model = cluttered_digits("test", 20, size=20), Plain()
    scores = evaluate(model, data, layer="body.1")
    assert set(scores) == {"accuracy", "gate"} and model.gate.training is False
    assert scores == evaluate(model, data, layer="body")
    with pytest.raises(
        ValueError, match=r"Plain has no layer 'features': .* there are body, gate, head"
    ):
        evaluate(model, data)
    with pytest.raises(ValueError, match=r"gives \(b, c, h, w\); 'head' gave \[\(1, 10\)\]"):
        evaluate(model, data, layer="head")


def test_the_page_s_example_of_one_s_own_images_runs(tmp_path: Path, monkeypatch, capsys):
    page = (BOOK / "appendix" / "api_lab.md").read_text()
    (example,) = [
        code
        for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL)
        if "folder(" in code
    ]
    assert len(example.strip().splitlines()) <= 12
    for i in range(10):
        path = tmp_path / "pictures" / ("cat", "dog")[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30), (25 * i, 0, 0)).save(path)
    monkeypatch.chdir(tmp_path)
    with pytest.warns(UserWarning, match="there are 8 images"):
        exec(example.replace("steps=200", "steps=2"), {})
    assert capsys.readouterr().out.startswith("['cat', 'dog'] {'accuracy': ")


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


@torch.no_grad()
def spread(model: HostCNN, data: LocatedImages) -> float:
    return copy.deepcopy(model).features(data.images).std().item()


def test_calibration_gives_a_fresh_network_the_features_that_training_finds():
    data = cluttered_digits("train", 256, size=20)
    torch.manual_seed(0)
    model = HostCNN("selective_kernel", width=4).eval()
    weights = {name: p.clone() for name, p in model.named_parameters()}
    before = spread(model.eval(), data)
    assert calibrate(model, data) is model and not model.training
    after = spread(model, data)
    wanted = spread(model.train(), data)
    assert before < 0.2 * wanted and after == pytest.approx(wanted, rel=0.05)
    assert all(torch.equal(weights[name], p) for name, p in model.named_parameters())
    assert {m.momentum for m in model.modules() if isinstance(m, nn.BatchNorm2d)} == {0.1}


def test_calibrating_what_has_no_batch_normalisation_changes_nothing():
    model = nn.Sequential(nn.Flatten(), nn.Linear(1200, 3))
    before = copy.deepcopy(model.state_dict())
    calibrate(model, cluttered_digits("train", 8, size=20))
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
