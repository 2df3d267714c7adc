import torch
import torch.nn.functional as F
from answers.vision_transformer_maps import (
    after_each,
    attentions,
    changed,
    from_projections,
    hooks_left,
    in_training,
    layer_by_layer,
    own_forward,
    recorded,
    same_tokens,
    trained_a_little,
    without_feed_forward,
)
from einops import einsum, rearrange, reduce
from torch import nn


def in_thirds(tokens, w_qkv, w_out, heads):
    b, n, _ = tokens.shape
    query, key, value = (
        F.linear(tokens, w).view(b, n, heads, -1).transpose(1, 2) for w in w_qkv.chunk(3)
    )
    attended = F.scaled_dot_product_attention(query, key, value)
    return F.linear(attended.transpose(1, 2).reshape(b, n, -1), w_out)


def head_by_head(tokens, w_qkv, w_out, heads):
    k = len(w_qkv) // (3 * heads)
    y = torch.zeros_like(tokens)
    for a in range(heads):
        w_q, w_k, w_v = (w[a * k : (a + 1) * k] for w in w_qkv.chunk(3))
        scores = einsum(tokens @ w_q.T, tokens @ w_k.T, "b n k, b m k -> b n m")
        attended = (scores * k**-0.5).softmax(2) @ (tokens @ w_v.T)
        y = y + attended @ w_out[:, a * k : (a + 1) * k].T
    return y


def with_einsum(tokens, w_qkv, w_out, heads):
    w = rearrange(w_qkv, "(three a k) d -> three a k d", three=3, a=heads)
    q, k, v = einsum(w, tokens, "three a k d, b n d -> three b a n k")
    e = einsum(q / q.shape[-1] ** 0.5, k, "b a n k, b a m k -> b a n m").exp()
    y = einsum(e / e.sum(-1, keepdim=True), v, "b a n m, b a m k -> b n a k")
    return y.flatten(2) @ w_out.mT


def attends(
    tokens, w_qkv, w_out, heads,
    cut="b n (t a k) -> t b a n k", scale=None, axis=-1, join="b a n k -> b n (a k)",
    order=(0, 1, 2),
):  # fmt: skip
    """Attention with heads with something wrong."""
    qkv = rearrange(tokens @ w_qkv.T, cut, t=3, a=heads)
    q, k, v = (qkv[i] for i in order)
    scores = q @ k.mT * (q.shape[-1] ** -0.5 if scale is None else scale)
    weights = scores if axis is None else scores.softmax(axis)
    return rearrange(weights @ v, join) @ w_out.T


def averaged(maps):
    return [layer.mean(0) for layer in maps]


def rolled(maps, one=None, heads=None, order=1):
    """Rollout with something wrong."""
    step = one or (lambda a, i: (i + a) / 2)
    relations = [heads(a) if heads else a.mean(0) for a in maps]
    relations = [step(a, torch.eye(len(a))) for a in relations]
    return torch.linalg.multi_dot(relations[::-order]) if len(relations) > 1 else relations[0]


def recursive(maps):
    *before, last = maps
    step = (last.mean(0) + torch.eye(last.shape[-1])) / 2
    return step @ recursive(before) if before else step


def over_paths(maps):
    """A sum over who passes on to whom: each layer is taken or skipped."""
    total = 0
    for taken in range(2 ** len(maps)):
        path = torch.eye(maps[0].shape[-1])
        for i, layer in enumerate(maps):
            path = layer.mean(0) @ path if taken >> i & 1 else path
        total = total + path
    return total / 2 ** len(maps)


def token_by_token(maps):
    rows = []
    for i in range(maps[0].shape[-1]):
        row = torch.zeros(maps[0].shape[-1])
        row[i] = 1
        for layer in reversed(maps):
            row = 0.5 * row + 0.5 * (row @ reduce(layer, "heads n m -> n m", "mean"))
        rows.append(row)
    return torch.stack(rows)


