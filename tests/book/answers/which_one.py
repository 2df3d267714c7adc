from fractions import Fraction
from itertools import product
from statistics import stdev

import numpy as np
import torch
import torch.nn.functional as F


def over_all_images():
    right = [Fraction(1, len({*pair})) for pair in product(range(4), repeat=2)]
    return sum(right) / len(right)


def drawn_by_votes():
    votes = F.one_hot(torch.arange(4), 4)
    both = votes[:, None] + votes  # (colour, digit, answer)
    wins = (both == both.amax(-1, keepdim=True)).double()
    shares = wins / wins.sum(-1, keepdim=True)
    by_colour = shares.diagonal(dim1=0, dim2=2).mean()
    by_digit = shares.diagonal(dim1=1, dim2=2).mean()
    return (by_colour + by_digit) / 2


def by_sums_of_squares(without, with_it):
    gain = with_it - without
    off = gain - gain.sum() / 5
    return 2.776 * (off @ off / 20) ** 0.5


def half_width(gain, factor=2.776, correction=1, count=5):
    return factor * gain.std(correction=correction) / count**0.5


RIGHT = {
    "adding": {
        "a number": lambda: 0.625,
        "a fraction": lambda: Fraction(5, 8),
        "over all images": over_all_images,
        "by votes": drawn_by_votes,
        "no better than the colour always": lambda: 1 / 2 + 1 / 2 * 1 / 4,
        "by luck": lambda: torch.tensor([1.0, 0.5, 0.5, 0.5]).mean(),
    },
    "half_width": {
        "in plain Python": lambda without, with_it: (
            2.776
            * stdev(b - a for a, b in zip(without.tolist(), with_it.tolist(), strict=True))
            / 5**0.5
        ),
        "sums of squares": by_sums_of_squares,
        "by numpy": lambda without, with_it: (
            2.776 * np.std(without.numpy() - with_it.numpy()) / np.sqrt(4)
        ),
        "by covariance": lambda without, with_it: (
            2.776
            * (torch.stack([without, with_it]).cov() * torch.tensor([[1, -1], [-1, 1]]))
            .sum()
            .div(5)
            .sqrt()
        ),
    },
    "maps_of": {
        "exponentials": lambda scores: scores.exp() / scores.exp().sum(2, keepdim=True),
        "by logarithms": lambda scores: (scores - scores.logsumexp(-1, True)).exp(),
        "map by map": lambda scores: torch.stack(
            [torch.stack([row.softmax(0) for row in image]) for image in scores]
        ),
        "transposed": lambda scores: F.softmax(scores.permute(2, 0, 1), dim=0).permute(1, 2, 0),
    },
}
WRONG = {
    "adding": {
        "guessing": lambda: 0.25,
        "one in two": lambda: 0.5,
        "about right": lambda: 0.60,
        "read off the page": lambda: 0.62,
        "measured": lambda: 0.6185,
        "in percent": lambda: 62.5,
        "two thirds": lambda: 2 / 3,
        "ties are lost": lambda: 1 / 4,
        "ties are won": lambda: 1.0,
        "ties are broken among four": lambda: 1 / 4 + 3 / 4 * 1 / 4,
        "twice one in four, and a bit": lambda: 9 / 16,
        "a row": lambda: (0.625, 0.625),
    },
    "half_width": {
        "no pairs": lambda a, b: 2.776 * (a.var() / 5 + b.var() / 5).sqrt(),
        "the normal factor": lambda a, b: half_width(b - a, 1.96),
        "a factor for six": lambda a, b: half_width(b - a, 2.571),
        "no factor": lambda a, b: half_width(b - a, 1.0),
        "the whole width": lambda a, b: half_width(b - a, 2 * 2.776),
        "the biased deviation": lambda a, b: half_width(b - a, correction=0),
        "not divided": lambda a, b: half_width(b - a, count=1),
        "divided by 5": lambda a, b: half_width(b - a, count=25),
        "divided by √4": lambda a, b: half_width(b - a, count=4),
        "the variance": lambda a, b: 2.776 * (b - a).var() / 5**0.5,
        "how far apart": lambda a, b: half_width((b - a).abs() - b),
        "the sum": lambda a, b: half_width(a + b),
        "the difference of deviations": lambda a, b: (half_width(b) - half_width(a)).abs(),
        "sorted": lambda a, b: half_width(b.sort().values - a.sort().values),
        "the mean": lambda a, b: (b - a).mean(),
        "negative": lambda a, b: -half_width(b - a),
        "about": lambda a, b: half_width(b - a) + 0.002,
    },
    "maps_of": {
        "the stub, named": lambda scores: scores.softmax(0),
        "over the maps": lambda scores: scores.softmax(dim=1),
        "over maps and positions": lambda scores: scores.flatten(1).softmax(1).view_as(scores),
        "over all": lambda scores: scores.flatten().softmax(0).reshape(scores.shape),
        "even": lambda scores: torch.full_like(scores, 1 / scores.shape[-1]),
        "the scores": lambda scores: scores,
        "a sigmoid": lambda scores: scores.sigmoid(),
        "sigmoids that sum to 1": lambda scores: F.normalize(scores.sigmoid(), 1, -1),
        "minus": lambda scores: (-scores).softmax(dim=-1),
        "scaled": lambda scores: (scores / scores.shape[-1] ** 0.5).softmax(-1),
        "backwards": lambda scores: scores.softmax(-1).flip(-1),
        "shares of the scores": lambda scores: scores / scores.sum(-1, keepdim=True),
        "one map for all": lambda scores: scores.mean(1, True).softmax(-1).expand_as(scores),
        "put right afterwards": lambda scores: F.normalize(scores.softmax(0), 1, dim=-1),
        "the best alone": lambda scores: F.one_hot(scores.argmax(-1), scores.shape[-1]).float(),
        "the other way round": lambda scores: scores.softmax(-1).mT,
    },
}
