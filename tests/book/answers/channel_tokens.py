from fractions import Fraction

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn


def won_or_lost():
    """Each of two against each of two."""
    same, other = (1.5, -1.5), (0.2, -0.2)
    return sum(s > o for s in same for o in other) / 4


def view_by_view(first, second, temperature=0.1):
    views = torch.cat([first, second])
    n, loss = len(first), 0.0
    for i in range(2 * n):
        cosines = F.cosine_similarity(views[i, None], views) / temperature
        others = torch.cat([cosines[:i], cosines[i + 1 :]])
        loss = loss + others.logsumexp(0) - cosines[i - n]
    return loss / (2 * n)


def in_blocks(first, second, temperature=0.1):
    a, b = (x / x.norm(dim=1, keepdim=True) for x in (first, second))
    across, within_a, within_b = (
        (x @ y.T / temperature).exp() for x, y in ((a, b), (a, a), (b, b))
    )
    crowd_a = across.sum(1) + within_a.sum(1) - within_a.diagonal()
    crowd_b = across.sum(0) + within_b.sum(1) - within_b.diagonal()
    return (crowd_a.log() + crowd_b.log()).mean() / 2 - across.diagonal().log().mean()


def without_oneself(first, second, temperature=0.1):
    """No mask: the diagonal is cut out."""
    views = F.normalize(torch.stack([first, second], dim=1).flatten(0, 1), dim=1)
    m = len(views)
    scores = views @ views.mT / temperature
    others = scores.flatten()[1:].view(m - 1, m + 1)[:, :-1].reshape(m, m - 1)
    partner = torch.arange(m) ^ 1
    return F.nll_loss(others.log_softmax(1), partner - (partner > torch.arange(m)).long())


def number(first, second, temperature):
    return float(view_by_view(first, second, temperature))


def contrasts(
    first, second, temperature=0.1,
    norm=True, mask=-torch.inf, turn=None, reduction="mean", of=None,
):  # fmt: skip
    """InfoNCE with something wrong."""
    views = torch.cat([first, second])
    views = F.normalize(views, dim=-1) if norm else views
    scores = views @ views.T / temperature
    if mask is not None:
        scores.fill_diagonal_(mask)
    partner = torch.arange(len(views)).roll(len(first) if turn is None else turn)
    return F.cross_entropy(scores[:of], partner[:of], reduction=reduction)


def across_only(first, second, temperature=0.1):
    scores = F.normalize(first, dim=1) @ F.normalize(second, dim=1).T / temperature
    target = torch.arange(len(first))
    return (F.cross_entropy(scores, target) + F.cross_entropy(scores.T, target)) / 2


def partner_not_in_the_crowd(first, second, temperature=0.1):
    views = F.normalize(torch.cat([first, second]), dim=-1)
    scores = views @ views.T / temperature
    partner = torch.arange(len(views)).roll(len(first))
    positive = scores.gather(1, partner[:, None])[:, 0]
    hidden = torch.eye(len(views)).bool() | F.one_hot(partner).bool()
    return (scores.masked_fill(hidden, -torch.inf).logsumexp(1) - positive).mean()


def averaged_first(first, second, temperature=0.1):
    views = F.normalize(torch.cat([first, second]), dim=-1)
    scores, n = views @ views.T / temperature, len(first)
    same = torch.arange(2 * n) % n == torch.arange(2 * n)[:, None] % n
    alike = same & ~torch.eye(2 * n).bool()
    return F.softplus(scores[~same].mean() - scores[alike].mean())


def no_logarithm(first, second, temperature=0.1):
    views = F.normalize(torch.cat([first, second]), dim=-1)
    scores = (views @ views.T / temperature).fill_diagonal_(-torch.inf)
    return -scores.softmax(1).diagonal(len(first)).mean()


