import torch
import torch.nn.functional as F
from einops import einsum, rearrange


def by_trying(d, e):
    n = 0
    while n * (d + e) <= 2 * d * e:
        n += 1
    return n


def by_the_first_that_is_less(d, e):
    counts = ((n, n * n * (d + e), 2 * n * d * e) for n in range(1, 2 * d * e + 2))
    return next(n for n, pairs, sums in counts if sums < pairs)


def features(x):
    return F.elu(x) + 1


def with_a_value_of_one(query, key, value):
    phi, psi = features(query), features(key)
    value = torch.cat([value, torch.ones_like(value[..., :1])], dim=2)
    summed = einsum(phi, psi.mT @ value, "b n d, b d e -> b n e")
    return summed[..., :-1] / summed[..., -1:]


def position_by_position(query, key, value):
    b, n, d = key.shape
    summary, total = torch.zeros(b, d, value.shape[2]), torch.zeros(b, d, 1)
    for j in range(n):
        psi = features(key[:, j, :, None])
        summary += psi * value[:, j, None]
        total += psi
    return features(query) @ summary / (features(query) @ total)


def divided_first(query, key, value):
    phi, psi = features(query), features(key)
    phi = phi / (phi * psi.sum(1, keepdim=True)).sum(-1, keepdim=True)
    return phi @ torch.einsum("bmd, bme -> bde", psi, value)


def gathers(query, key, value, phi=features, psi=features, total=None):
    """Linear attention with something wrong."""
    query, key = phi(query), psi(key)
    summed = query @ (key.mT @ value)
    return summed / (query @ key.sum(1)[..., None] if total is None else total(query, key))


def in_halves_of_the_image(query, key, value):
    halves = zip(query.chunk(2, 1), key.chunk(2, 1), value.chunk(2, 1), strict=True)
    return torch.cat([gathers(*half) for half in halves], 1)


def pairs(query, key, value):
    weights = F.normalize(features(query) @ features(key).mT, p=1, dim=2)
    return weights @ value


def softmax_over_pairs(query, key, value):
    return F.scaled_dot_product_attention(query, key, value)


def numbered(rows, columns):
    window = (rows[:, None] * 1_000 + columns).flatten()
    return window[:, None] == window


def by_numbers(length, side, shift):
    return torch.div(torch.arange(length) + side - shift, side, rounding_mode="floor")


def along_each_axis(h, w, side, shift):
    rows, columns = by_numbers(h, side, shift), by_numbers(w, side, shift)
    same = (rows[:, None] == rows)[:, None, :, None] & (columns[:, None] == columns)[
        None, :, None
    ]
    return rearrange(same, "h w y x -> (h w) (y x)")


def by_bounds(h, w, side, shift):
    def edges(length):
        return torch.bucketize(
            torch.arange(length), torch.arange(shift, length, side), right=True
        )

    return numbered(edges(h), edges(w))


def pair_by_pair(h, w, side, shift):
    cells = [((y - shift) // side, (x - shift) // side) for y in range(h) for x in range(w)]
    return torch.tensor([[one == other for other in cells] for one in cells])


RIGHT = {
    "pays_from": {
        "tried": by_trying,
        "the first that is less": by_the_first_that_is_less,
        "a quotient": lambda d, e: int(2 * d * e / (d + e)) + 1,
    },
    "gather": {
        "a value of one": with_a_value_of_one,
        "position by position": position_by_position,
        "divided first": divided_first,
    },
    "look_at_each_other": {
        "along each axis": along_each_axis,
        "by bounds": by_bounds,
        "pair by pair": pair_by_pair,
    },
}
WRONG = {
    "pays_from": {
        "a tie counts": lambda d, e: -(-2 * d * e // (d + e)),
        "d alone": lambda d, e: d + 1,
        "the wider": lambda d, e: max(d, e) + 1,
        "the product": lambda d, e: d * e,
        "the mean": lambda d, e: (d + e) // 2 + 1,
        "half": lambda d, e: d * e // (d + e) + 1,
        "no whole number": lambda d, e: 2 * d * e / (d + e) + 0.5,
        "always": lambda d, e: 1,
    },
    "gather": {
        "no division": lambda *given: gathers(*given, total=lambda q, k: 1),
        "divided by n": lambda *given: gathers(*given, total=lambda q, k: k.shape[1]),
        "divided by the keys alone": lambda *given: gathers(
            *given, total=lambda q, k: k.sum((1, 2), keepdim=True)
        ),
        "elu without 1": lambda *given: gathers(*given, phi=F.elu, psi=F.elu),
        "ReLU": lambda *given: gathers(
            *given, phi=lambda x: x.relu() + 1e-3, psi=lambda x: x.relu() + 1e-3
        ),
        "exponentials": lambda *given: gathers(*given, phi=torch.exp, psi=torch.exp),
        "two softmaxes": lambda *given: gathers(
            *given, phi=lambda x: x.softmax(2), psi=lambda x: x.softmax(1)
        ),
        "queries as they are": lambda *given: gathers(*given, phi=lambda x: x),
        "queries and keys exchanged": lambda q, k, v: gathers(k, q, v),
        "halves that do not meet": in_halves_of_the_image,
        "all pairs": pairs,
        "softmax over pairs": softmax_over_pairs,
        "the values": lambda q, k, v: v,
    },
    "look_at_each_other": {
        "not shifted": lambda h, w, side, shift: pair_by_pair(h, w, side, 0),
        "shifted the other way": lambda h, w, side, shift: pair_by_pair(h, w, side, -shift),
        "only the rows": lambda h, w, side, shift: numbered(
            by_numbers(h, side, shift), by_numbers(w, side, 0)
        ),
        "only the columns": lambda h, w, side, shift: numbered(
            by_numbers(h, side, 0), by_numbers(w, side, shift)
        ),
        "rounded towards 0": lambda h, w, side, shift: numbered(
            torch.div(torch.arange(h) - shift, side, rounding_mode="trunc"),
            torch.div(torch.arange(w) - shift, side, rounding_mode="trunc"),
        ),
        "the first rows are let off alone": lambda h, w, side, shift: (
            numbered(
                by_numbers(h, side, shift) * (torch.arange(h) >= shift),
                by_numbers(w, side, shift),
            )
            & (torch.arange(h * w) >= shift * w)
        ),
        "all of them": lambda h, w, side, shift: torch.ones(h * w, h * w, dtype=torch.bool),
        "themselves": lambda h, w, side, shift: torch.eye(h * w) > 0,
        "the other order": lambda h, w, side, shift: pair_by_pair(w, h, side, shift),
    },
}
