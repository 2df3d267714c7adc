"""Networks that turn an image into a vector, trained by comparing or by naming."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ..contrastive import averaged_contrast, info_nce
from .networks import HostCNN
from .pairs import Groups
from .training import fit

STEPS, GROUPS = 3_000, 5  # a batch is 5 groups, each of 2 images of every class
TEMPERATURE = 0.1


def averaged(
    first: Float[Tensor, "k d"],
    second: Float[Tensor, "k d"],
    temperature: float | None = TEMPERATURE,
) -> Float[Tensor, ""]:
    """`averaged_contrast` of all pairs among the views that `info_nce` compares.

    Args:
        first, second: row i of both are of one thing, all else is of different things.
        temperature: of cosine similarities, as `info_nce` has it; None takes plain dot products.
    """
    vectors = torch.cat([first, second])
    if temperature is not None:
        vectors = F.normalize(vectors, dim=-1) / temperature**0.5
    others, same = _relations(len(first))
    scores = vectors @ vectors.T
    return averaged_contrast(scores[others], same[others])


def _relations(k: int) -> tuple[Bool[Tensor, "n n"], Bool[Tensor, "n n"]]:
    """Among 2k views, which pairs are not of a view with itself, and which are partners."""
    itself = torch.eye(2 * k, dtype=torch.bool)
    return ~itself, itself.roll(k, dims=0)


def _classes(first: Float[Tensor, "k k"], second: Float[Tensor, "k k"]) -> Float[Tensor, ""]:
    """Cross-entropy of the classes, in the order in which groups have them."""
    labels = torch.arange(len(first)).repeat(2)
    return F.cross_entropy(torch.cat([first, second]), labels, label_smoothing=0.05)


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "info_nce": info_nce,
    "averaged": averaged,
    "averaged, dot product": lambda first, second: averaged(first, second, None),
    "classes": _classes,
}


def hard_share(vectors: Float[Tensor, "k 2 d"], hardest: float = 0.1) -> dict[str, float]:
    """How much of all that pushes negatives away acts on the hardest of them: the most alike tenth.

    The push on a pair is the derivative of the loss by its cosine similarity.

    Args:
        vectors: of a group, two of each of k things.
        hardest: the share of the negatives that counts as hard.

    Returns:
        for "info_nce" and "averaged".
    """
    first, second = F.normalize(vectors, dim=-1).unbind(1)
    views = torch.cat([first, second])
    scores = (views @ views.T).requires_grad_()
    others, same = _relations(len(first))
    partner = same.int().argmax(1)
    logits = scores / TEMPERATURE
    losses = {
        "info_nce": F.cross_entropy(logits.masked_fill(~others, -torch.inf), partner),
        "averaged": averaged_contrast(logits[others], same[others]),
    }
    negatives = others & ~same
    order = scores[negatives].argsort(descending=True)[: round(hardest * int(negatives.sum()))]
    shares = {}
    for name, loss in losses.items():
        push = torch.autograd.grad(loss, scores, retain_graph=True)[0][negatives]
        shares[name] = (push[order].sum() / push.sum()).item()
    return shares


def train_encoder(
    objective: str, groups: Groups, seed: int, steps: int = STEPS, progress: bool = True
) -> HostCNN:
    """A `HostCNN` with nothing in its slot, trained from `seed` by one of `LOSSES`; all else is equal, the batches too.

    For "classes" its outputs are the classes, for the others 32 numbers.
    """
    torch.manual_seed(seed)
    encoder = HostCNN(num_classes=groups.members.shape[1] if objective == "classes" else 32)
    loss = LOSSES[objective]

    def of_groups(model: nn.Module, batch: Float[Tensor, "b k 2 3 h w"]) -> Tensor:
        images = batch.flatten(0, 2).to(memory_format=torch.channels_last)
        vectors = model(images).unflatten(0, batch.shape[:3])
        return torch.stack([loss(*group.unbind(1)) for group in vectors]).mean()

    fit(
        encoder,
        groups,
        loss=of_groups,
        steps=steps,
        batch_size=GROUPS,
        seed=seed,
        progress=progress,
    )
    return encoder
