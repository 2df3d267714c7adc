import torch
import torch.nn.functional as F
from einops import rearrange

SHAPES = (2, 24, 12), (2, 3, 24, 4), (2, 12, 2, 3)


def patch_by_patch(x, p):
    rows, columns = x.shape[2] // p, x.shape[3] // p
    found = []
    for i in range(rows):
        for j in range(columns):
            patch = x[:, :, i * p : (i + 1) * p, j * p : (j + 1) * p]
            found.append(patch.permute(0, 2, 3, 1).flatten(1))
    return torch.stack(found, 1)


def with_views(x, p):
    b, c, h, w = x.shape
    x = x.movedim(1, 3).reshape(b, h // p, p, w // p, p * c)
    return x.transpose(2, 3).reshape(b, -1, p * p * c)


def cut(x, p, order):
    b, c, h, w = x.shape
    x = x.reshape(b, c, h // p, p, w // p, p)
    return x.permute(0, *order).reshape(b, h * w // p**2, -1)


def by_hand(query, key, value, heads):
    result, d = torch.zeros_like(value), value.shape[2] // heads
    for head in range(heads):
        own = slice(head * d, head * d + d)
        q, k, v = query[..., own], key[..., own], value[..., own]
        result[..., own] = ((q @ k.mT) / d**0.5).softmax(-1) @ v
    return result


def fused(query, key, value, heads):
    parts = [x.unflatten(2, (heads, -1)).transpose(1, 2) for x in (query, key, value)]
    return F.scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2)


def many(query, key, value, heads, parts="(heads d)", whole="(heads d)", scale=None, axis=-1):
    """Attention with several heads, and with something wrong."""
    split = f"b n {parts} -> b heads n d"
    q, k, v = (rearrange(x, split, heads=heads) for x in (query, key, value))
    weights = (q @ k.mT * (q.shape[-1] ** -0.5 if scale is None else scale)).softmax(axis)
    return rearrange(weights @ v, f"b heads n d -> b n {whole}")


def with_einsum(query, key, value, heads):
    b, n, _ = query.shape
    q, k, v = (x.view(b, n, heads, -1) for x in (query, key, value))
    scores = torch.einsum("bnhd, bmhd -> bhnm", q / q.shape[-1] ** 0.5, k)
    return torch.einsum("bhnm, bmhd -> bnhd", scores.softmax(-1), v).reshape(b, n, -1)


RIGHT = {
    "four_shapes": {
        "a tuple": lambda: (*SHAPES, None),
        "lists": lambda: [[2, 24, 12], [2, 3, 24, 4], [2, 12, 2, 3], None],
        "sizes": lambda: [*map(torch.Size, SHAPES), None],
    },
    "patches": {
        "patch by patch": patch_by_patch,
        "views": with_views,
        "unfolded": lambda x, p: (
            F.unfold(x, p, stride=p)
            .unflatten(1, (x.shape[1], p * p))
            .permute(0, 3, 2, 1)
            .flatten(2)
        ),
    },
    "joined": {"by hand": by_hand, "fused": fused, "einsum": with_einsum},
    "to_map": {
        "by name": lambda attended, h, w: rearrange(attended, "b (h w) d -> b d h w", w=w),
        "reshape, then permute": lambda attended, h, w: attended.reshape(
            len(attended), h, w, -1
        ).permute(0, 3, 1, 2),
        "stacked": lambda attended, h, w: torch.stack(
            [row.mT for row in attended.split(w, 1)], 2
        ),
    },
}
WRONG = {
    "four_shapes": {
        "no error": lambda: [*SHAPES, (2, 5, 24, 2)],
        "h and w apart": lambda: [(2, 4, 6, 12), *SHAPES[1:], None],
        "heads and d exchanged": lambda: [SHAPES[0], (2, 4, 24, 3), SHAPES[2], None],
        "tokens first": lambda: [SHAPES[0], (2, 24, 3, 4), SHAPES[2], None],
        "not pooled": lambda: [*SHAPES[:2], (2, 12, 4, 6), None],
        "channels first": lambda: [(2, 12, 24), *SHAPES[1:], None],
        "all errors": lambda: [None] * 4,
        "three": lambda: list(SHAPES),
        "numbers": lambda: [576, 576, 144, 0],
        "words": lambda: [str(shape) for shape in SHAPES] + ["None"],
    },
    "patches": {
        "reshape": lambda x, p: x.reshape(len(x), -1, p * p * x.shape[1]),
        "channels slowest": lambda x, p: F.unfold(x, p, stride=p).mT,
        "columns of patches first": lambda x, p: cut(x, p, (4, 2, 3, 5, 1)),
        "columns of a patch first": lambda x, p: cut(x, p, (2, 4, 5, 3, 1)),
        "every p-th pixel": lambda x, p: cut(x, p, (2, 3, 4, 5, 1)),
        "channels in the middle": lambda x, p: cut(x, p, (2, 4, 3, 1, 5)),
        "interleaved": lambda x, p: (
            F.pixel_unshuffle(x, p).flatten(2).mT.reshape(len(x), -1, p * p * x.shape[1])
        ),
        "zeros": lambda x, p: torch.zeros(len(x), x[0, 0].numel() // p**2, x.shape[1] * p * p),
        "the image": lambda x, p: x,
        "with einops": lambda x, p: rearrange(
            x, "b c (h p) (w q) -> b (h w) (p q c)", p=p, q=p
        ),
        "not flat": lambda x, p: x.unfold(2, p, p).unfold(3, p, p),
    },
    "joined": {
        "the values": lambda query, key, value, heads: value,
        "zeros": lambda query, key, value, heads: torch.zeros_like(value),
        "joined as (d heads)": lambda *given: many(*given, whole="(d heads)"),
        "split as (d heads)": lambda *given: many(*given, parts="(d heads)"),
        "both as (d heads)": lambda *given: many(*given, "(d heads)", "(d heads)"),
        "unscaled": lambda *given: many(*given, scale=1),
        "√ of all features": lambda *given: many(*given, scale=given[0].shape[2] ** -0.5),
        "√n": lambda *given: many(*given, scale=given[0].shape[1] ** -0.5),
        "over the queries": lambda *given: many(*given, axis=-2),
        "over the heads": lambda *given: many(*given, axis=1),
        "one head": lambda q, k, v, heads: many(q, k, v, 1),
        "heads and features exchanged": lambda q, k, v, heads: many(
            q, k, v, q.shape[2] // heads
        ),
        "query and key exchanged": lambda q, k, v, heads: many(k, q, v, heads),
        "not joined": lambda q, k, v, heads: by_hand(q, k, v, heads).unflatten(2, (heads, -1)),
        "mean values": lambda q, k, v, heads: v.mean(1, keepdim=True).expand_as(v),
    },
    "to_map": {
        "reshape": lambda attended, h, w: attended.reshape(len(attended), -1, h, w),
        "columns first": lambda attended, h, w: attended.mT.unflatten(2, (w, h)).mT,
        "h and w exchanged": lambda attended, h, w: attended.mT.unflatten(2, (w, h)),
        "features last": lambda attended, h, w: attended.unflatten(1, (h, w)),
        "the rows": lambda attended, h, w: attended,
        "upside down": lambda attended, h, w: attended.mT.unflatten(2, (h, w)).flip(2),
        "transposed, then scrambled": lambda attended, h, w: (
            attended.unflatten(1, (h, w)).permute(0, 3, 2, 1).reshape(len(attended), -1, h, w)
        ),
        "zeros": lambda attended, h, w: torch.zeros(len(attended), attended.shape[2], h, w),
        "the mean": lambda attended, h, w: attended.mean(1)[..., None, None].expand(
            -1, -1, h, w
        ),
    },
}
