"""What `forward` computes in place of a map: the same numbers, in memory of a few copies of the features."""

from typing import Any, TypeGuard

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from .module import dot, is_bare, is_traced

torch.fx.wrap("halve")  # whole in a graph of torch.fx: shapes decide within


class Halve(nn.Module):
    """Halves height and width (or t, of a sequence) by max pooling; of an odd grid the last row stays."""

    def forward(self, x: Float[Tensor, "b d *size"]) -> Float[Tensor, "b d *half"]:
        return halve(x)


def halve(x: Float[Tensor, "b d *size"]) -> Float[Tensor, "b d *half"]:
    """As `Halve` says."""
    pool = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[x.ndim - 3]
    size = (1, 2, 2) if x.ndim == 5 else 2
    if not is_traced():
        return pool(x, size, ceil_mode=True)
    # Programs exported with ceil_mode by torch 2.9 and 2.10 refuse sizes of the other parity.
    odd = [part for side in x.shape[:1:-1][:2] for part in (0, side % 2)]
    return pool(F.pad(x, odd, value=-torch.inf), size)


def tokens(x: Float[Tensor, "b d *size"]) -> Float[Tensor, "b n d"]:
    """Positions in a row, their features last."""
    return x.flatten(2).transpose(1, 2)


def project(x: Tensor, parts: tuple, pool: nn.Module) -> tuple[Tensor, Tensor, Tensor]:
    """Tokens of three 1×1 convolutions, of queries, keys and values, by one where it may; keys and values pooled."""
    query, key, value = parts
    if not _are_one(parts):
        return tokens(query(x)), tokens(pool(key(x))), tokens(pool(value(x)))
    convolve = (F.conv1d, F.conv2d, F.conv3d)[len(query.kernel_size) - 1]
    bias = None if query.bias is None else torch.cat([part.bias for part in parts])
    joint = convolve(x, torch.cat([part.weight for part in parts]), bias)
    # The weights' own sizes: pruning by hand leaves `out_channels` what it was.
    d, of_key, e = (part.weight.shape[0] for part in parts)
    of_i, of_j = joint.split([d, of_key + e], 1)
    of_keys, of_values = pool(of_j).split([of_key, e], 1)
    return tokens(of_i), tokens(of_keys), tokens(of_values)


def project_tokens(
    x: Float[Tensor, "b c *size"], parts: tuple
) -> tuple[Float[Tensor, "b n d"], list[int]]:
    """Tokens of 1×1 convolutions side by side, by one matrix product where it may, and how wide each is."""
    if not _are_one(parts):
        each = [tokens(part(x)) for part in parts]
        return torch.cat(each, -1), [features.shape[-1] for features in each]
    weight = torch.cat([part.weight for part in parts]).flatten(1)
    bias = None if parts[0].bias is None else torch.cat([part.bias for part in parts])
    # Of tokens apart in memory `linear` would make a product for each image.
    mixed = F.linear(tokens(x).contiguous(), weight, bias)
    return mixed, [part.weight.shape[0] for part in parts]


def _are_one(parts: tuple) -> bool:
    """Whether 1×1 convolutions may be computed as one: all bare, and all with a bias or none."""
    return all(map(_is_pointwise, parts)) and len({part.bias is None for part in parts}) == 1


def _is_pointwise(layer: nn.Module) -> TypeGuard[nn.Conv1d | nn.Conv2d | nn.Conv3d]:
    """Whether it is a bare 1×1 convolution: several of them are one."""
    return (
        (is_bare(layer, nn.Conv1d) or is_bare(layer, nn.Conv2d) or is_bare(layer, nn.Conv3d))
        and {*layer.kernel_size, *layer.stride} == {1}
        and {*layer.padding} == {0}
        and layer.groups == 1
    )