RIGHT = {
    "parameters": {
        "in parts": lambda dim, heads, dim_head: sum(
            [dim, dim, *[heads * dim_head * dim] * 3, dim * heads * dim_head]
        ),
        "one product": lambda dim, heads, dim_head: dim * (2 + 4 * heads * dim_head),
        "counted": lambda dim, heads, dim_head: sum(
            w.numel()
            for layer in (
                nn.LayerNorm(dim, device="meta"),
                nn.Linear(dim, 3 * heads * dim_head, bias=False, device="meta"),
                nn.Linear(heads * dim_head, dim, bias=False, device="meta"),
            )
            for w in layer.parameters()
        ),
        "a tensor": lambda *sizes: torch.tensor(sizes).prod() * 4 + 2 * torch.tensor(sizes)[0],
    },
    "attend": {
        "in thirds": in_thirds,
        "head by head": head_by_head,
        "einsum": with_einsum,
    },
    "roll_out": {
        "recursive": recursive,
        "over paths": over_paths,
        "token by token": token_by_token,
    },
    "extract": {
        "recorded": recorded,
        "after each": after_each,
        "layer by layer": layer_by_layer,
        "from the projections": from_projections,
    },
}
WRONG = {
    "parameters": {
        "a bias at the end": lambda dim, heads, dim_head: (
            2 * dim + 4 * dim * heads * dim_head + dim
        ),
        "no LayerNorm": lambda dim, heads, dim_head: 4 * dim * heads * dim_head,
        "half of the LayerNorm": lambda dim, heads, dim_head: dim + 4 * dim * heads * dim_head,
        "one head": lambda dim, heads, dim_head: 2 * dim + 4 * dim * dim_head,
        "out to the same width": lambda dim, heads, dim_head: (
            2 * dim + 3 * dim * heads * dim_head + dim * dim
        ),
        "in from the same width": lambda dim, heads, dim_head: (
            2 * dim + 3 * dim * dim + heads * dim_head * dim
        ),
        "no way out": lambda dim, heads, dim_head: 2 * dim + 3 * dim * heads * dim_head,
        "biases everywhere": lambda dim, heads, dim_head: (
            2 * dim + 4 * dim * heads * dim_head + 3 * heads * dim_head + dim
        ),
        "one off": lambda dim, heads, dim_head: 2 * dim + 4 * dim * heads * dim_head + 1,
        "LayerNorm of the heads": lambda dim, heads, dim_head: (
            2 * heads * dim_head + 4 * dim * heads * dim_head
        ),
        "a constant": lambda dim, heads, dim_head: 4196352,
    },
    "attend": {
        "the identity": lambda tokens, *w: tokens,
        "scaled by the width": lambda *given: attends(*given, scale=given[0].shape[-1] ** -0.5),
        "scaled by all heads": lambda *given: attends(*given, scale=given[2].shape[1] ** -0.5),
        "divided by k": lambda *given: attends(*given, scale=given[3] / given[2].shape[1]),
        "not scaled": lambda *given: attends(*given, scale=1),
        "heads innermost": lambda *given: attends(*given, cut="b n (t k a) -> t b a n k"),
        "heads outermost": lambda *given: attends(*given, cut="b n (a t k) -> t b a n k"),
        "query, key, value innermost": lambda *given: attends(
            *given, cut="b n (a k t) -> t b a n k"
        ),
        "joined the wrong way": lambda *given: attends(*given, join="b a n k -> b n (k a)"),
        "softmax over the queries": lambda *given: attends(*given, axis=-2),
        "softmax over the heads": lambda *given: attends(*given, axis=1),
        "no softmax": lambda *given: attends(*given, axis=None),
        "query and key exchanged": lambda *given: attends(*given, order=(1, 0, 2)),
        "value first": lambda *given: attends(*given, order=(1, 2, 0)),
        "the tokens added": lambda *given: given[0] + attends(*given),
        "one head": lambda tokens, w_qkv, w_out, heads: attends(tokens, w_qkv, w_out, 1),
        "normalised again": lambda tokens, *w: attends(
            F.layer_norm(tokens, tokens.shape[-1:]), *w
        ),
        "no way out": lambda tokens, w_qkv, w_out, heads: attends(
            tokens, w_qkv, torch.eye(w_out.shape[1]), heads
        ),
        "heads not moved back": lambda tokens, w_qkv, w_out, heads: (
            attends(tokens, w_qkv, torch.eye(w_out.shape[1]), heads)
            .unflatten(2, (heads, -1))
            .transpose(1, 2)
            .reshape(*tokens.shape[:2], -1)
            @ w_out.T
        ),
    },
    "roll_out": {
        "the first layer on the left": lambda maps: rolled(maps, order=-1),
        "no identity": lambda maps: rolled(maps, one=lambda a, i: a),
        "not halved": lambda maps: rolled(maps, one=lambda a, i: a + i),
        "the identity alone": lambda maps: torch.eye(maps[0].shape[-1]),
        "even": lambda maps: torch.full_like(maps[0][0], 1 / maps[0].shape[-1]),
        "the last layer": lambda maps: rolled(maps[-1:]),
        "the first layer": lambda maps: rolled(maps[:1]),
        "the last layer left out": lambda maps: rolled(maps[:-1]),
        "the mean of the layers": lambda maps: torch.stack(averaged(maps)).mean(0),
        "the largest head": lambda maps: rolled(maps, heads=lambda a: a.amax(0)),
        "the largest head, put right": lambda maps: rolled(
            maps, heads=lambda a: F.normalize(a.amax(0), 1, dim=-1)
        ),
        "the first head": lambda maps: rolled(maps, heads=lambda a: a[0]),
        "the sum of the heads": lambda maps: rolled(maps, heads=lambda a: a.sum(0)),
        "transposed": lambda maps: rolled(maps).T,
        "columns for rows": lambda maps: rolled([a.mT for a in maps]),
        "columns sum to 1": lambda maps: F.normalize(rolled(maps), 1, dim=0),
        "mixed unevenly": lambda maps: rolled(maps, one=lambda a, i: 0.9 * a + 0.1 * i),
        "the identity once": lambda maps: (
            (rolled(maps, one=lambda a, i: a) + torch.eye(maps[0].shape[-1])) / 2
        ),
        "elementwise": lambda maps: torch.stack(
            [(a + torch.eye(len(a))) / 2 for a in averaged(maps)]
        ).prod(0),
        "each head alone": lambda maps: torch.stack(
            [rolled([a[i, None] for a in maps]) for i in range(len(maps[0]))]
        ),
    },
    "extract": {
        "hooks left": hooks_left,
        "hooks left on the projections": lambda network, images: list(
            from_projections(network, images, clean=False)
        ),
        "and they go on": lambda network, images: from_projections(
            network, images, clean=False
        ),
        "another forward left": own_forward,
        "scores": lambda network, images: from_projections(network, images, normalised=False),
        "not scaled": lambda network, images: from_projections(network, images, scaled=False),
        "over the queries": lambda network, images: from_projections(network, images, axis=-2),
        "the last layer": lambda network, images: from_projections(network, images, last=True),
        "the first tokens for all layers": same_tokens,
        "no feed-forward": without_feed_forward,
        "backwards": changed(lambda maps: maps[::-1]),
        "heads averaged": changed(lambda maps: [a.mean(1) for a in maps]),
        "heads averaged, kept": changed(
            lambda maps: [a.mean(1, True).expand_as(a) for a in maps]
        ),
        "heads exchanged": changed(lambda maps: [a.flip(1) for a in maps]),
        "transposed": changed(lambda maps: [a.mT for a in maps]),
        "even maps": changed(lambda maps: [torch.full_like(a, 1 / a.shape[-1]) for a in maps]),
        "the names": lambda network, images: [type(m).__name__ for m in attentions(network)],
        "the first image": changed(lambda maps: [a[:1] for a in maps]),
        "nothing": lambda network, images: [],
        "weights changed": trained_a_little,
        "left in training": in_training,
        "outputs of the layers": lambda network, images: [
            m(network.to_patch_embedding(images)) for m in attentions(network)
        ],
    },
}
