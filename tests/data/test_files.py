"""Pictures as cameras, scanners and other programs write them: read for what they show, or refused with the reason."""

import io

import numpy as np
import pytest
from PIL import Image

from attn_lib.data.files import open_picture

RAMP = np.linspace(0, 1, 12).reshape(3, 4)  # black, shades, white
EIGHT = (RAMP * 255).round().astype(np.uint8)


def ramp(mode: str) -> Image.Image:
    """The ramp as grey, in a mode of Pillow's."""
    if mode == "F":
        return Image.fromarray(RAMP.astype(np.float32))
    if mode.startswith("I"):
        whole = (RAMP * 65_535).round()
        return Image.fromarray(whole.astype({"I": "<i4", "I;16": "<u2", "I;16B": ">u2"}[mode]))
    return Image.fromarray(EIGHT).convert(mode)


def stored(picture: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


# All that Pillow writes without loss, of each mode.
KINDS = [
    (mode, kind)
    for kind, modes in {
        "PNG": ("L", "P", "RGB", "LA", "RGBA", "I;16"),
        "TIFF": ("L", "P", "RGB", "LA", "RGBA", "CMYK", "I;16", "I;16B", "I", "F"),
        "BMP": ("L", "P", "RGB", "RGBA"),
        "PPM": ("L", "RGB", "I"),
        "GIF": ("L", "P"),
        "WEBP": ("RGB", "RGBA"),
    }.items()
    for mode in modes
]  # fmt: skip


@pytest.mark.parametrize(("mode", "kind"), KINDS)
def test_a_ramp_of_grey_stays_one(mode: str, kind: str):
    lossless = {"lossless": True} if kind == "WEBP" else {}
    picture = open_picture(stored(ramp(mode), kind, **lossless))
    assert picture.mode == "RGB"
    found = np.asarray(picture).astype(int)
    assert np.abs(found - EIGHT[..., None]).max() <= 1


@pytest.mark.parametrize("mode", ["LA", "RGBA", "P", "RGB"])
def test_what_is_transparent_lies_on_white(mode: str):
    """Its left half is black and seen, its right is black and not."""
    alpha = Image.new("L", (4, 2))
    alpha.paste(255, (0, 0, 2, 2))
    options: dict = {}
    if mode == "P":
        picture, options["transparency"] = Image.new("P", (4, 2)), 1
        picture.putpalette([0] * 6)
        picture.paste(1, (2, 0, 4, 2))
    elif mode == "RGB":  # a colour that stands for nothing
        picture, options["transparency"] = Image.new("RGB", (4, 2)), (0, 0, 9)
        picture.paste((0, 0, 9), (2, 0, 4, 2))
    else:
        picture = Image.new(mode, (4, 2))
        picture.putalpha(alpha)
    found = np.asarray(open_picture(stored(picture, "PNG", **options)))
    assert (found[:, :2] == 0).all() and (found[:, 2:] == 255).all()


def test_half_transparent_is_half_white():
    picture = Image.new("RGBA", (1, 1), (0, 0, 0, 51))
    assert open_picture(stored(picture, "PNG")).getpixel((0, 0)) == (204, 204, 204)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "I;16", "F"])
def test_a_camera_held_upright_gives_an_upright_picture(mode: str):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90° clockwise
    picture = np.asarray(open_picture(stored(ramp(mode), "TIFF", exif=exif)))
    assert np.abs(picture[..., 0].astype(int) - np.rot90(EIGHT, -1)).max() <= 1


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            np.array([[-1.5, 400.0]], np.float32),
            "from -1.5 to 400, where 0 is black and 1 white",
        ),
        (np.array([[0.0, np.nan]], np.float32), "from nan to nan"),
        (np.array([[-7, 100_000]], np.int32), "from -7 to 100000, where .* 65,535 white"),
    ],
)
def test_numbers_that_no_one_said_the_meaning_of_are_refused(values, said: str):
    with pytest.raises(ValueError, match=f"{said}.*8 bits a colour"):
        open_picture(stored(Image.fromarray(values), "TIFF"))


def test_a_path_and_the_first_frame(tmp_path):
    frames = [Image.new("L", (2, 2), shade) for shade in (250, 5)]
    frames[0].save(tmp_path / "two.gif", save_all=True, append_images=frames[1:])
    assert open_picture(tmp_path / "two.gif").getpixel((0, 0)) == (250, 250, 250)
