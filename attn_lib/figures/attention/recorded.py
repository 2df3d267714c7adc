"""show_maps: what `record` gives, over the image, whatever its shapes."""

import warnings
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from .background import background, fitted
from .explorer import AttentionExplorer
from .relations import Grid, coarsen
from .sorting import CLOSE, Sorted, sort

SEVERAL = 4  # relations with a panel each; more are the layers of one panel
MOST = 8_000_000  # weights of all relations together


def show_maps(
    image: Tensor,
    maps: Mapping[str, Tensor] | Tensor,
    *,
    alt: str | None = None,
    index: int = 0,
    normalised: tuple[Sequence[float], Sequence[float]] | None = None,
    grid: Grid | None = None,
    before: int | None = None,
) -> AttentionExplorer:
    """What `record` gives, over the image: relations that one points at, and gates beside them.

        with record(network) as maps:
            network(images)
        show_maps(images, maps, normalised=(mean, std)).save("map.html")

    The batch is dropped. Maps whose rows sum to 1 are relations, (n, m) or (heads, n, m); other maps from 0 to 1
    are gates, (h, w), or (c, h, w) and then averaged over the channels. Weights over channels alone have no place;
    they are left out, with a warning. Of tokens before the positions, such as [CLS], a panel says where the first
    one looks; the positions' weights are then shares of what falls on positions.

    So that all fits one figure, grids of several sizes are brought to the coarsest, blocks of positions are joined
    (`coarsen`) while there are more than 8 million weights, heads are averaged where their numbers differ, and
    more than four relations become the layers of one panel. The image is shrunk to 512 pixels.

    Args:
        image: (3, h, w), or a batch of them (b, 3, h, w), or of one channel, grey; values in [0, 1].
        maps: batches of maps by name, or one batch; a map of two axes has no batch.
        alt: what one sees; None lists the maps' names.
        index: which image of the batch, counted from 0.
        normalised: the mean and the standard deviation of each channel, where the image was normalised with them.
        grid: rows and columns of the positions; None takes what fits the image's shape, or a square.
        before: how many tokens come before the positions; None finds none or one.

    Returns:
        the figure. A notebook shows it, and `save` writes it to a file.

    Raises:
        ValueError: what cannot be shown, with what to do about it.
    """
    under, found = background(image, index, normalised), Sorted()
    shape = under.shape[1], under.shape[2]
    for name, weights in _named(maps).items():
        sort(found, name, _one(name, weights, index), shape, (grid, before))
    _require_places(found)
    queries, keys = _bring_to_one_grid(found)
    _bring_to_one_count_of_heads(found)
    relations, first = _layers(found.relations), _layers(found.first)
    gates = {f"{name}: [CLS]": looks for name, looks in first.items()}
    gates |= {name or "map": gate for name, gate in found.gates.items()}  # of the model itself
    if queries:
        gates = {name: _at_most(gate, queries) for name, gate in gates.items()}
    finest = queries or (
        max(gate.shape[-2] for gate in gates.values()),
        max(gate.shape[-1] for gate in gates.values()),
    )
    names = ", ".join([*relations, *gates])
    return AttentionExplorer(
        fitted(under, finest),
        relations,
        gates=gates,
        grid=finest,
        key_grid=keys,
        alt=f"Heat maps over an image: {names}." if alt is None else alt,
    )


def _named(maps: Mapping[str, Tensor] | Tensor) -> dict[str, Tensor]:
    named = {"map": maps} if isinstance(maps, Tensor) else maps
    wanted = "show_maps wants what `record` gives, tensors by name, or one tensor"
    if not isinstance(named, Mapping):
        advice = "name them: {str(i): weights for i, weights in enumerate(maps)}"
        raise ValueError(f"{wanted}; got a {type(maps).__name__}: {advice}")
    if not named:
        raise ValueError(
            f"{wanted}; got none: run the network within `with record(network) as maps:`"
        )
    for name, weights in named.items():
        if not isinstance(weights, Tensor):
            raise ValueError(
                f"{wanted}; {name!r} is a {type(weights).__name__}: make it a tensor"
            )
    return dict(named)


