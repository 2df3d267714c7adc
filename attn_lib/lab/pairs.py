"""Pairs of the same or of different things: to learn from, and to judge by."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from scipy.stats import rankdata
from torch import Tensor


@dataclass(frozen=True)
class Pairs:
    """Pairs of feature maps, half of them of the same class.

    Attributes:
        features: (n, c, h, w), those that the pairs are made of.
        first, second: (b,), which two.
        same: (b,), whether they are of one class.
    """

    features: Float[Tensor, "n c h w"]
    first: Int[Tensor, " b"]
    second: Int[Tensor, " b"]
    same: Bool[Tensor, " b"]

    def __len__(self) -> int:
        return len(self.same)

    def __getitem__(self, indices: Int[Tensor, " b"]) -> "Pairs":
        return Pairs(
            self.features, self.first[indices], self.second[indices], self.same[indices]
        )

    def differences(self) -> Float[Tensor, "b c h w"]:
        """The first map minus the second."""
        return self.features[self.first] - self.features[self.second]


def draw_pairs(
    features: Float[Tensor, "n c h w"], labels: Int[Tensor, " n"], count: int, seed: int = 0
) -> Pairs:
    """Draw `count` pairs, by turns of the same class and of two different ones.

    The class of the first is drawn as often as it occurs; a pair is never of one map with itself.

    Raises:
        ValueError: count is below 1, there is one class only, or a class has a single map.
    """
    classes, counts = labels.unique(return_counts=True)
    if count < 1 or len(classes) < 2 or counts.min() < 2:
        raise ValueError(
            "draw_pairs wants a count of at least 1, and two or more classes of two or more maps; "
            f"got {count=} and classes of {counts.tolist()} maps"
        )
    generator = torch.Generator().manual_seed(seed)
    first = torch.randint(len(labels), (count,), generator=generator)
    same = torch.arange(count) % 2 == 0
    second = torch.empty_like(first)
    open_ = torch.ones(count, dtype=torch.bool)
    while open_.any():  # draw again those that are not as they should be
        second[open_] = torch.randint(len(labels), (int(open_.sum()),), generator=generator)
        open_ = ((labels[first] == labels[second]) != same) | (first == second)
    return Pairs(features, first, second, same)


@dataclass(frozen=True)
class Groups:
    """Groups with two images of each class: within one, all other pairs are of different things.

    Attributes:
        images: (n, …), those that the groups are made of; or their features.
        members: (b, k, 2), which two of each of k classes.
    """

    images: Float[Tensor, "n ..."]
    members: Int[Tensor, "b k 2"]

    def __len__(self) -> int:
        return len(self.members)

    def __getitem__(self, indices: Int[Tensor, " b"]) -> Float[Tensor, "b k 2 ..."]:
        return self.images[self.members[indices]]


def draw_groups(
    images: Float[Tensor, "n ..."], labels: Int[Tensor, " n"], seed: int = 0
) -> Groups:
    """As many groups as the smallest class allows, each image in one at most.

    Raises:
        ValueError: there is one class only, or a class has a single image.
    """
    classes, counts = labels.unique(return_counts=True)
    if len(classes) < 2 or counts.min() < 2:
        raise ValueError(
            "draw_groups wants two or more classes of two or more images; "
            f"got classes of {counts.tolist()} images"
        )
    generator = torch.Generator().manual_seed(seed)
    take = int(counts.min()) // 2 * 2
    members = [
        of[torch.randperm(len(of), generator=generator)[:take]]
        for of in ((labels == label).nonzero().flatten() for label in classes)
    ]
    return Groups(images, rearrange(torch.stack(members), "k (g two) -> g k two", two=2))


def area_under_curve(scores: Float[Tensor, " b"], same: Bool[Tensor, " b"]) -> float:
    r"""ROC AUC: how often a pair of the same scores higher than a pair of different things; ties count half.

    $$ \mathrm{AUC} = \frac{\sum_{\mathrm{same}} \mathrm{rank} - p_+(p_+ + 1)/2}{p_+\, p_-} $$

    Raises:
        ValueError: there is no pair of one of the two kinds.
    """
    positives, negatives = int(same.sum()), int((~same).sum())
    if 0 in (positives, negatives):
        raise ValueError(
            f"an AUC wants pairs of both kinds; got {positives} same and {negatives} different"
        )
    ranks = torch.from_numpy(rankdata(scores.double().numpy()))
    wins = ranks[same].sum().item() - positives * (positives + 1) / 2
    return wins / (positives * negatives)


def retrieval(
    vectors: Float[Tensor, "n d"], labels: Int[Tensor, " n"], classes: Sequence[int]
) -> dict[str, float]:
    """How well cosine similarity tells pairs of the same class, among vectors of some classes.

    Returns:
        `auc`, over all pairs; and `r_precision`, the share of its own class among the r vectors nearest to
        each, r being how many others of its class there are (Musgrave, Belongie, Lim, "A Metric Learning
        Reality Check", ECCV 2020, section 3.1).
    """
    chosen = torch.isin(labels, torch.tensor(classes))
    vectors, labels = torch.nn.functional.normalize(vectors[chosen], dim=-1), labels[chosen]
    scores, same = vectors @ vectors.T, labels[:, None] == labels
    upper = torch.triu(torch.ones_like(same), diagonal=1)
    order = scores.fill_diagonal_(-torch.inf).argsort(dim=1, descending=True)
    others = same.sum(1, keepdim=True) - 1
    near = same.gather(1, order) & (torch.arange(len(labels)) < others)
    return {
        "auc": area_under_curve(scores[upper], same[upper]),
        "r_precision": (near.sum(1) / others.squeeze(1)).mean().item(),
    }
