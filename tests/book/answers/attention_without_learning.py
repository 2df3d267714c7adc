import torch
from einops import reduce, repeat
from torch import nn


def a_flat_image(image):
    flat = torch.empty_like(image)
    for channel, plane in zip(flat, image, strict=True):
        channel[:] = plane.mean()
    return image.clone(), flat


def row_by_row(d, sigma, strength):
    rows = [
        torch.softmax(-torch.relu(row - 2 * sigma * sigma) / strength / strength, 0)
        for row in d
    ]
    return torch.stack(rows)


def with_exponentials(d, sigma, strength):
    beyond = d - sigma**2 - sigma**2
    kernel = torch.where(beyond > 0, (-beyond / strength**2).exp(), 1.0)
    return torch.nn.functional.normalize(kernel, p=1, dim=1)


def fair(d, sigma, strength, less=2.0, power=2, axis=1):
    """Weights with something wrong."""
    return (-(d - less * sigma**2).clamp(min=0) / strength**power).softmax(axis)


def by_loops(x, patches):
    result = torch.zeros(x.shape)
    for i, query in enumerate(patches):
        weights = torch.stack([-((query - key) ** 2).sum() for key in patches]).softmax(0)
        for j, value in enumerate(x):
            result[i] += weights[j] * value
    return result


def by_products(x, patches):
    scores = 2 * patches @ patches.T - patches.square().sum(1)
    return torch.einsum("ij, jc -> ic", scores.softmax(1), x)


def columns_for_rows(x, patches):
    differences = patches[:, None] - patches
    weights = (-differences.square().sum(-1)).softmax(dim=0)  # the scores are symmetric
    return weights.mT @ x


def averages(x, patches, axis=-1, power=2, scale=-1.0):
    """Non-local means with something wrong."""
    return (scale * torch.cdist(patches, patches) ** power).softmax(axis) @ x


RIGHT = {
    "limits": {
        "one number a channel": lambda image: (image, image.mean((1, 2))),
        "flat images": a_flat_image,
        "a list": lambda image: [
            image,
            repeat(
                reduce(image, "c h w -> c", "mean"),
                "c -> c h w",
                h=image.shape[1],
                w=image.shape[2],
            ),
        ],
        "sums": lambda image: (
            image * 1,
            (image.flatten(1).sum(1) / image[0].numel())[:, None, None],
        ),
    },
    "fair_weights": {
        "row by row": row_by_row,
        "exponentials": with_exponentials,
        "a maximum": lambda d, sigma, strength: nn.functional.softmin(
            d.clamp(min=2 * sigma**2) / strength**2, dim=-1
        ),
        "columns, turned": lambda d, sigma, strength: fair(d, sigma, strength, axis=0).T,
    },
    "denoise": {
        "loops": by_loops,
        "products": by_products,
        "columns for rows": columns_for_rows,
    },
}
WRONG = {
    "limits": {
        "exchanged": lambda image: (image.mean((1, 2), keepdim=True), image),
        "the image twice": lambda image: (image, image),
        "the mean twice": lambda image: (image.mean((1, 2)), image.mean((1, 2))),
        "zeros": lambda image: (image, torch.zeros_like(image)),
        "one grey": lambda image: (image, image.mean().expand_as(image)),
        "a mean over channels": lambda image: (image, image.mean(0).expand_as(image)),
        "a mean over rows": lambda image: (
            image,
            image.mean(1, keepdim=True).expand_as(image),
        ),
        "medians": lambda image: (
            image,
            image.flatten(1).median(1).values[:, None, None].expand_as(image),
        ),
        "a sum": lambda image: (image, image.sum((1, 2))),
        "rounded": lambda image: (image.round(), image.mean((1, 2), keepdim=True)),
        "one limit": lambda image: (image,),
        "a third": lambda image: (image, image.mean((1, 2)), image),
        "a number": lambda image: (image, image.mean().item()),
    },
    "fair_weights": {
        "3σ²": lambda d, sigma, strength: fair(d, sigma, strength, 3.0),
        "σ²": lambda d, sigma, strength: fair(d, sigma, strength, 1.0),
        "4σ²": lambda d, sigma, strength: fair(d, sigma, strength, 4.0),
        "(2σ)²": lambda d, sigma, strength: (
            -(d - (2 * sigma) ** 2).relu() / strength**2
        ).softmax(-1),
        "2σ": lambda d, sigma, strength: (-(d - 2 * sigma).clamp(min=0) / strength**2).softmax(
            dim=-1
        ),
        "unfair": lambda d, sigma, strength: fair(d, sigma, strength, 0.0),
        "not clamped": lambda d, sigma, strength: (-(d - 2 * sigma**2) / strength**2).softmax(
            -1
        ),
        "absolute": lambda d, sigma, strength: (
            -(d - 2 * sigma**2).abs() / strength**2
        ).softmax(-1),
        "clamped above": lambda d, sigma, strength: (
            -(d - 2 * sigma**2).clamp(max=0) / strength**2
        ).softmax(-1),
        "over the queries": lambda d, sigma, strength: fair(d, sigma, strength, axis=0),
        "strength": lambda d, sigma, strength: fair(d, sigma, strength, power=1),
        "no strength": lambda d, sigma, strength: fair(d, sigma, strength, power=0),
        "divided first": lambda d, sigma, strength: (
            -(d / strength**2 - 2 * sigma**2).clamp(min=0)
        ).softmax(-1),
        "plus": lambda d, sigma, strength: (
            (d - 2 * sigma**2).clamp(min=0) / strength**2
        ).softmax(-1),
        "no softmax": lambda d, sigma, strength: (
            -(d - 2 * sigma**2).clamp(min=0) / strength**2
        ).exp(),
        "even": lambda d, sigma, strength: torch.full_like(d, 1 / len(d)),
        "each its own": lambda d, sigma, strength: torch.eye(len(d)),
        "the diagonal alone": lambda d, sigma, strength: (
            -(d + 2 * sigma**2 * torch.eye(len(d))) / strength**2
        ).softmax(-1),
    },
    "denoise": {
        "the identity": lambda x, patches: x,
        "the mean": lambda x, patches: x.mean(0).expand_as(x),
        "unlike ones": lambda x, patches: averages(x, patches, scale=1.0),
        "distances, not squared": lambda x, patches: averages(x, patches, power=1),
        "the fourth power": lambda x, patches: averages(x, patches, power=4),
        "one softmax for all": lambda x, patches: (
            (-torch.cdist(patches, patches).square()).flatten().softmax(0).view(len(x), -1) @ x
        ),
        "no softmax": lambda x, patches: -(torch.cdist(patches, patches) ** 2) @ x,
        "a mean over the patch": lambda x, patches: averages(
            x, patches, scale=-1 / patches.shape[1]
        ),
        "half": lambda x, patches: averages(x, patches, scale=-0.5),
        "dot products": lambda x, patches: (patches @ patches.T).softmax(-1) @ x,
        "the most alike": lambda x, patches: averages(x, patches, scale=-1e6),
        "scaled afterwards": lambda x, patches: (
            averages(x, patches, axis=0) / averages(torch.ones_like(x), patches, axis=0)
        ),
        "compares x": lambda x, patches: averages(x, x),
    },
}
