"""upload and retrain without a front end: what they do with files of either ipywidgets, and what a page says."""

import io
from datetime import datetime

import nbformat
import pytest
import torch
from PIL import Image
from places import BOOK, BUILT

from attn_lib.data import photograph
from attn_lib.figures import AttentionExplorer, retrain, upload
from attn_lib.figures.live import last_file, read_picture

GALLERY = BOOK / "appendix" / "gallery.ipynb"


def file(width=6, height=4, kind="PNG", **options) -> bytes:
    picture = Image.new("RGB", (width, height))
    picture.paste((255, 0, 0), (0, 0, width // 2, height))  # its left half is red
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def by_name(name: str, content: bytes) -> dict:
    """What FileUpload holds in ipywidgets 7."""
    return {name: {"metadata": {"name": name}, "content": content}}


def in_order(name: str, content: bytes) -> tuple:
    """And in ipywidgets 8."""
    about = {"name": name, "type": "", "size": len(content), "last_modified": datetime.now()}
    return (about | {"content": memoryview(content)},)


def receive(box, value: tuple) -> None:
    """As if the reader had chosen a file."""
    box.widget.children[0].value = value


def test_files_of_both_ipywidgets_are_read():
    for held in (by_name, in_order):
        assert last_file(held("a.png", b"content")) == ("a.png", b"content")


def test_a_photograph_reaches_the_function_and_its_result_is_displayed(monkeypatch):
    seen, displayed = [], []
    monkeypatch.setattr("attn_lib.figures.live.display", displayed.append)
    box = upload(lambda image: seen.append(image) or "shown")
    receive(box, in_order("a.png", file()))
    assert displayed == ["shown"]
    assert seen[0].shape == (3, 4, 6)
    assert torch.equal(seen[0][0], torch.tensor([1.0, 1, 1, 0, 0, 0]).expand(4, 6))
    receive(box, ())
    assert len(seen) == 1, "nothing is chosen"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no picture", "no picture that can be read here"),
        (b"", "no picture that can be read here"),
        (file(90, 60, "JPEG")[:700], "a picture that cannot be read: image file is truncated"),
    ],
    ids=("text", "empty", "cut"),
)
def test_another_file_is_explained_to_the_reader(content, said, capsys):
    box = upload(lambda image: pytest.fail("there is no image"))
    receive(box, in_order("notes.txt", content))
    assert f"notes.txt: {said}" in capsys.readouterr().out


def test_an_error_of_the_function_is_not_swallowed():
    with pytest.raises(ZeroDivisionError):
        receive(upload(lambda image: 1 / 0), in_order("a.png", file()))


def test_a_picture_is_read_upright_and_no_larger_than_wanted():
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn by 90° clockwise
    image = read_picture(file(90, 60, "JPEG", exif=exif, quality=95), 30)
    assert image.shape == (3, 30, 20)
    assert image[0, :13].min() > 0.9 and image[0, -13:].max() < 0.1, "left has become top"
    grey = io.BytesIO()
    Image.new("LA", (3, 2), (255, 255)).save(grey, "PNG")
    assert torch.equal(read_picture(grey.getvalue(), 30), torch.ones(3, 2, 3))


def test_a_bomb_of_a_picture_is_refused(monkeypatch):
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 10)
    with pytest.raises(ValueError, match="exceeds limit"):
        read_picture(file(6, 4), 30)


def test_training_waits_for_the_button_and_shows_its_result(monkeypatch):
    ran, displayed = [], []
    monkeypatch.setattr("attn_lib.figures.live.display", displayed.append)

    def train():
        ran.append(button.disabled)
        return "trained"

    button, _ = retrain(train, about="train for a few steps.").widget.children
    assert ran == []
    button.click()
    assert ran == [True] and displayed == ["trained"] and not button.disabled


def test_the_button_works_again_after_an_error(caplog):
    button, _ = retrain(lambda: 1 / 0, about="train for a few steps.").widget.children
    button.click()
    assert "ZeroDivisionError" in caplog.text and not button.disabled


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match=r"at least four words; got 'train'"):
        retrain(int, about="train")
    with pytest.raises(ValueError, match="longest=0"):
        upload(int, longest=0)


@pytest.mark.pages
def test_a_page_says_what_one_could_do_and_a_notebook_stores_only_that():
    about = "train <b> for a few steps."
    bundle, metadata = retrain(int, about=about)._repr_mimebundle_()
    assert metadata == {}
    assert about in bundle["text/plain"] and "&lt;b&gt;" in bundle["text/html"]
    assert len(bundle) == 3 and len(bundle["application/vnd.jupyter.widget-view+json"]) == 3
    page = (BUILT / "appendix" / "gallery.html").read_text()
    stored = nbformat.read(GALLERY, as_version=4)
    said = [
        output.data["text/plain"]
        for cell in stored.cells
        for output in cell.get("outputs", [])
        if "Live only" in output.get("data", {}).get("text/plain", "")
    ]
    assert len(said) == 2 and all(text in page for text in said)
    assert set(stored.metadata) == {"kernelspec"}, "no state of widgets"


@pytest.mark.slow
def test_what_the_gallery_would_do_live_works():
    names: dict = {}
    for cell in nbformat.read(GALLERY, as_version=4).cells:
        if cell.cell_type == "code" and cell.id.startswith("gallery-explore"):
            exec(cell.source, names)
    wide = photograph("coffee")[:, ::8, ::8]
    for photo in (wide, wide.mT):
        assert isinstance(names["alike"](photo), AttentionExplorer)
    figure = names["train_anew"](steps=2)
    assert [panel["name"] for panel in figure.panels] == ["after 2 steps"]
