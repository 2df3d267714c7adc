"""What is left when a trained network's attention may not answer to everything: measured after the training."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..channel import SelectiveKernel
from ..data import LocatedImages
from ..instruments.recording import record
from ..module import AttentionModule
from ..spatial import SelfAttention2d
from .scoring import accuracy

QUERIES = 5


@contextmanager
def instead(module: AttentionModule, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """A mechanism that reweights by `change(weights)` in place of its weights."""

    def forward(x: Tensor) -> Tensor:
        return module.reweight(x, change(module.attention(x)))

    module.forward = forward  # type: ignore[method-assign]
    try:
        yield
    finally:
        del module.forward


def rows(model: nn.Module, data: LocatedImages) -> dict[str, Any]:
    """Accuracy where all queries of self-attention share one row: does it count who asks?

    Args:
        model: with one `SelfAttention2d`.
        data: to score it on.

    Returns:
        the accuracy with each query's `own` row; with the `mean` of all rows for each; and, for `QUERIES` queries
        evenly along the grid, with the row of that `one` for all.
    """
    (module,) = (part for part in model.modules() if isinstance(part, SelfAttention2d))

    def scored(shared: Callable[[Tensor], Tensor]) -> float:
        with instead(module, lambda weights: shared(weights).expand_as(weights)):
            return accuracy(model, data)

    def row(share: float) -> Callable[[Float[Tensor, "b n m"]], Float[Tensor, "b 1 m"]]:
        return lambda weights: weights[:, [int(share * (weights.shape[1] - 1))]]

    return {
        "own": accuracy(model, data),
        "mean": scored(lambda weights: weights.mean(1, keepdim=True)),
        "one": [scored(row(i / (QUERIES - 1))) for i in range(QUERIES)],
    }


@torch.no_grad()
def mean_shares(model: nn.Module, data: LocatedImages) -> float:
    """Accuracy where every channel's shares of selective kernels are their means over the images of `data`.

    What is lost is what choosing by the image is worth to the trained network.
    """
    modules = {n: m for n, m in model.named_modules() if isinstance(m, SelectiveKernel)}
    with record(model) as maps:
        model(data.images)
    with ExitStack() as stack:
        for name, module in modules.items():
            stack.enter_context(instead(module, maps[name].mean(0, keepdim=True).expand_as))
        return accuracy(model, data)


# After the training, on the task's test: the name in the results, and what measures it.
ABLATIONS: dict[str, dict[str, Callable[[nn.Module, LocatedImages], Any]]] = {
    "self_attention": {"rows": rows},
    "selective_kernel": {"mean_shares": mean_shares},
    "selective_kernel_everywhere": {"mean_shares": mean_shares},
}
