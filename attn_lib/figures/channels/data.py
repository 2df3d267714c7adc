"""The numbers of a ChannelExplorer: checked, in one array, and in few bytes."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor


def stack_weights(
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


def stack_features(
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


def as_levels(features: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
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
