"""Attention maps as a figure carries them: checked, cut into layers and heads, and stored in few bytes."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from einops import reduce
from jaxtyping import Float
from torch import Tensor

Grid = tuple[int, int]


@dataclass(frozen=True)
class Stack:
    """One panel's maps.

    Attributes:
        kind: "relation" (each query has its own map), "readout" (one map, sums to 1) or "gate" (one map of
            weights in [0, 1]).
        weights: (layers, heads, n, m); n is 1 where there is no query.
        cells: rows and columns of the m weights.
    """

    kind: str
    weights: np.ndarray
    cells: Grid


def coarsen(
    weights: Float[Tensor, "... n m"], by: int = 2, *, grid: Grid | None = None
) -> Float[Tensor, "... k k"]:
    r"""A relation between blocks of by×by positions in place of positions: by⁴ times fewer weights.

    $$ A'_{IJ} = \frac{1}{|I|} \sum_{i \in I} \sum_{j \in J} A_{ij} $$

    A block looks where its positions look on average, and at a block as much as at all positions in it. Each
    row still sums to 1.

    Args:
        weights: n = m positions.
        by: positions along each side of a block.
        grid: rows and columns of the positions; None means a square.

    Raises:
        ValueError: the grid does not match the weights, or blocks do not divide it.
    """
    n, m = weights.shape[-2:]
    rows, columns = grid or square(n)
    if n != m or rows * columns != n or by < 1 or rows % by or columns % by:
        raise ValueError(
            f"coarsen wants weights (n, n) on a grid that blocks of {by} divide; "
            f"got {tuple(weights.shape)} on {(rows, columns)}"
        )
    sizes = {"h": rows // by, "p": by, "w": columns // by, "q": by}
    blocks = reduce(weights, "... (h p w q) m -> ... (h w) m", "mean", **sizes)
    return reduce(blocks, "... n (h p w q) -> ... n (h w)", "sum", **sizes)


def stacks(
    maps: Mapping[str, Tensor],
    gates: Mapping[str, Tensor],
    grid: Grid | None,
    key_grid: Grid | None,
) -> tuple[dict[str, Stack], Grid]:
    """The maps of each panel, and the grid on which one points; or a ValueError that says what is wrong."""
    if not maps and not gates:
        raise ValueError("an AttentionExplorer wants at least one map of weights; got none")
    if both := sorted(set(maps) & set(gates)):
        raise ValueError(f"a panel's name stands once, in maps or in gates; got {both} in both")
    shapes = {name: tuple(weights.shape) for name, weights in maps.items()}
    if len({shape[-2:] for shape in shapes.values()}) > 1 or any(
        not 2 <= len(shape) <= 4 for shape in shapes.values()
    ):
        raise ValueError(
            "maps want one shape (n, m), (heads, n, m) or (layers, heads, n, m), with one n and m; "
            f"got {shapes}"
        )
    found = {}
    for name, weights in maps.items():
        n, m = weights.shape[-2:]
        grid = grid or square(n, m)
        key_grid = key_grid or (grid if n == m else square(m))
        _require_rows(name, weights, grid, key_grid)
        found[name] = _stack("relation", weights, key_grid)
    grid = grid or _largest(gates)
    for name, weights in gates.items():
        found[name] = _gate(name, weights, grid)
    for axis, what in enumerate(("layers", "heads")):
        counts = {name: stack.weights.shape[axis] for name, stack in found.items()}
        if len(set(counts.values()) - {1}) > 1:
            raise ValueError(f"panels have one number of {what}, or 1; got {counts}")
    return found, grid


def square(cells: int, keys: int | None = None) -> Grid:
    """Rows and columns of so many positions on a square, or a ValueError."""
    side = round(cells**0.5)
    if side * side == cells:
        return side, side
    if cells == keys and (side := round((cells - 1) ** 0.5)) ** 2 == cells - 1:
        raise ValueError(_with_cls((side, side)))
    raise ValueError(f"{cells} positions are no square: say their grid=(rows, columns)")


def floors(stack: Stack) -> np.ndarray:
    """What all cells of a gate have (layers, heads): stored is what rises above it, a gate near one half too.

    Relations and readouts are stored from 0.
    """
    lowest = stack.weights.min((2, 3))
    return lowest if stack.kind == "gate" else np.zeros_like(lowest)


def in_steps(stack: Stack, levels: int) -> tuple[bytes, bytes]:
    """Each row above its floor, in steps of its peak there over `levels`, as uint8; and the peaks, as float32."""
    weights = stack.weights - floors(stack)[..., None, None]
    peaks = weights.max(-1)
    steps = weights / np.where(peaks > 0, peaks, 1)[..., None] * levels
    return steps.round().astype(np.uint8).tobytes(), peaks.astype("<f4").tobytes()


def _stack(kind: str, weights: Tensor, cells: Grid) -> Stack:
    array = weights.detach().float().cpu().numpy()
    return Stack(kind, array[(None,) * (4 - array.ndim)], cells)


def _gate(name: str, weights: Tensor, grid: Grid) -> Stack:
    if not 2 <= weights.ndim <= 4:
        raise ValueError(
            "gates want the shape (h, w), (heads, h, w) or (layers, heads, h, w); "
            f"{name!r} has {tuple(weights.shape)}"
        )
    h, w = weights.shape[-2:]
    if h > grid[0] or w > grid[1]:
        raise ValueError(
            f"one points at cells of the grid {grid}: gate {name!r} may not be finer; got {(h, w)}"
        )
    low, high = weights.min().item(), weights.max().item()
    if not (torch.isfinite(weights).all() and low >= 0 and high <= 1):
        raise ValueError(f"gates lie in [0, 1]; {name!r} goes from {low:.3g} to {high:.3g}")
    sums_to_1 = bool(((weights.sum((-2, -1)) - 1).abs() < 1e-3).all())
    flat = weights.flatten(-2).unsqueeze(-2)
    return _stack("readout" if sums_to_1 else "gate", flat, (h, w))


def _largest(gates: Mapping[str, Tensor]) -> Grid:
    return (
        max(weights.shape[-2] for weights in gates.values()),
        max(weights.shape[-1] for weights in gates.values()),
    )


def _require_rows(name: str, weights: Tensor, grid: Grid, key_grid: Grid) -> None:
    n, m = weights.shape[-2:]
    if n == m == grid[0] * grid[1] + 1:
        raise ValueError(_with_cls(grid))
    if (grid[0] * grid[1], key_grid[0] * key_grid[1]) != (n, m):
        raise ValueError(
            f"weights of shape {tuple(weights.shape)} do not match queries on a grid of {grid} "
            f"and keys on {key_grid}"
        )
    if key_grid[0] > grid[0] or key_grid[1] > grid[1]:
        raise ValueError(
            f"one points at cells of the queries' grid {grid}: keys may not be finer; got {key_grid}"
        )
    if not torch.isfinite(weights).all() or weights.min() < 0:
        low, high = weights.min().item(), weights.max().item()
        raise ValueError(
            f"weights are finite and not negative; map {name!r} goes from {low} to {high}"
        )
    if (error := (weights.sum(-1) - 1).abs().max().item()) > 1e-3:
        raise ValueError(
            f"each row of weights sums to 1; in map {name!r} a row is off by {error:.3g}. "
            "A map without a query belongs in gates="
        )


def _with_cls(grid: Grid) -> str:
    n = grid[0] * grid[1]
    return (
        f"{n + 1} tokens are the {n} positions of a grid {grid} and one more, a [CLS] token? Show where "
        f"that one looks as a map without a query, gates={{'[CLS]': weights[..., 0, 1:].unflatten(-1, "
        f"{grid})}}, and the positions without it: rest = weights[..., 1:, 1:]; "
        "rest = rest / rest.sum(-1, keepdim=True)"
    )
