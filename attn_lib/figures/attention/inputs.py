"""What an AttentionExplorer is given, for each of its panels."""

from collections.abc import Mapping

from torch import Tensor

from .relations import Grid


def by_panel(what: str, given, names: list[str]) -> dict:
    if not isinstance(given, Mapping):
        return dict.fromkeys(names, given)
    if set(given) != set(names):
        raise ValueError(f"one {what} for each panel {names} is wanted; got {list(given)}")
    return dict(given)


def require_images(images: list[Tensor], grid: Grid) -> Grid:
    shapes = [tuple(image.shape) for image in images]
    shape = shapes[0]
    if len(set(shapes)) > 1:
        raise ValueError(f"images of one size are wanted; got {shapes}")
    if len(shape) != 3 or shape[0] != 3 or shape[1] < grid[0] or shape[2] < grid[1]:
        raise ValueError(
            f"an image (3, h, w) at least as large as the grid {grid} is wanted; got {shape}"
        )
    return shape[1], shape[2]


def centre(box: list[int], image: Grid, grid: Grid) -> int:
    left, top, right, bottom = box or (0, 0, image[1], image[0])
    row, column = (
        (top + bottom) * grid[0] // (2 * image[0]),
        (left + right) * grid[1] // (2 * image[1]),
    )
    return row * grid[1] + column
