"""Attention rollout: the maps of all layers as one."""

from collections.abc import Sequence

import torch
from einops import reduce
from jaxtyping import Float
from torch import Tensor


def rollout(maps: Sequence[Float[Tensor, "b heads n n"]]) -> Float[Tensor, "b n n"]:
    r"""How much of each input token each token of the last layer is made of, as far as weights tell.

    $$ R = \prod_l \tfrac12\Big(I + \frac1{\mathrm{heads}} \sum_\mathrm{head} A_l^\mathrm{head}\Big) $$

    with the first layer rightmost. The identity stands for the residual connection, which carries a token past
    its layer's attention.

    Args:
        maps: the weights of each layer, first to last.

    Returns:
        a relation: each row sums to 1.

    Raises:
        ValueError: there is no map, or the maps differ in shape but for their heads.

    Source: Abnar, Zuidema, "Quantifying Attention Flow in Transformers", ACL 2020, "Attention rollout". Its
    equations are for one head; for several the paper averages them "for simplicity", as does this.
    """
    shapes = [(weights.shape[0], *weights.shape[2:]) for weights in maps]
    if not maps or len(set(shapes)) > 1 or shapes[0][1] != shapes[0][2]:
        raise ValueError(
            "rollout wants the weights (b, heads, n, n) of at least one layer, all of one b and n; "
            f"got {[tuple(weights.shape) for weights in maps]}"
        )
    result = torch.eye(shapes[0][1], device=maps[0].device, dtype=maps[0].dtype).expand(
        shapes[0]
    )
    for weights in maps:
        layer = reduce(weights, "b heads n m -> b n m", "mean")
        result = (result + layer @ result) / 2
    return result