def convolve_pair(
    pooled: Float[Tensor, "b 2 h w"], layer: nn.Module
) -> Float[Tensor, "b 1 h w"]:
    """`layer(pooled)`. On a processor a kernel from two channels to one is slow, and each channel for itself is not:
    of large maps the images of a batch stand side by side as channels of one."""
    fits = not is_traced() and pooled.device.type == "cpu" and not pooled.requires_grad
    if not (fits and len(pooled) and pooled[0, 0].numel() >= 256 and _is_pair_kernel(layer)):
        return layer(pooled)
    b, _, h, w = pooled.shape
    kernels = layer.weight.transpose(0, 1).repeat(b, 1, 1, 1)
    each = F.conv2d(
        pooled.reshape(1, 2 * b, h, w), kernels, padding=layer.padding, groups=2 * b
    )
    return each.view(b, 2, h, w).sum(1, keepdim=True)


def _is_pair_kernel(layer: nn.Module) -> TypeGuard[nn.Conv2d]:
    return (
        is_bare(layer, nn.Conv2d)
        and layer.weight.shape[0] == 1
        and layer.bias is None
        and layer.stride == layer.dilation == (1, 1)
        and layer.padding_mode == "zeros"
    )


def builds_weights(keys: int, width: int, copies: int = 4) -> bool:
    """Whether weights (n, keys) are built: where they outweigh at most so many `copies` of features (n, width).

    Below that size building them is faster; a traced graph, whose sizes may change, never does.
    """
    return not is_traced() and keys <= copies * width


def average(
    weights: Float[Tensor, "b n m"], values: Float[Tensor, "b m e"]
) -> Float[Tensor, "b n e"]:
    """weights · values, with features outermost in memory, as convolutions keep them."""
    return torch.bmm(values.transpose(1, 2), weights.transpose(1, 2)).transpose(1, 2)


def attend(
    query: Float[Tensor, "b n d"], key: Float[Tensor, "b m d"], value: Float[Tensor, "b m e"]
) -> Float[Tensor, "b n e"]:
    """softmax(query · keyᵀ) · value, in memory of a few copies of the values, however many keys there are."""
    if builds_weights(key.shape[1], value.shape[2]):
        weights = dot(query, key, "b n d, b m d -> b n m").softmax(dim=-1)
        return average(weights.to(value.dtype), value)
    if query.device.type == "cpu" and query.shape[2] != value.shape[2]:
        # PyTorch's CPU kernel is fused only when queries, keys and values have one width.
        width = max(query.shape[2], value.shape[2])
        query, key = (F.pad(part, (0, width - part.shape[2])) for part in (query, key))
        padded = F.pad(value, (0, width - value.shape[2]))
        return _one_head(query, key, padded)[..., : value.shape[2]]
    return _one_head(query, key, value)


def _one_head(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    # The kernels want each token's features side by side in memory.
    query, key, value = (part.contiguous().unsqueeze(1) for part in (query, key, value))
    return fused_attention(query, key, value, scale=1.0).squeeze(1)


def fused_attention(
    query: Float[Tensor, "b heads n d"],
    key: Float[Tensor, "b heads m d"],
    value: Float[Tensor, "b heads m e"],
    scale: float,
) -> Float[Tensor, "b heads n e"]:
    """softmax(scale · query · keyᵀ) · value by PyTorch's fused kernels, differentiable in any way, any number of times.

    The kernels know first derivatives backwards, and those alone take memory in O(n). All others are of the
    plain form, whose weights (n, m) are built.
    """
    if _differentiates_forwards(query, key, value):
        return (scale * query @ key.transpose(-2, -1)).softmax(dim=-1) @ value
    attended = F.scaled_dot_product_attention(query, key, value, scale=scale)
    if attended.requires_grad and not is_traced():
        return _DifferentiableAgain.apply(query, key, value, attended, scale)
    return attended


def _differentiates_forwards(*tensors: Tensor) -> bool:
    """Whether derivatives run forwards (`torch.func.jvp`, `hessian`), or functions are transformed at all."""
    if is_traced():
        return False
    duals = map(torch.autograd.forward_ad.unpack_dual, tensors)
    return torch._C._are_functorch_transforms_active() or any(
        dual.tangent is not None for dual in duals
    )


class _DifferentiableAgain(torch.autograd.Function):
    """Gives `attended` as it is. Its gradient goes on to the fused kernel, whose result cannot be differentiated
    again; where it may have to be (`create_graph=True`), the plain form's gradient takes its place."""

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, attended: Tensor, scale: float
    ) -> Tensor:
        ctx.save_for_backward(query, key, value)
        ctx.scale = scale
        return attended.view_as(attended)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        if not torch.is_grad_enabled():
            return None, None, None, gradient, None
        query, key, value = ctx.saved_tensors
        gradient = gradient.to(query.dtype)  # under autocast it is narrower
        weights = (ctx.scale * query @ key.transpose(-2, -1)).softmax(dim=-1)
        of_weights = gradient @ value.transpose(-2, -1)
        of_scores = weights * (of_weights - (of_weights * weights).sum(-1, keepdim=True))
        of_scores = ctx.scale * of_scores
        of_value = weights.transpose(-2, -1) @ gradient
        return of_scores @ key, of_scores.transpose(-2, -1) @ query, of_value, None, None


