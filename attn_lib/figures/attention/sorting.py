"""What each recorded map is: a relation between positions, a gate over them, or of channels, without a place."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor

from .relations import Grid

CLOSE = 2e-2  # what a row in half precision may be off from 1


@dataclass
class Sorted:
    """The maps of one image by what they are, each on the CPU.

    Attributes:
        relations: (heads, n, m).
        grids: of each relation, that of its queries and that of its keys.
        first: where the token before the positions looks (heads, h, w), by the relation's name.
        gates: (h, w).
        placeless: the names of maps over channels.
    """

    relations: dict[str, Tensor] = field(default_factory=dict)
    grids: dict[str, tuple[Grid, Grid]] = field(default_factory=dict)
    first: dict[str, Tensor] = field(default_factory=dict)
    gates: dict[str, Tensor] = field(default_factory=dict)
    placeless: list[str] = field(default_factory=list)


def sort(
    found: Sorted, name: str, weights: Tensor, shape: Grid, said: tuple[Grid | None, int | None]
) -> None:
    """Put a map where it belongs.

    Args:
        found: it goes there.
        name, weights: the map of one image.
        shape: height and width of the image.
        said: the grid and the number of tokens before the positions, as for `show_maps`.

    Raises:
        ValueError: it is none of these, with what to do about it.
    """
    if weights.ndim < 2 or 1 in weights.shape[-2:]:
        found.placeless.append(name)
    elif weights.ndim < 4 and _sums_to_1(weights):
        stack = weights[None] if weights.ndim == 2 else weights
        before, queries, keys = _lay(name, stack, shape, *said)
        if before:
            looks = _shares(name, stack[:, 0, before:])
            found.first[name] = looks.unflatten(-1, keys)
            stack = stack[:, before:, before:]
        found.relations[name], found.grids[name] = _shares(name, stack), (queries, keys)
    elif weights.ndim == 4 and _sums_to_1(weights):
        raise ValueError(
            f"map {name!r} is of windows, (windows, heads, n, n) = {tuple(weights.shape)}: lay them over the image "
            f"with attn_lib.unwindow(maps[{name!r}], (h, w)) first"
        )
    elif weights.ndim > 3 or not _like_the_image(weights.shape[-2:], shape, 2.0):
        found.placeless.append(name)
    elif weights.min() < 0 or weights.max() > 1:
        low, high = weights.min().item(), weights.max().item()
        raise ValueError(
            f"map {name!r}, {tuple(weights.shape)}, goes from {low:.3g} to {high:.3g}: its rows do not sum to 1, and "
            "it is no gate from 0 to 1. Scores without softmax (NonLocal in mode dot_product) can be shown as "
            "shares of their size: w.abs() / w.abs().sum(-1, keepdim=True)"
        )
    else:
        found.gates[name] = weights if weights.ndim == 2 else weights.mean(0)


def _sums_to_1(weights: Tensor) -> bool:
    return bool(weights.min() >= 0 and (weights.sum(-1) - 1).abs().max() < CLOSE)


def _shares(name: str, weights: Tensor) -> Tensor:
    """Rows that sum to 1, of rows that nearly do, or have lost some tokens."""
    total = weights.sum(-1, keepdim=True)
    if not (total > 0).all():
        raise ValueError(
            f"in map {name!r} a token gives no weight to any position: show gates of your own choice with "
            "AttentionExplorer(image, gates=…)"
        )
    return weights / total


def _like_the_image(cells: Sequence[int], shape: Grid, within: float) -> bool:
    ratio = cells[1] * shape[0] / (cells[0] * shape[1])
    return 1 / within <= ratio <= within


def _lay(
    name: str, weights: Tensor, shape: Grid, grid: Grid | None, before: int | None
) -> tuple[int, Grid, Grid]:
    """How many tokens come before the positions of a relation, and the grids of queries and keys."""
    n, m = weights.shape[-2:]
    for skipped in (0, 1) if before is None else (before,):
        queries = grid or _grid(n - skipped, shape)
        if queries and queries[0] * queries[1] == n - skipped:
            keys = queries if n == m else _grid(m, shape)
            if keys and (n == m or not skipped):
                return skipped, queries, keys
    side = int(n**0.5)
    more = f", or before={n - side**2} where {n - side**2} of them come before {side}×{side} positions"
    raise ValueError(
        f"map {name!r} has {n} queries and {m} keys, which do not lie over an image of {shape[0]}×{shape[1]}"
        f"{f' on a grid {grid}' if grid else ''}: say grid=(rows, columns){more}"
    )


def _grid(n: int, shape: Grid) -> Grid | None:
    """Rows and columns of n positions in the image's shape, or on a square; None where there are none."""
    rows = max(1, round((n * shape[0] / shape[1]) ** 0.5))
    if n > 0 and n % rows == 0 and _like_the_image((rows, n // rows), shape, 1.25):
        return rows, n // rows
    side = round(max(n, 0) ** 0.5)
    return (side, side) if n > 0 and side * side == n else None