def _one(name: str, weights: Tensor, index: int) -> Tensor:
    """The map of one image of the batch."""
    if weights.ndim > 2:
        if not 0 <= index < len(weights):
            raise ValueError(
                f"map {name!r} has a batch of {len(weights)}; index={index} is not in it"
            )
        weights = weights[index]
    weights = weights.detach().float().cpu()
    if not torch.isfinite(weights).all():
        lost = int((~weights.isfinite()).sum())
        raise ValueError(
            f"{lost} of {weights.numel()} weights of map {name!r} are not finite: look at the network's input, "
            "or run it in float32"
        )
    return weights


def _require_places(found: Sorted) -> None:
    """Leave out what is shown by its parts, and what has no place; refuse where nothing is left."""
    for name in [*found.gates]:
        prefix = f"{name}." if name else ""
        if any(other != name and other.startswith(prefix) for other in found.gates):
            del found.gates[name]
    if not found.relations and not found.gates:
        raise ValueError(
            f"no map over positions: {', '.join(map(repr, found.placeless))} weigh channels, which have no place "
            "in the image. ChannelExplorer({name: image}, {name: weights}, alt=…) shows them"
        )
    if found.placeless:
        warnings.warn(
            f"not over positions, and not shown: {', '.join(map(repr, found.placeless))}",
            stacklevel=3,
        )


def _bring_to_one_grid(found: Sorted) -> tuple[Grid | None, Grid | None]:
    """The grids of queries and of keys that all relations have afterwards; None where there is no relation."""
    if not found.relations:
        return None, None
    coarsest, keys = min(found.grids.values(), key=lambda both: both[0][0] * both[0][1])
    for name, (queries, own) in found.grids.items():
        by, rest = divmod(queries[0], coarsest[0])
        fits = (
            not rest and queries[1] == by * coarsest[1] and own == queries and keys == coarsest
        )
        if (queries, own) != (coarsest, keys) and not fits:
            raise ValueError(
                f"relations lie on grids that do not fit into one another, {found.grids}: show one at a time, "
                f"show_maps(image, {{{name!r}: maps[{name!r}]}})"
            )
        _coarsen(found, name, by)
    while sum(each.numel() for each in found.relations.values()) > MOST:
        if keys != coarsest or coarsest[0] % 2 or coarsest[1] % 2:
            break
        for name in found.relations:
            _coarsen(found, name, 2)
        coarsest = keys = coarsest[0] // 2, coarsest[1] // 2
    return coarsest, keys


def _coarsen(found: Sorted, name: str, by: int) -> None:
    if by > 1:
        queries, _ = found.grids[name]
        found.relations[name] = coarsen(found.relations[name], by, grid=queries)
        found.grids[name] = ((queries[0] // by, queries[1] // by),) * 2


def _bring_to_one_count_of_heads(found: Sorted) -> None:
    counts = {len(each) for each in found.relations.values()}
    if len(counts - {1}) > 1:
        warnings.warn(f"maps have {sorted(counts)} heads: their means are shown", stacklevel=3)
        for stacks in (found.relations, found.first):
            stacks |= {name: stack.mean(0, keepdim=True) for name, stack in stacks.items()}


def _layers(stacks: dict[str, Tensor]) -> dict[str, Tensor]:
    """A panel each, or, of many alike, one with layers."""
    if len(stacks) <= SEVERAL or len({stack.shape for stack in stacks.values()}) > 1:
        return {name or "map": stack for name, stack in stacks.items()}
    first, *_, last = stacks
    return {f"{first} … {last}": torch.stack([*stacks.values()])}


def _at_most(gate: Tensor, grid: Grid) -> Tensor:
    """A gate no finer than the grid at which one points."""
    h, w = gate.shape[-2:]
    if h <= grid[0] and w <= grid[1]:
        return gate
    size = min(h, grid[0]), min(w, grid[1])
    joined = adaptive_avg_pool2d(
        gate.flatten(0, -3)[None] if gate.ndim > 2 else gate[None], size
    )
    joined = joined.view(*gate.shape[:-2], *size)
    readout = (gate.sum((-2, -1)) - 1).abs().max() < CLOSE
    return joined / joined.sum((-2, -1), keepdim=True) if readout else joined
