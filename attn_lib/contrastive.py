"""Losses that compare: what belongs together shall be more alike than what does not."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor


def info_nce(
    first: Float[Tensor, "n d"], second: Float[Tensor, "n d"], temperature: float = 0.1
) -> Float[Tensor, ""]:
    r"""The loss of picking each view's partner out of all the other views.

    $$ \ell_i = -\log \frac{e^{s(i, i^+) / \tau}}{\sum_{k \neq i} e^{s(i, k) / \tau}}, \qquad
       s(i, k) = \frac{z_i^\top z_k}{\lVert z_i \rVert\, \lVert z_k \rVert} $$

    averaged over the 2n views: row i of `first` and row i of `second` are partners, and no view is
    compared with itself. The more a wrong view resembles view i, the harder it is pushed away.

    Args:
        first, second: two views of each of n things, as d features.
        temperature: τ; the smaller, the more the hardest negatives count.

    Shapes: (n, d), (n, d) → ().

    Raises:
        ValueError: the views are not two equal (n, d) of floats with n >= 2 (one pair has no negatives),
            or the temperature is not positive.

    Source: Chen, Kornblith, Norouzi, Hinton, "A Simple Framework for Contrastive Learning of Visual
    Representations" (SimCLR), ICML 2020, section 2.1, eq. 1 (NT-Xent); τ = 0.1 is the paper's choice for
    ImageNet, its best-known PyTorch version takes 0.07. The name is from van den Oord, Li, Vinyals,
    "Representation Learning with Contrastive Predictive Coding", 2018, eq. 4.
    """
    if first.ndim != 2 or first.shape != second.shape or len(first) < 2:
        raise ValueError(
            "info_nce wants two views of shape (n, d) with n >= 2; "
            f"got {tuple(first.shape)} and {tuple(second.shape)}"
        )
    if not (temperature > 0 and first.is_floating_point() and second.is_floating_point()):
        raise ValueError(
            f"info_nce wants floats and a temperature > 0; got {first.dtype}, {second.dtype}, {temperature=}"
        )
    views = F.normalize(torch.cat([first, second]), dim=-1)
    scores = views @ views.T / temperature
    itself = torch.eye(len(views), dtype=torch.bool, device=views.device)
    partner = torch.arange(len(views), device=views.device).roll(len(first))
    return F.cross_entropy(scores.masked_fill(itself, -torch.inf), partner)


def averaged_contrast(
    scores: Float[Tensor, " b"], same: Bool[Tensor, " b"] | Int[Tensor, " b"]
) -> Float[Tensor, ""]:
    r"""The cross-entropy of the mean positive score against the mean negative score.

    $$ \ell = -\log \frac{e^{\bar s_+}}{e^{\bar s_+} + e^{\bar s_-}}
            = \mathrm{softplus}(\bar s_- - \bar s_+) $$

    Not InfoNCE, though it goes by that name: the means come before the exponentials, so every negative
    has the same gradient, a hard one no more than an easy one. Here to be compared with `info_nce`.

    Args:
        scores: one for each pair.
        same: whether the pair belongs together: True or 1, False or 0.

    Shapes: (b,), (b,) → ().

    Raises:
        ValueError: not two equal shapes (b,), scores that are not floats, other labels than 0 and 1, or
            no pair of one of the two kinds, whose mean would be NaN.

    Source: no paper. The form is what a SimCLR loss becomes when positives and negatives are averaged
    first (compare `info_nce_loss` in github.com/sthalles/SimCLR, which averages nothing).
    """
    if scores.ndim != 1 or scores.shape != same.shape or not scores.is_floating_point():
        raise ValueError(
            "averaged_contrast wants floating-point scores and labels of one shape (b,); "
            f"got {scores.dtype} of shape {tuple(scores.shape)} and labels of shape {tuple(same.shape)}"
        )
    positive, negative = (same == 1).to(scores.device), (same == 0).to(scores.device)
    counts = int(positive.sum()), int(negative.sum())
    if 0 in counts or sum(counts) != len(scores):
        raise ValueError(
            "averaged_contrast wants labels 0 and 1, and at least one of each; "
            f"got {counts[0]} of 1 and {counts[1]} of 0 among {len(scores)}"
        )
    logits = torch.stack([scores[positive].mean(), scores[negative].mean()])
    return F.cross_entropy(logits, torch.zeros((), dtype=torch.long, device=scores.device))