RIGHT = {
    "linear_auc": {
        "a half": lambda: 0.5,
        "a fraction": lambda: Fraction(1, 2),
        "won or lost": won_or_lost,
        "a tensor": lambda: torch.tensor(0.0).sigmoid(),
    },
    "contrast": {
        "view by view": view_by_view,
        "in blocks": in_blocks,
        "without oneself": without_oneself,
        "a number": number,
    },
    "place_tokens": {
        "flattened": lambda x: x.flatten(2).transpose(1, 2),
        "moved": lambda x: x.movedim(1, 3).flatten(1, 2),
        "place by place": lambda x: torch.stack(
            [x[:, :, i, j] for i in range(x.shape[2]) for j in range(x.shape[3])], dim=1
        ),
        "a convolution": lambda x: torch.einsum(
            "bchw,cd->bhwd", x, torch.eye(x.shape[1])
        ).reshape(len(x), -1, x.shape[1]),
        "unfolded": lambda x: F.unfold(x, 1).mT,
    },
    "crowded": {
        "view by view": lambda first, second, temperature=0.1: (
            view_by_view(first, second, temperature) * 1
        ),
        "in blocks": lambda a, b, temperature=0.1: in_blocks(b, a, temperature),
        "a large number taken away": lambda a, b, temperature=0.1: contrasts(
            a, b, temperature, mask=-1e9
        ),
        "the diagonal cut out": lambda a, b, t=0.1: without_oneself(
            second=b, first=a, temperature=t
        ),
    },
}
WRONG = {
    "linear_auc": {
        "never": lambda: 0,
        "always": lambda: 1.0,
        "nearly": lambda: 0.504,
        "nearly, below": lambda: 0.4999,
        "a quarter": lambda: 0.25,
        "that of the distance": lambda: 0.89,
        "in percent": lambda: 50,
        "minus": lambda: -0.5,
        "a row": lambda: [0.5],
    },
    "contrast": {
        "nothing": lambda a, b, t: torch.zeros(()),
        "itself in the crowd": lambda *given: contrasts(*given, mask=None),
        "itself as 0": lambda *given: contrasts(*given, mask=0),
        "no cosine": lambda *given: contrasts(*given, norm=False),
        "no temperature": lambda a, b, t: contrasts(a, b, 1),
        "always 0.1": lambda a, b, t: contrasts(a, b, 0.1),
        "times the temperature": lambda a, b, t: contrasts(a, b, 1 / t),
        "a neighbour for a partner": lambda *given: contrasts(*given, turn=1),
        "itself for a partner": lambda *given: contrasts(*given, turn=0, mask=None),
        "the sum": lambda *given: contrasts(*given, reduction="sum"),
        "the sum over n": lambda *given: contrasts(*given, reduction="sum") / len(given[0]),
        "not averaged": lambda *given: contrasts(*given, reduction="none"),
        "the first views": lambda *given: contrasts(*given, of=len(given[0])),
        "the crowd from the other side": across_only,
        "the partner not in the crowd": partner_not_in_the_crowd,
        "averaged first": averaged_first,
        "no logarithm": no_logarithm,
        "minus": lambda *given: -contrasts(*given),
        "normed over the views": lambda a, b, t: contrasts(
            *F.normalize(torch.stack([a, b]), dim=1), t, norm=False
        ),
    },
    "place_tokens": {
        "columns first": lambda x: rearrange(x, "b c h w -> b (w h) c"),
        "columns first, transposed": lambda x: x.transpose(1, 3).flatten(1, 2),
        "channel tokens": lambda x: x.flatten(2),
        "channels backwards": lambda x: x.flip(1).flatten(2).mT,
        "positions backwards": lambda x: x.flatten(2).mT.flip(1),
        "a view": lambda x: x.view(len(x), -1, x.shape[1]),
        "moved, then cut": lambda x: x.permute(0, 2, 1, 3).reshape(len(x), -1, x.shape[1]),
        "the means": lambda x: x.mean((2, 3))[:, None].expand(-1, x[0, 0].numel(), -1),
        "not flattened": lambda x: x.permute(0, 2, 3, 1),
        "batch within": lambda x: rearrange(x, "b c h w -> (h w) b c"),
        "images mixed": lambda x: rearrange(x, "b c h w -> (h w b) c").reshape(
            len(x), -1, x.shape[1]
        ),
        "zeros": lambda x: torch.zeros(len(x), x[0, 0].numel(), x.shape[1]),
    },
    "crowded": {
        "the stub": lambda a, b, t=0.1: contrasts(a, b, t, mask=None),
        "nothing": lambda a, b, t=0.1: torch.zeros(()),
        "itself as 0": lambda a, b, t=0.1: contrasts(a, b, t, mask=0.0),
        "itself as -1": lambda a, b, t=0.1: contrasts(a, b, t, mask=-1 / t),
        "ln 2 taken away": lambda a, b, t=0.1: (
            contrasts(a, b, t, mask=None) - torch.tensor(2.0).log()
        ),
        "always 0.1": lambda a, b, t=0.1: contrasts(a, b),
        "a default of 0.07": lambda a, b, t=0.07: contrasts(a, b, t),
        "no cosine": lambda a, b, t=0.1: contrasts(a, b, t, norm=False),
        "the crowd from the other side": lambda a, b, t=0.1: across_only(a, b, t),
        "one side asks": lambda a, b, t=0.1: F.cross_entropy(
            F.normalize(a) @ F.normalize(b).T / t, torch.arange(len(a))
        ),
        "the first views": lambda a, b, t=0.1: contrasts(a, b, t, of=len(a)),
        "the partner not in the crowd": lambda a, b, t=0.1: partner_not_in_the_crowd(a, b, t),
        "kept above 0": lambda a, b, t=0.1: partner_not_in_the_crowd(a, b, t).relu(),
        "the distance of partners": lambda a, b, t=0.1: (1 - F.cosine_similarity(a, b)).mean(),
        "averaged first": lambda a, b, t=0.1: averaged_first(a, b, t),
        "a module's margin": lambda a, b, t=0.1: nn.CosineEmbeddingLoss()(
            a, b, torch.ones(len(a))
        ),
        "the sum": lambda a, b, t=0.1: contrasts(a, b, t, reduction="sum"),
    },
}