def product_mean(
    theta: Float[Tensor, "b n d"], phi: Float[Tensor, "b m d"], g: Float[Tensor, "b m e"]
) -> Float[Tensor, "b n e"]:
    """(1/m) Σ_j (θ_i·φ_j) g_j = θ_i (1/m) Σ_j φ_j g_jᵀ: linear in n, and cheaper where m is above d."""
    m, d = phi.shape[1:]
    if builds_weights(m, d, copies=1):
        weights = dot(theta, phi, "b n d, b m d -> b n m") / m
        return average(weights.to(g.dtype), g)
    root = m**-0.5  # half before the sum, half after: it stays in float16's range
    return average(theta, root * torch.bmm(root * phi.transpose(1, 2), g))


def hinge_mean(
    of_i: Float[Tensor, "b n"], of_j: Float[Tensor, "b m"], g: Float[Tensor, "b m e"]
) -> Float[Tensor, "b n e"]:
    """(1/m) Σ_j ReLU(a_i + b_j) g_j in m log m, with a and b brought by i and by j.

    In the order of falling b, those with b_j > -a_i come first, and two prefix sums know Σ g_j and Σ b_j g_j over
    them. Where `attend` would build weights, so does this.
    """
    m = g.shape[1]
    if builds_weights(m, g.shape[2]):
        return average((of_i.unsqueeze(2) + of_j.unsqueeze(1)).relu() / m, g)
    dtype, wide = g.dtype, torch.promote_types(g.dtype, torch.float32)
    of_i, of_j, g = of_i.to(wide), of_j.to(wide), g.to(wide) / m
    middle = of_j.mean(1, keepdim=True).detach()  # sums around 0 lose the fewest digits
    of_i, (thresholds, order) = of_i + middle, (middle - of_j).sort(dim=1)
    g = g.gather(1, order.unsqueeze(2).expand_as(g))
    sums = torch.cat([g, thresholds.unsqueeze(2) * g], dim=2).cumsum(1)
    passed = count_below(of_i.detach(), thresholds.detach())
    sums = F.pad(sums, (0, 0, 1, 0)).gather(
        1, passed.unsqueeze(2).expand(-1, -1, sums.shape[2])
    )
    count, offset = sums.chunk(2, dim=2)
    return (of_i.unsqueeze(2) * count - offset).to(dtype)


def count_below(
    x: Float[Tensor, "b n"], thresholds: Float[Tensor, "b m"]
) -> Int[Tensor, "b n"]:
    """How many of a row's thresholds each x of that row exceeds (`searchsorted`, which ONNX lacks)."""
    n = x.shape[1]
    order = torch.cat([x, thresholds], dim=1).argsort(dim=1)
    return (order >= n).long().cumsum(1).gather(1, order.argsort(dim=1)[:, :n])
