import torch
import torch.nn.functional as F
from einops import einsum
from torch import nn


def outer_products(theta, phi, g):
    b, m, d = phi.shape
    context = torch.zeros(b, d, d)
    for j in range(m):
        context += phi[:, j, :, None] * g[:, j, None, :] / m
    return theta @ context


def one_matrix_after_another(theta, phi, g):
    rows = zip(theta, phi / phi.shape[1], g, strict=True)
    return torch.stack([torch.linalg.multi_dot([a, b.T, c]) for a, b, c in rows])


def query_by_query(theta, phi, g):
    rows = [(phi @ q[:, :, None] * g).mean(1) for q in theta.unbind(1)]
    return torch.stack(rows, 1)


def in_two_halves(theta, phi, g):
    halves = [part @ phi.mT @ g / phi.shape[1] for part in theta.chunk(2, 1)]
    return torch.cat(halves, 1)


def row_by_row(theta, phi):
    rows = []
    for query in theta.unbind(1):
        scores = torch.einsum("bd, bmd -> bm", query, phi) / query.shape[1] ** 0.5
        rows.append(scores.softmax(1))
    return torch.stack(rows, 1)


def by_exponentials(theta, phi):
    grown = einsum(theta, phi / theta.shape[-1] ** 0.5, "b n d, b m d -> b n m").exp()
    return grown / grown.sum(-1, keepdim=True)


def by_its_own_spread(theta, phi):
    scores = theta @ phi.mT
    return (scores / scores.std(-1, keepdim=True)).softmax(-1)


def weights(theta, phi, scale, axis=-1):
    return (theta @ phi.mT * scale).softmax(axis)


@torch.no_grad()
def fill(block, **values):
    """Give parameters one value each; `norm__weight` is `norm.weight`."""
    for name, value in values.items():
        block.get_parameter(name.replace("__", ".")).fill_(value)


def without_a_norm(block):
    nn.init.zeros_(block.out.weight)
    block.norm = nn.Identity()


def shrink(block):
    block.norm.weight.data = block.norm.weight.data * 0


def no_values(block):
    nn.init.constant_(block.g.weight, 0)
    nn.init.constant_(block.g.bias, 0)


def frozen(block):
    fill(block, norm__weight=0)
    block.requires_grad_(False)


def bypassed(block):
    block.forward = lambda x: x


def all_zero(block):
    for parameter in block.parameters():
        parameter.data.zero_()


