"""What a ChannelExplorer is made of: its numbers, checked and quantised, and its bars."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

BARS = 64  # side by side, at most: on a phone each is then 5 pixels wide
HEIGHTS = {1: 9.0, 2: 6.0}  # in rem, of one or two chunks of bars; of more: 3.5


def require_weights(
    weights: Mapping[str, Tensor], images: int, branches: Sequence[str]
) -> np.ndarray:
    """The weights as one array (series, images, parts, c); a gate is a single part.

    Raises:
        ValueError: as `ChannelExplorer`.
    """
    if not weights or not images:
        raise ValueError(
            f"a ChannelExplorer wants weights of at least one network and one image; got {len(weights)} and {images}"
        )
    shapes = {name: tuple(given.shape) for name, given in weights.items()}
    wanted = (images, len(branches), "c") if branches else (images, "c")
    parts = {}
    for name, given in weights.items():
        part = given.detach().float().cpu().double()  # what the figure keeps
        if not branches:
            part = part.flatten(1)[:, None] if shapes[name][2:] in ((), (1, 1)) else part[None]
        expected = (images, max(1, len(branches)))
        if part.ndim != 3 or part.shape[:2] != expected or part.shape[2] < 1:
            raise ValueError(f"weights of shape {wanted} are wanted; got {shapes}")
        _require_shares(name, part, bool(branches))
        parts[name] = part
    if len({part.shape for part in parts.values()}) > 1:
        raise ValueError(f"weights of one shape {wanted} are wanted; got {shapes}")
    return torch.stack(list(parts.values())).numpy()


def _require_shares(name: str, weights: Tensor, are_shares: bool) -> None:
    low, high = weights.min().item(), weights.max().item()
    if not (low >= 0 and high <= 1):  # also where one is not a number
        raise ValueError(
            f"weights lie between 0 and 1; those of {name!r} go from {low:.3g} to {high:.3g}"
        )
    if are_shares and (error := (weights.sum(1) - 1).abs().max().item()) > 1e-3:
        raise ValueError(
            f"the branches' shares of a channel sum to 1; in {name!r} one sum is off by {error:.3g}"
        )


def require_features(
    features: Mapping[str, Tensor] | None, weights: Mapping[str, Tensor], shape: tuple[int, ...]
) -> np.ndarray | None:
    """The features as one array (series, images, parts, c, h, w), beside weights of `shape`.

    Raises:
        ValueError: as `ChannelExplorer`.
    """
    if features is None:
        return None
    if list(features) != list(weights):
        raise ValueError(
            f"features want the names of the weights, {list(weights)}; got {list(features)}"
        )
    series, images, parts, c = shape
    shapes = {name: tuple(given.shape) for name, given in features.items()}
    wanted = (images, c) if parts == 1 and len(next(iter(shapes.values()))) == 4 else shape[1:]
    given = set(shapes.values())
    (first, *others) = given
    if others or first[:-2] != wanted or 0 in first:
        raise ValueError(
            f"features of one shape {(*wanted, 'h', 'w')} are wanted; got {shapes}"
        )
    stacked = torch.stack([part.detach().double().cpu() for part in features.values()]).numpy()
    if not np.isfinite(stacked).all():
        raise ValueError(
            f"features are finite; {np.size(stacked) - np.isfinite(stacked).sum()} of {np.size(stacked)} are not"
        )
    return stacked.reshape(series, images, parts, c, *first[-2:])


def quantise(features: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """The features as levels of 0 to 255, and the scale of each channel: the values at both ends.

    A scale holds 0, for a gate of 0 gives it, and serves all images of a network alike.
    """
    if features is None:
        return np.empty((0,) * 4, np.uint8), np.empty(0)
    low = features.min(axis=(1, 2, 4, 5), initial=0)
    high = features.max(axis=(1, 2, 4, 5), initial=0)
    scales = np.stack([low, high], axis=-1).astype("<f4").astype(float)
    low, high = (end[:, None, None, :, None, None] for end in (scales[..., 0], scales[..., 1]))
    share = (features - low) / np.where(high > low, high - low, 1)
    return (255 * share).round().clip(0, 255).astype(np.uint8), scales


def bars(
    weights: np.ndarray, mean: np.ndarray, order: np.ndarray, chosen: int, ranked: bool
) -> str:
    """The weights (parts, c) as stacked bars with marks at their mean, as channel_explorer.js makes them."""
    parts, c = weights.shape
    chunks = math.ceil(c / BARS)
    size = math.ceil(c / chunks)
    levels = [k / max(2, parts) for k in range(max(2, parts) + 1)]
    axis = "".join(
        f'<span style="bottom: {100 * level:g}%">{level:.2g}</span>' for level in levels
    )
    lines = "".join(f"M0 {_y(level)}H{10 * size}" for level in levels[1:-1])
    edges, means = (np.vstack([np.zeros(c), array.cumsum(axis=0)]) for array in (weights, mean))
    boundaries = range(1, max(2, parts))  # above the last part of several there is nothing
    made = ""
    for start in range(0, c, size):
        here = order[start : start + size]
        filled = "".join(
            f'<path class="attn-part" fill-opacity="{1 - part / parts:.2g}" d="'
            + "".join(
                f"M{10 * i + 1} {_y(edges[part, k])}H{10 * i + 9}V{_y(edges[part + 1, k])}H{10 * i + 1}z"
                for i, k in enumerate(here)
            )
            + '"/>'
            for part in range(parts)
        )
        marks = "".join(
            f"M{10 * i} {_y(means[edge, k])}h10"
            for i, k in enumerate(here)
            for edge in boundaries
        )
        frame = "".join(f"M{10 * i} 0h10v1000h-10z" for i, k in enumerate(here) if k == chosen)
        label = (
            f"ranks {start + 1} to {start + len(here)}"
            if ranked
            else f"channels {start} to {start + len(here) - 1}"
        )
        made += (
            f'<div class="attn-chunk" style="--attn-height: {HEIGHTS.get(chunks, 3.5):g}rem">'
            f'<div class="attn-axis" aria-hidden="true">{axis}</div>'
            f'<svg viewBox="0 0 {10 * size} 1000" preserveAspectRatio="none" aria-hidden="true">{filled}'
            f'<path class="attn-level" d="{lines}"/><path class="attn-mean" d="{marks}"/>'
            f'<path class="attn-chosen" d="{frame}"/></svg><span class="attn-range">{label}</span></div>'
        )
    return made


def _y(weight: float) -> int:
    return 1000 - math.floor(1000 * weight + 0.5)
