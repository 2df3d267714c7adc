"""Pictures from files of any kind, as 8-bit colours."""

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError


def open_picture(file: str | Path | bytes) -> Image.Image:
    """The picture in a file, upright, in RGB of 8 bits a colour.

    Whole numbers of 16 bits are scaled by 65,535, floating-point ones are taken from [0, 1]. What is transparent
    lies on white. Of several frames the first is taken.

    Args:
        file: its path, or its content.

    Raises:
        ValueError: it is no picture, a damaged one, too large a one, or its numbers lie outside the range above.
    """
    source = io.BytesIO(file) if isinstance(file, bytes) else file
    try:
        with Image.open(source) as picture:
            upright = ImageOps.exif_transpose(picture)
    except UnidentifiedImageError as error:
        raise ValueError("no picture that can be read here; JPEG, PNG and WebP can") from error
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"a picture that cannot be read: {error}") from error
    if upright.mode == "F" or upright.mode.startswith("I"):
        return _scaled(np.asarray(upright), 1 if upright.mode == "F" else 65_535)
    if upright.has_transparency_data:
        over = upright.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", over.size, "white"), over).convert("RGB")
    return upright.convert("RGB")


def _scaled(values: np.ndarray, white: int) -> Image.Image:
    """One channel of which 0 is black and `white` is white, as a grey picture."""
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= white):
        raise ValueError(
            f"a picture whose values go from {low:g} to {high:g}, where 0 is black and {white:,} white: "
            "scale them, and save the picture with 8 bits a colour"
        )
    grey = (values.astype(np.float64) * (255 / white)).round().astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")
