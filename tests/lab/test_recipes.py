"""The recipes build the papers' networks, and take their first steps. No more of them was run."""

import json
import re
from pathlib import Path

import pytest
import resnet50
import ten_minutes
import torch
from places import ROOT
from resnet50 import CIFAR, RECIPES, build, main, pictures
from torch import nn
from torchvision import datasets

from attn_lib.data import Pictures
from attn_lib.lab import zoo
from attn_lib.lab.checkpoint import Checkpoint

README = ROOT / "recipes" / "README.md"
each_recipe = pytest.mark.parametrize("name", RECIPES)


def parameters(name: str, **options) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in build(RECIPES[name], 1000, **options).parameters())


@pytest.mark.parametrize(
    "name, millions",
    {"cbam": 28.09, "selective_kernel": 27.5}.items(),  # tables of the two papers
)
def test_a_network_has_the_paper_s_size(name: str, millions: float):
    digits = len(str(millions).split(".")[1])
    assert round(parameters(name) / 1e6, digits) == millions


def test_gates_add_what_their_formulas_say():
    widths = [256] * 3 + [512] * 4 + [1024] * 6 + [2048] * 3
    added = {
        name: parameters(name) - parameters(name, without=True)
        for name in ("squeeze_excitation", "efficient_channel")
    }
    assert added["squeeze_excitation"] == sum(2 * c * c // 16 for c in widths)
    assert added["efficient_channel"] == 3 * 5 + 4 * 5 + 6 * 5 + 3 * 7  # its equation 12


def test_non_local_is_one_block():
    with torch.device("meta"):
        model = build(RECIPES["non_local"], 1000)
    (found,) = [name for name, _ in model.named_modules() if name.endswith("non_local")]
    assert found == "layer3.4.non_local"


@each_recipe
def test_a_network_sees_small_pictures_and_large(name: str):
    with torch.device("meta"):
        small = build(RECIPES[name], 4, small=True).eval()
        large = build(RECIPES[name], 4).eval()
        assert large(torch.empty(2, 3, 224, 224)).shape == (2, 4)
        features = nn.Sequential(*list(small.children())[:-2])
        assert features(torch.empty(2, 3, 32, 32)).shape == (2, 2048, 4, 4)


def test_selective_kernels_stride_as_the_convolution_did():
    with torch.device("meta"):
        model = build(RECIPES["selective_kernel"], 4).eval()
        assert model.layer2[0].conv2(torch.empty(2, 256, 28, 28)).shape == (2, 256, 14, 14)


def test_the_rate_falls_in_stairs():
    optimizer, schedule = RECIPES["cbam"].optimise(nn.Linear(1, 1), 0.1, steps=1000)
    rates = []
    for _ in range(1000):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert [round(rates[i], 6) for i in (0, 299, 300, 599, 600, 900)] == [
        0.1, 0.1, 0.01, 0.01, 0.001, 0.0001,
    ]  # fmt: skip


def test_two_steps_run_and_are_not_run_again(alone, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    arguments = ["squeeze_excitation", str(tmp_path), "--data", "random", "--workers", "0"]
    arguments += ["--epochs", "1", "--batch-size", "8", "--out", str(tmp_path)]
    made = main(arguments)
    name = "random_squeeze_excitation_0"
    assert {path.name for path in tmp_path.iterdir()} == {
        f"{name}.{kind}" for kind in ("checkpoint", "safetensors", "json")
    }
    card = json.loads((tmp_path / f"{name}.json").read_text())
    assert card["accuracy"] == made["accuracy"] and card["recipe"]["batch_size"] == 8
    assert f"{name}: {made['accuracy']:.4f}" in capsys.readouterr().out
    model = build(RECIPES["squeeze_excitation"], 4, small=True)
    zoo.load_weights(model, tmp_path / f"{name}.safetensors")
    trained = len(torch.load(tmp_path / f"{name}.checkpoint", weights_only=True)["trace"])
    assert trained == 2

    with monkeypatch.context() as patched:
        patched.setattr(resnet50, "classify", pytest.fail)  # what a further step would call
        assert main(arguments)["loss"] == made["loss"]

    saved = []
    monkeypatch.setattr(Checkpoint, "save", lambda self, trace: saved.append(len(trace)))
    main([*arguments, "--epochs", "2", "--every", "3"])
    assert saved == [3, 4], "the first two steps were not made again"


def test_the_folder_of_results_is_there_before_anything_is_read(tmp_path: Path, monkeypatch):
    def read(*_) -> None:
        assert (tmp_path / "a" / "b").is_dir()
        raise KeyboardInterrupt

    monkeypatch.setattr(resnet50, "pictures", read)
    with pytest.raises(KeyboardInterrupt):
        main(["cbam", "nowhere", "--data", "random", "--out", str(tmp_path / "a" / "b")])


def test_pictures_are_cut_anew_each_time_for_training_alone(tmp_path: Path, monkeypatch):
    def cifar(folder: Path, train: bool, transform, download: bool) -> datasets.FakeData:
        return datasets.FakeData(8, (3, 32, 32), 100, transform)

    monkeypatch.setattr(datasets, "CIFAR100", cifar)
    for training in (True, False):
        found = pictures("cifar100", tmp_path, training)
        first, again = (found[torch.tensor([1, 2])].images for _ in range(2))
        assert first.shape == (2, 3, 32, 32) and torch.equal(first, again) != training


def test_imagenet_is_read_from_its_folders(tmp_path: Path):
    image = datasets.FakeData(1, (3, 300, 260))[0][0]
    for part in ("train", "val"):
        (tmp_path / part / "n01440764").mkdir(parents=True)
        image.save(tmp_path / part / "n01440764" / "a.JPEG")
    for training in (True, False):
        found = pictures("imagenet", tmp_path, training)
        assert isinstance(found, Pictures) and len(found) == 1
        assert found[torch.tensor([0])].images.shape == (1, 3, 224, 224)


@each_recipe
def test_the_readme_tells_the_recipe_s_numbers(name: str):
    recipe, text = RECIPES[name], README.read_text()
    (numbers,) = re.findall(rf"^\| `{name}` \|.*?((?:\| [\d.]+ )+)\|$", text, re.MULTILINE)
    told = [float(number) for number in re.findall(r"[\d.]+", numbers)]
    assert told == [recipe.batch_size, recipe.learning_rate, recipe.epochs]
    assert (recipe.drops, recipe.weight_decay) == ((30, 60, 90), 1e-4)
    assert "Not run here" in text and "NOT RUN HERE" in resnet50.__doc__


def test_the_readme_tells_what_cifar_wants():
    for number in (CIFAR["batch_size"], CIFAR["epochs"], CIFAR["factor"], *CIFAR["drops"]):
        assert re.search(rf"CIFAR-100: .*\b{number}\b", README.read_text())


def test_ten_minutes_make_pairs_and_are_not_spent_twice(alone, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    arguments = ["efficient_channel", str(tmp_path), "--data", "random", "--workers", "0"]
    arguments += ["--epochs", "1", "--batch-size", "8", "--out", str(tmp_path)]
    made = ten_minutes.main(arguments)
    [kept] = tmp_path.glob("*.json")
    assert json.loads(kept.read_text()) == made
    arms = [(run["slot"], run["seed"]) for run in made["runs"]]
    assert arms == [(s, n) for n in (0, 1) for s in ("none", "efficient_channel")]
    more = made["runs"][1]["parameters"] - made["runs"][0]["parameters"]
    assert more == 2 * (3 + 5 + 5 + 5)  # equation 12 of the paper
    *pairs, mean = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in pairs] == ["seed 0", "seed 1"]
    assert re.fullmatch(r"efficient_channel adds [+-][\d.]+ ± [\d.]+ points \(2 pairs\)", mean)

    monkeypatch.setattr(ten_minutes, "fit", pytest.fail)
    assert ten_minutes.main(arguments) == made
    with pytest.raises(ValueError, match="begun with"):
        ten_minutes.main([*arguments, "--after", "layer4"])


def test_two_networks_of_a_pair_begin_alike(monkeypatch, tmp_path: Path):
    begun = []

    def look(model: nn.Module, *_, **__) -> None:
        begun.append({key: value.clone() for key, value in model.state_dict().items()})

    monkeypatch.setattr(ten_minutes, "fit", look)
    monkeypatch.setattr(ten_minutes, "Accelerator", lambda **_: None)
    monkeypatch.setattr(ten_minutes, "accuracy", lambda *_: 0.5)
    args = ten_minutes.parse(["cbam", str(tmp_path), "--data", "random"])
    for slot in ("none", "cbam"):
        ten_minutes.train(args, slot, seed=3)
    without, added = begun
    added = {key.replace(".layer.", "."): value for key, value in added.items()}
    assert len(added) > len(without)
    assert all(torch.equal(added[key], value) for key, value in without.items())


def test_a_pair_of_equal_seeds_is_told_by_its_difference():
    scores = {"none": (0.5, 0.6), "cbam": (0.51, 0.63)}
    runs = [
        {"slot": slot, "seed": seed, "accuracy": score}
        for slot, each in scores.items()
        for seed, score in enumerate(each)
    ]
    assert ten_minutes.told(runs, "cbam").splitlines() == [
        "seed 0: 50.00 % without, 51.00 % with, +1.00",
        "seed 1: 60.00 % without, 63.00 % with, +3.00",
        "cbam adds +2.00 ± 12.71 points (2 pairs)",
    ]
    alone = ten_minutes.told([run for run in runs if run["seed"] == 0], "cbam")
    assert alone == "seed 0: 50.00 % without, 51.00 % with, +1.00"
