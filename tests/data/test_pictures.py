"""Images of one's own become batches, or it is said at once what is wrong with them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset, random_split

from attn_lib.data import LocatedImages, Pictures, folder


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Two dogs, one deeper down, and a cat; a note and a hidden folder beside them."""
    for name, colour, size in (
        ("dog/b.png", (255, 0, 0), (30, 20)),
        ("dog/more/a.JPG", (0, 255, 0), (9, 50)),
        ("cat/c.webp", (0, 0, 255), (16, 16)),
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, colour).save(path)
    (tmp_path / "dog" / "notes.txt").write_text("no picture")
    (tmp_path / ".cache").mkdir()
    return tmp_path


def test_a_folder_s_classes_and_files_are_in_alphabetical_order(pets: Path):
    found = folder(pets, size=8)
    assert found.classes == ["cat", "dog"] and len(found) == 3
    batch = found[torch.tensor([0, 1, 2])]
    assert isinstance(batch, LocatedImages) and batch.boxes is None
    assert batch.images.shape == (3, 3, 8, 8) and batch.labels.tolist() == [0, 1, 1]
    wanted = torch.tensor([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])
    torch.testing.assert_close(batch.images.mean((2, 3)), wanted, atol=0.02, rtol=0)


def test_the_central_square_is_cut_out_upright(tmp_path: Path):
    pixels = np.zeros((40, 20, 3), np.uint8)
    pixels[10:20] = 255  # the upper half of the square in the middle
    (tmp_path / "a").mkdir()
    turned = Image.fromarray(np.rot90(pixels).copy())
    exif = Image.Exif()
    exif[0x0112] = 6  # a camera held on its side: turn it clockwise
    turned.save(tmp_path / "a" / "a.png", exif=exif)
    image, label = folder(tmp_path, size=4)[0]
    assert label == 0 and image[0, :, 0].round().tolist() == [1, 1, 0, 0]


def test_a_split_and_a_loader_take_it(pets: Path):
    one, two = random_split(folder(pets, size=8), [1, 2])
    assert Pictures(one)[torch.tensor([0])].images.shape == (1, 3, 8, 8)
    images, labels = next(iter(DataLoader(two, batch_size=2)))
    assert images.shape == (2, 3, 8, 8) and labels.shape == (2,)


@pytest.mark.parametrize(
    "spoil, wanted",
    [
        (lambda path: path / "nowhere", "nowhere is no folder"),
        (lambda path: path / "cat", r"a folder for each class .*cat/cat/1.jpg; got no folder in it"),
        (lambda path: (path / "bird").mkdir() or path, "got no picture in bird"),
    ],
    ids=["missing", "one class", "empty class"],
)  # fmt: skip
def test_a_folder_without_pictures_is_refused(pets: Path, spoil, wanted: str):
    with pytest.raises(ValueError, match=wanted):
        folder(spoil(pets))
    with pytest.raises(ValueError, match="at least 1 pixel; got 0"):
        folder(pets, size=0)


def test_a_picture_that_cannot_be_read_is_named(pets: Path):
    (pets / "cat" / "c.webp").write_bytes(b"RIFF")
    with pytest.raises(ValueError, match=r"c\.webp: no picture that can be read"):
        folder(pets)[torch.tensor([0])]


IMAGE = torch.rand(3, 4, 4)


@pytest.mark.parametrize(
    "pair, wanted",
    [
        (IMAGE, "got Tensor"),
        ((IMAGE, 1, 2), "got tuple"),
        ((Image.new("RGB", (4, 4)), 1), r"the image is a Image: make it a tensor, .*ToTensor"),
        (((255 * IMAGE).byte(), 1), r"torch.uint8 of shape \(3, 4, 4\): divide it by 255"),
        ((IMAGE[0], 1), r"torch.float32 of shape \(4, 4\)$"),
        ((IMAGE, "cat"), "the label is 'cat'"),
        ((IMAGE, 0.5), "the label is 0.5"),
        ((IMAGE, -1), "the label is -1"),
    ],
    ids=range(8),
)
def test_what_is_no_image_with_a_label_is_told(pair, wanted: str):
    with pytest.raises(ValueError, match=rf"\(image, label\) pairs are wanted.*{wanted}"):
        Pictures([pair])[torch.tensor([0])]


def test_labels_may_be_any_whole_number():
    pairs = [
        (IMAGE, 1),
        (IMAGE, np.int64(2)),
        (IMAGE, torch.tensor(3)),
        [IMAGE, torch.tensor([4])],
    ]
    assert Pictures(pairs)[torch.arange(4)].labels.tolist() == [1, 2, 3, 4]


def test_images_of_several_sizes_make_no_batch():
    pairs = [(IMAGE, 0), (torch.rand(3, 5, 4), 0)]
    with pytest.raises(
        ValueError, match=r"one size .* got \[\(3, 4, 4\), \(3, 5, 4\)\]: resize"
    ):
        Pictures(pairs)[torch.arange(2)]


def test_grey_images_and_tensors_side_by_side_are_taken():
    data = Pictures(TensorDataset(torch.rand(5, 1, 4, 4), torch.arange(5)))
    assert data[torch.tensor([4, 1])].images.shape == (2, 1, 4, 4)
