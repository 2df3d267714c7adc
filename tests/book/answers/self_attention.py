import torch
import torch.nn.functional as F
from einops import einsum, rearrange

ALIVE = ["query.weight", "query.bias", "key.weight", "value.weight", "value.bias", "gamma"]


def position_by_position(x, w_q, w_k, w_v, gamma):
    y = x.clone()
    for i in range(x.shape[2]):
        for j in range(x.shape[3]):
            query = x[:, :, i, j] @ w_q.T
            keys = torch.einsum("dc,bchw->bdhw", w_k, x)
            scores = torch.einsum("bd,bdhw->bhw", query, keys)
            weights = scores.flatten(1).softmax(1).view_as(scores)
            values = torch.einsum("dc,bchw->bdhw", w_v, x)
            y[:, :, i, j] += gamma * (weights[:, None] * values).sum((2, 3))
    return y


def with_convolutions(x, w_q, w_k, w_v, gamma):
    q, k, v = (F.conv2d(x, w[..., None, None]).flatten(2) for w in (w_q, w_k, w_v))
    return x + gamma * (v @ (q.mT @ k).softmax(-1).mT).reshape(x.shape)


def fused(x, w_q, w_k, w_v, gamma):
    tokens = rearrange(x, "b c h w -> b (h w) c")
    y = F.scaled_dot_product_attention(tokens @ w_q.T, tokens @ w_k.T, tokens @ w_v.T, scale=1)
    return x + gamma * rearrange(y, "b (h w) c -> b c h w", h=x.shape[2])


def attends(x, w_q, w_k, w_v, gamma, axis=-1, scale=1.0, join="bcn", start=None):
    """Self-attention with something wrong."""
    tokens = x.flatten(2).mT
    scores = (tokens @ w_q.T) @ (tokens @ w_k.T).mT * scale
    y = (scores.softmax(axis) if axis else scores) @ (tokens @ w_v.T)
    y = y.mT.reshape(x.shape) if join == "bcn" else y.reshape(x.shape)
    return (x if start is None else start * x) + gamma * y


def tokens_of(x):
    return x.flatten(2).mT


RIGHT = {
    "second_step": {
        "a list": lambda: ALIVE,
        "a set": lambda: set(ALIVE),
        "a tuple, backwards": lambda: tuple(ALIVE[::-1]),
    },
    "self_attention": {
        "position by position": position_by_position,
        "convolutions": with_convolutions,
        "fused": fused,
    },
    "attention_map": {
        "einsum": lambda q, k: torch.einsum("bdn,bdm->bnm", q.flatten(2), k.flatten(2)).softmax(
            2
        ),
        "permute": lambda q, k: (
            q.permute(0, 2, 3, 1).reshape(len(q), -1, q.shape[1]) @ k.flatten(2)
        ).softmax(-1),
        "exponentials": lambda q, k: F.normalize(
            einsum(q, k, "b d h w, b d y x -> b h w y x").flatten(1, 2).flatten(2).exp(),
            1,
            dim=2,
        ),
    },
}
WRONG = {
    "second_step": {
        "gamma alone": lambda: ["gamma"],
        "all": lambda: [*ALIVE, "key.bias"],
        "no biases": lambda: {name for name in ALIVE if "bias" not in name},
        "only the dead one": lambda: {"key.bias"},
        "none": lambda: set(),
        "key.bias in place of query.bias": lambda: {*ALIVE, "key.bias"} - {"query.bias"},
    },
    "self_attention": {
        "the identity": lambda x, *w: x,
        "zeros": lambda x, *w: torch.zeros_like(x),
        "softmax over the queries": lambda *given: attends(*given, axis=1),
        "softmax over the batch": lambda *given: attends(*given, axis=0),
        "no softmax": lambda *given: attends(*given, axis=None),
        "scaled by √d": lambda *given: attends(*given, scale=given[1].shape[0] ** -0.5),
        "reshape for transpose": lambda *given: attends(*given, join="bnc"),
        "x twice": lambda *given: attends(*given, start=2),
        "x left out": lambda *given: attends(*given, start=0),
        "query and key exchanged": lambda x, q, k, v, gamma: attends(x, k, q, v, gamma),
        "gamma left out": lambda x, q, k, v, gamma: attends(x, q, k, v, 1.0),
        "a shape": lambda x, *w: x.flatten(2),
    },
    "attention_map": {
        "scrambled keys": lambda q, k: (
            tokens_of(q) @ k.reshape(len(k), -1, k.shape[1]).mT
        ).softmax(-1),
        "both scrambled": lambda q, k: (
            q.reshape(len(q), -1, q.shape[1]) @ k.reshape(len(k), -1, k.shape[1]).mT
        ).softmax(-1),
        "softmax over the queries": lambda q, k: (tokens_of(q) @ k.flatten(2)).softmax(1),
        "no softmax": lambda q, k: tokens_of(q) @ k.flatten(2),
        "a constant map": lambda q, k: (0 * tokens_of(q) @ k.flatten(2)).softmax(-1),
        "rows and columns exchanged": lambda q, k: (tokens_of(k) @ q.flatten(2)).softmax(-1),
        "scaled": lambda q, k: (tokens_of(q) @ k.flatten(2) / q.shape[1] ** 0.5).softmax(-1),
        "columns first": lambda q, k: (q.mT.flatten(2).mT @ k.mT.flatten(2)).softmax(-1),
    },
}
