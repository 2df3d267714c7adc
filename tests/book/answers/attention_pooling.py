import torch
import torch.nn.functional as F
from einops import einsum, rearrange


def query_by_query(x, queries):
    tokens = rearrange(x, "b c h w -> b (h w) c")
    weights = [(tokens @ query).softmax(1) for query in queries]
    return torch.stack([(w[..., None] * tokens).sum(1) for w in weights], 1)


def fused(x, queries):
    tokens = x.flatten(2).mT.contiguous()
    every = queries.expand(len(x), *queries.shape)
    return F.scaled_dot_product_attention(every, tokens, tokens, scale=1.0)


def with_einsum(x, queries):
    scores = einsum(queries, x, "k c, b c h w -> b k h w")
    grown = (scores - scores.amax((2, 3), keepdim=True)).exp()
    return einsum(grown / grown.sum((2, 3), keepdim=True), x, "b k h w, b c h w -> b k c")


def asks(x, queries, axis=-1, scale=1.0, keys=lambda x: x.flatten(2)):
    """Attention pooling with something wrong."""
    scores = queries @ keys(x) * scale
    weights = scores if axis is None else scores.softmax(axis)
    return weights @ x.flatten(2).mT


def image_by_image(x, query):
    weights = [torch.softmax((image @ query)[:, 0], 0) for image in x]
    return torch.stack([w @ image for w, image in zip(weights, x, strict=True)])


def pool_fused(x, query):
    row = query.T.expand(len(x), 1, -1)
    return F.scaled_dot_product_attention(row, x, x, scale=1.0).squeeze(1)


def pools(x, query, weigh):
    return (weigh(x @ query) * x).sum(1)


def emptied(scores, inside):
    return scores.where(inside, -1e9).flatten(1).softmax(1).unflatten(1, scores.shape[1:])


def renormalised(scores, inside):
    grown = (scores - scores.amax((1, 2), keepdim=True)).exp() * inside
    return grown / grown.sum((1, 2), keepdim=True)


def one_after_another(scores, inside):
    weights = torch.zeros(scores.shape)
    for w, s, place in zip(weights, scores, inside, strict=True):
        w[place] = F.softmax(s[place], dim=0)
    return weights


def softmax_of(scores):
    return scores.flatten(1).softmax(1).view_as(scores)


KEPT = {"shift", "across"}, {"shuffle", "twice"}

