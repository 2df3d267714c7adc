"""Real data sets come as located images, or say what to install."""

import sys
from pathlib import Path

import machine
import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import datasets

from attn_lib.data import REAL, real, real_images


@pytest.fixture(autouse=True)
def fresh():
    """Nothing that another test has loaded."""
    real_images.cache_clear()


here = pytest.mark.skipif(
    not machine.clothes(), reason="no Fashion-MNIST: `make machine` says what to install"
)


@pytest.mark.slow
@here
@pytest.mark.parametrize(
    "split, count", {"train": 54_000, "validation": 6_000, "test": 10_000}.items()
)
def test_fashion_is_whole(split: str, count: int):
    clothes = real_images("fashion_mnist", split)
    assert clothes.images.shape == (count, 3, 28, 28) and clothes.boxes is None
    assert clothes.images.min() == 0 and clothes.images.max() == 1
    counts = clothes.labels.bincount(minlength=10)
    assert (counts - count / 10).abs().max() < count / 100
    assert split != "test" or (counts == 1_000).all()


@pytest.mark.slow
@here
def test_fashion_is_what_the_library_says():
    said = REAL["fashion_mnist"]
    parts = {
        split: real_images("fashion_mnist", split) for split in ("train", "validation", "test")
    }
    assert len(parts["train"]) + len(parts["validation"]) == said.train
    assert len(parts["test"]) == said.test and parts["test"].images.shape[2] == said.pixels
    assert len(parts["test"].labels.unique()) == said.classes
    on_disk = sum(path.stat().st_size for path in machine.clothes().glob("*.gz"))
    assert round(on_disk / 1e6) == said.megabytes


@pytest.mark.slow
@here
def test_the_splits_of_fashion_share_no_image():
    seen = [
        {image.numpy().tobytes() for image in real_images("fashion_mnist", split).images[:, 0]}
        for split in ("train", "validation")
    ]
    assert len(seen[0] & seen[1]) < 20  # the set itself holds a few images twice


@here
def test_fashion_comes_in_other_sizes_and_numbers():
    large = real_images("fashion_mnist", "test", 5, size=56)
    assert large.images.shape == (5, 3, 56, 56) and len(large) == 5
    small = torch.nn.functional.avg_pool2d(large.images, 2)
    assert (small - real_images("fashion_mnist", "test", 5).images).abs().mean() < 0.05


def photograph(path: Path, colour: tuple[int, ...]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (90, 60), colour).save(path)


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Four pictures, 90×60, laid out as the Oxford pets are: each pet fills x from 30 to 60, y from 0 to 30."""
    root = tmp_path / "oxford-iiit-pet"
    names = [f"pet_{i}" for i in range(4)]
    (root / "annotations" / "trimaps").mkdir(parents=True)
    trimap = np.full((60, 90), 2, dtype=np.uint8)
    trimap[:30, 30:60] = 3  # the border belongs to the pet
    trimap[5:25, 35:55] = 1
    for name in names:
        photograph(root / "images" / f"{name}.jpg", (200, 100, 50))
        Image.fromarray(trimap).save(root / "annotations" / "trimaps" / f"{name}.png")
    for part in ("trainval", "test"):
        lines = "".join(f"{name} {i + 1} 1 1\n" for i, name in enumerate(names))
        (root / "annotations" / f"{part}.txt").write_text(lines)
    return tmp_path


def test_pets_have_the_boxes_of_their_masks(pets: Path):
    test = real_images("oxford_pets", "test", size=20, folder=pets)
    assert test.images.shape == (4, 3, 20, 20) and test.labels.tolist() == [0, 1, 2, 3]
    # Cut to x from 15 to 75 and shrunk by three: the pet is left with x from 5 to 15, y from 0 to 10.
    assert test.boxes.tolist() == [[5, 0, 15, 10]] * 4
    assert test.images[0].mean((1, 2)) * 255 == pytest.approx([200, 100, 50], abs=3)


def test_imagenette_is_read_from_its_folder(tmp_path: Path):
    for part in ("train", "val"):
        for i, kind in enumerate(datasets.Imagenette._WNID_TO_CLASS):
            photograph(tmp_path / "imagenette2-160" / part / kind / f"{i}.JPEG", (i, 0, 0))
    test = real_images("imagenette", "test", size=16, folder=tmp_path)
    assert test.images.shape == (10, 3, 16, 16) and test.labels.tolist() == list(range(10))
    assert len(real_images("imagenette", "train", folder=tmp_path)) == 9
    assert len(real_images("imagenette", "validation", folder=tmp_path)) == 1


def test_cifar_is_asked_for_both_of_its_parts(tmp_path: Path, monkeypatch):
    asked = []

    def cifar(folder: Path, train: bool, download: bool) -> datasets.FakeData:
        asked.append((folder, train, download))
        return datasets.FakeData(20, (3, 32, 32), 100)

    monkeypatch.setattr(datasets, "CIFAR100", cifar)
    assert real_images("cifar100", "train", folder=tmp_path).images.shape == (18, 3, 32, 32)
    assert len(real_images("cifar100", "test", folder=tmp_path)) == 20
    assert asked == [(tmp_path, True, True), (tmp_path, False, True)]


@pytest.mark.parametrize("name", REAL)
def test_without_network_or_torchvision_the_error_says_what_to_install(
    name: str, tmp_path, monkeypatch
):
    monkeypatch.setattr(real, "DEBIAN", tmp_path / "nowhere")
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(
        FileNotFoundError, match=r"pip install torchvision.*dataset-fashion-mnist"
    ):
        real_images(name, folder=tmp_path)


@pytest.mark.parametrize("failure", [OSError("no route to host"), RuntimeError("not found")])
def test_a_download_that_fails_says_what_to_install(failure: Exception, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise failure

    monkeypatch.setattr(datasets, "CIFAR100", refuse)
    wanted = rf"could not download it: {failure}. Without a network, .*dataset-fashion-mnist.*cluttered_digits"
    with pytest.raises(FileNotFoundError, match=wanted):
        real_images("cifar100", folder=tmp_path)


@pytest.mark.parametrize(
    "arguments, wanted",
    [
        (
            ("mnist",),
            "no 'train' of 'mnist'; there are train, validation, test of fashion_mnist",
        ),
        (("cifar100", "val"), "no 'val' of 'cifar100'"),
        (("cifar100", "test", 0), "at least 1; got size=None, count=0"),
    ],
)
def test_bad_arguments_are_named(arguments: tuple, wanted: str):
    with pytest.raises(ValueError, match=wanted):
        real_images(*arguments)