RIGHT = {
    "pooled_early": {
        "a list": lambda: ["multiply-adds", "values"],
        "a tuple": lambda: ("values", "multiply-adds"),
        "a frozenset": lambda: frozenset(("values", "multiply-adds")),
    },
    "dot_product": {
        "outer products": outer_products,
        "one matrix after another": one_matrix_after_another,
        "einsum, in two steps": lambda theta, phi, g: einsum(
            theta, einsum(phi, g, "b m d, b m e -> b d e"), "b n d, b d e -> b n e"
        ).div(g.shape[1]),
        "divided first": lambda theta, phi, g: (theta / phi.shape[1]) @ phi.mT.matmul(g),
    },
    "scaled_weights": {
        "row by row": row_by_row,
        "exponentials": by_exponentials,
        "both shortened": lambda theta, phi: F.softmax(
            (theta / theta.shape[2] ** 0.25) @ (phi / phi.shape[2] ** 0.25).mT, dim=2
        ),
    },
    "start": {
        "γ is 0": lambda block: fill(block, norm__weight=0),
        "γ shrinks to 0": shrink,
        "W_z is 0": lambda block: nn.init.zeros_(block.out.weight),
        "W_z is 0, and no norm": without_a_norm,
        "g is 0": no_values,
        "γ and θ are 0": lambda block: fill(block, norm__weight=0, theta__weight=0),
    },
}
WRONG = {
    "pooled_early": {
        "nothing": lambda: set(),
        "values": lambda: {"values"},
        "costs": lambda: {"multiply-adds"},
        "all but the shape": lambda: {
            "values",
            "multiply-adds",
            "values with average pooling",
        },
        "averages too, no costs": lambda: {"values", "values with average pooling"},
        "all": lambda: {"shape", "values", "multiply-adds", "values with average pooling"},
        "the complement": lambda: {"shape", "values with average pooling"},
        "a word": lambda: "values",
    },
    "dot_product": {
        "the equation": lambda theta, phi, g: theta @ phi.mT @ g / phi.shape[1],
        "elementwise": lambda theta, phi, g: (
            (theta[:, :, None] * phi[:, None]).sum(3) @ g / phi.shape[1]
        ),
        "query by query": query_by_query,
        "in two halves": in_two_halves,
        "over n": lambda theta, phi, g: theta @ (phi.mT @ g) / theta.shape[1],
        "over √m": lambda theta, phi, g: theta @ (phi.mT @ g) / phi.shape[1] ** 0.5,
        "over d": lambda theta, phi, g: theta @ (phi.mT @ g) / phi.shape[2],
        "undivided": lambda theta, phi, g: theta @ (phi.mT @ g),
        "transposed": lambda theta, phi, g: theta @ (g.mT @ phi) / phi.shape[1],
        "mean values": lambda theta, phi, g: g.mean(1, keepdim=True).expand_as(theta),
        "the queries": lambda theta, phi, g: theta,
        "with softmaxes": lambda theta, phi, g: theta.softmax(-1) @ (phi.softmax(1).mT @ g),
        "mean by mean": lambda theta, phi, g: (
            (theta @ phi.mean(1)[..., None]) * g.mean(1, keepdim=True)
        ),
    },
    "scaled_weights": {
        "over 1/√d": lambda theta, phi: weights(theta, phi, theta.shape[-1] ** 0.5),
        "unscaled": lambda theta, phi: weights(theta, phi, 1),
        "√m": lambda theta, phi: weights(theta, phi, phi.shape[1] ** -0.5),
        "√n": lambda theta, phi: weights(theta, phi, theta.shape[1] ** -0.5),
        "d": lambda theta, phi: weights(theta, phi, 1 / theta.shape[-1]),
        "1/8": lambda theta, phi: weights(theta, phi, 0.125),
        "over the queries": lambda theta, phi: weights(theta, phi, phi.shape[-1] ** -0.5, 1),
        "over the batch": lambda theta, phi: weights(theta, phi, phi.shape[-1] ** -0.5, 0),
        "its own spread": by_its_own_spread,
        "scaled behind the softmax": lambda theta, phi: (
            weights(theta, phi, 1) * theta.shape[-1] ** -0.5
        ),
        "no softmax": lambda theta, phi: theta @ phi.mT / theta.shape[-1] ** 0.5,
        "even weights": lambda theta, phi: weights(theta, phi, 0.0),
        "unit lengths": lambda theta, phi: weights(
            F.normalize(theta, dim=2), F.normalize(phi, dim=2), 1.0
        ),
    },
    "start": {
        "nothing done": lambda block: None,
        "γ is small": lambda block: fill(block, norm__weight=1e-3),
        "γ and g are 0": lambda block: fill(
            block, norm__weight=0.0, g__weight=0.0, g__bias=0.0
        ),
        "γ and g's weights are 0": lambda block: fill(block, norm__weight=0, g__weight=0),
        "W_z and g are 0": lambda block: fill(block, out__weight=0, g__weight=0, g__bias=0),
        "γ, θ and φ are 0": lambda block: fill(
            block, norm__weight=0, theta__weight=0, theta__bias=0, phi__weight=0, phi__bias=0
        ),
        "frozen": frozen,
        "bypassed": bypassed,
        "all is 0": all_zero,
        "W_z is small": lambda block: fill(block, out__weight=1e-4),
        "γ is 0, β is not": lambda block: fill(block, norm__weight=0, norm__bias=0.1),
        "θ is 0": lambda block: fill(block, theta__weight=0, theta__bias=0),
        "only g's weights are 0": lambda block: fill(block, g__weight=0),
    },
}
