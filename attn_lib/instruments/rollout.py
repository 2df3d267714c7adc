"""Attention rollout: the maps of all layers as one."""

from collections.abc import Iterable, Mapping

import torch
from einops import reduce
from jaxtyping import Float
from torch import Tensor

Layers = Iterable[Tensor] | Mapping[str, Tensor]


def rollout(maps: Layers, gradients: Layers | None = None) -> Float[Tensor, "b n n"]:
    r"""How much of each input token each token of the last layer is made of, as far as weights tell.

    $$ R = \prod_l \tfrac12\Big(I + \frac1{\mathrm{heads}} \sum_\mathrm{head} A_l^\mathrm{head}\Big) $$

    with the first layer rightmost. The identity stands for the residual connection, which carries a token past
    its layer's attention. With the gradients of one score, what speaks for that score:

    $$ R = \prod_l \Big(I + \frac1{\mathrm{heads}} \sum_\mathrm{head} \max(\nabla A_l^\mathrm{head} \odot A_l^\mathrm{head}, 0)\Big) $$

        with record(model, gradients=True) as maps:
            score = model(images)[:, label].sum()
        rollout(maps, torch.autograd.grad(score, list(maps.values())))

    Args:
        maps: the weights of each layer, first to last, (b, heads, n, n) or, with one head, (b, n, n): in a
            list, stacked along a first axis, or as `record` gives them.
        gradients: of the score, for each of these weights.

    Returns:
        a relation. Each row sums to 1; with gradients, to 1 or more.

    Raises:
        ValueError: there is no map, the maps differ in shape but for their heads, or the gradients from the maps.

    Source: Abnar, Zuidema, "Quantifying Attention Flow in Transformers", ACL 2020, "Attention rollout". Its
    equations are for one head; for several the paper averages them "for simplicity", as does this. With
    gradients: Chefer, Gur, Wolf, "Generic Attention-model Explainability for Interpreting Bi-Modal and
    Encoder-Decoder Transformers", ICCV 2021, section 3, eq. 5-6, for self-attention.
    """
    layers = _layers(maps)
    if gradients is None:
        steps = [(_identity(layers[0]) + layer.mean(1)) / 2 for layer in layers]
    else:
        slopes = _layers(gradients)
        shapes = [[tuple(part.shape) for part in parts] for parts in (layers, slopes)]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"rollout wants one gradient for each map; got maps {shapes[0]}, gradients {shapes[1]}"
            )
        products = (
            (layer * slope).clamp(min=0) for layer, slope in zip(layers, slopes, strict=True)
        )
        steps = [
            _identity(layers[0]) + reduce(part, "b heads n m -> b n m", "mean")
            for part in products
        ]
    result = steps[0]
    for step in steps[1:]:
        result = step @ result
    return result


def _layers(maps: Layers) -> list[Float[Tensor, "b heads n n"]]:
    """(b, heads, n, n) of each layer.

    Raises:
        ValueError: these are no weights of layers that follow one another.
    """
    # A single tensor of four axes may be one layer or a stack of layers with one head: nobody knows.
    unclear = isinstance(maps, Tensor) and maps.ndim != 5
    layers = list(maps.values() if isinstance(maps, Mapping) else [] if unclear else maps)
    shapes = [tuple(layer.shape) for layer in layers]
    layers = [layer[:, None] if layer.ndim == 3 else layer for layer in layers]
    sizes = {(layer.shape[0], *layer.shape[2:]) for layer in layers}
    if len(sizes) != 1 or any(
        layer.ndim != 4 or layer.shape[2] != layer.shape[3] for layer in layers
    ):
        got = f"one tensor {tuple(maps.shape)}" if isinstance(maps, Tensor) else shapes
        raise ValueError(
            "rollout wants the weights (b, heads, n, n) or (b, n, n) of at least one layer, all of one b and n, "
            f"or all in one tensor (layers, b, heads, n, n); of windows, what `unwindow` makes; got {got}"
        )
    return layers


def _identity(layer: Float[Tensor, "b heads n n"]) -> Float[Tensor, "n n"]:
    return torch.eye(layer.shape[-1], device=layer.device, dtype=layer.dtype)