RIGHT = {
    "predict": {
        "lists": lambda: [["across", "shift"], ["twice", "shuffle"]],
        "tuples": lambda: (("shift", "across"), ("shuffle", "twice")),
        "sets": lambda: KEPT,
    },
    "ask": {"query by query": query_by_query, "fused": fused, "einsum": with_einsum},
    "pool": {
        "image by image": image_by_image,
        "fused": pool_fused,
        "products": lambda x, query: torch.einsum(
            "bn, bnc -> bc", torch.einsum("bnc, ci -> bn", x, query).softmax(-1), x
        ),
        "logarithms": lambda x, query: pools(x, query, lambda s: s.log_softmax(-2).exp()),
    },
    "numbers": {
        "in an order": lambda: ([4, 3, 2, 1], [-3, -2, -1, 0]),
        "tensors": lambda: (
            torch.tensor([0.3, 0.1, 0.7, 0.5]),
            torch.tensor([-0.2, 0.0, -0.6, -0.4]),
        ),
        "tuples, far apart": lambda: ((-10, 100, 5000, 7), (10.5, -99.0, -4999.0, -6.5)),
    },
    "masked_weights": {
        "a very low score": emptied,
        "a logarithm": lambda scores, inside: softmax_of(scores + inside.float().log()),
        "one after another": one_after_another,
        "renormalised": renormalised,
        "a large fine": lambda scores, inside: softmax_of(scores - 1e4 * ~inside),
    },
}
WRONG = {
    "predict": {
        "exchanged": lambda: (KEPT[1], KEPT[0]),
        "nothing": lambda: (set(), set()),
        "double keeps weights": lambda: (KEPT[0] | {"double"}, KEPT[1]),
        "across keeps y": lambda: (KEPT[0], KEPT[1] | {"across"}),
        "shuffle keeps weights": lambda: (KEPT[0] | {"shuffle"}, KEPT[1]),
        "no across": lambda: ({"shift"}, KEPT[1]),
        "no shuffle": lambda: (KEPT[0], {"twice"}),
        "no twice": lambda: (KEPT[0], {"shuffle"}),
        "one set too many": lambda: (*KEPT, {"double"}),
        "one set": lambda: KEPT[0],
    },
    "ask": {
        "the average": lambda x, queries: x.mean((2, 3))[:, None].expand(-1, len(queries), -1),
        "the queries": lambda x, queries: queries.expand(len(x), -1, -1),
        "over the queries": lambda x, queries: asks(x, queries, axis=1),
        "over the batch": lambda x, queries: asks(x, queries, axis=0),
        "no softmax": lambda x, queries: asks(x, queries, axis=None),
        "over √c": lambda x, queries: asks(x, queries, scale=queries.shape[1] ** -0.5),
        "scrambled keys": lambda x, queries: asks(
            x, queries, keys=lambda x: x.reshape(len(x), -1, x.shape[1]).mT
        ),
        "columns first": lambda x, queries: asks(x, queries, keys=lambda x: x.mT.flatten(2)),
        "the first query": lambda x, queries: asks(x, queries[:1]).expand(-1, len(queries), -1),
        "one softmax for all": lambda x, queries: (
            (queries @ x.flatten(2)).flatten(1).softmax(1).unflatten(1, (len(queries), -1))
            @ x.flatten(2).mT
        ),
        "the mean of the queries": lambda x, queries: asks(
            x, queries.mean(0, keepdim=True).expand_as(queries)
        ),
        "(b, c, k)": lambda x, queries: asks(x, queries).mT,
        "the best position": lambda x, queries: asks(x, queries, scale=1e6),
        "all images in one": lambda x, queries: (
            (queries @ x.transpose(0, 1).flatten(1)).softmax(-1)
            @ x.transpose(0, 1).flatten(1).T
        ).expand(len(x), -1, -1),
    },
    "pool": {
        "the average": lambda x, query: x.mean(1),
        "the sum": lambda x, query: x.sum(dim=1),
        "the maximum": lambda x, query: x.amax(1),
        "the first position": lambda x, query: x[:, 0],
        "over the batch": lambda x, query: pools(x, query, lambda s: s.softmax(0)),
        "sigmoids": lambda x, query: pools(x, query, torch.sigmoid),
        "sigmoids, divided": lambda x, query: pools(
            x, query, lambda s: s.sigmoid() / s.sigmoid().sum(1, keepdim=True)
        ),
        "no softmax": lambda x, query: pools(x, query, lambda s: s),
        "scores over their sum": lambda x, query: pools(x, query, lambda s: s / s.sum(1, True)),
        "over the norm": lambda x, query: pools(x, query, lambda s: F.normalize(s, dim=1)),
        "over √c": lambda x, query: pools(
            x, query, lambda s: (s / len(query) ** 0.5).softmax(1)
        ),
        "over n": lambda x, query: pools(x, query, lambda s: s.softmax(-1) / s.shape[1]),
        "softmax, then over n": lambda x, query: pools(
            x, query, lambda s: s.softmax(1) / s.shape[1]
        ),
        "the best position": lambda x, query: pools(x, query, lambda s: (1e6 * s).softmax(1)),
        "minus": lambda x, query: pools(x, query, lambda s: (-s).softmax(1)),
    },
    "numbers": {
        "always same": lambda: ([1.0] * 4, [1.0] * 4),
        "always different": lambda: ([-1, -2, -3, -4], [0, 0, 0, 0]),
        "the other order": lambda: ([1, 2, 3, 4], [-1.5, -2.5, -3.5, -4.5]),
        "zero is not above zero": lambda: ([1, 2, 3, 4], [-1, -2, -3, -4]),
        "one colour": lambda: ([1, -1, -1, -1], [1, -1, -1, -1]),
        "all alike but one": lambda: ([0, 0, 0, 1], [-0.5] * 4),
        "only five numbers": lambda: ([1, 2, 3, 4], [-0.5]),
        "not numbers": lambda: ([1, 2, 3, float("nan")], [-0.5, -1.5, -2.5, -3.5]),
        "five colours": lambda: ([1, 2, 3, 4, 5], [-0.5, -1.5, -2.5, -3.5, -4.5]),
        "one side": lambda: ([1, 2, 3, 4],),
        "nearly in an order": lambda: ([1, 2, 3, 4], [-0.5, -1.5, -3.5, -3.5]),
    },
    "masked_weights": {
        "unmasked": lambda scores, inside: softmax_of(scores),
        "scores of 0": lambda scores, inside: softmax_of(scores * inside),
        "the lowest score": lambda scores, inside: softmax_of(
            scores.where(inside, scores.min())
        ),
        "a small fine": lambda scores, inside: softmax_of(scores - 10 * ~inside),
        "a score of -10": lambda scores, inside: softmax_of(scores.masked_fill(~inside, -10)),
        "a tiny score": lambda scores, inside: softmax_of(scores.masked_fill(~inside, 1e-9)),
        "the image hidden": lambda scores, inside: softmax_of(scores.masked_fill(inside, -1e9)),
        "masked too late": lambda scores, inside: softmax_of(scores) * inside,
        "over the batch": lambda scores, inside: scores.where(inside, -1e9).softmax(0),
        "over rows": lambda scores, inside: scores.where(inside, -1e9).softmax(-1),
        "over all images": lambda scores, inside: (
            scores.where(inside, -1e9).flatten().softmax(0).view_as(scores)
        ),
        "even": lambda scores, inside: inside / inside.sum((1, 2), keepdim=True),
        "the scores": lambda scores, inside: scores.masked_fill(~inside, 0.0),
        "flat": lambda scores, inside: scores.where(inside, -1e9).flatten(1).softmax(1),
    },
}
