"""What each mechanism costs, written once, in letters: `cost` makes numbers and LaTeX of it."""

import sympy
from sympy import Max, ceiling, floor
from sympy.codegen.cfunctions import log2
from torch import nn

from ..channel import (
    CrossCovarianceAttention,
    EfficientChannelAttention,
    SelectiveKernel,
    SqueezeExcitation,
)
from ..foundations import AttentionPooling, NonLocalMeans
from ..mixed import CBAM, ChannelGate, CoordinateAttention, SimAM, SpatialGate
from ..relations import LinearAttention, WindowAttention
from ..spatial import GlobalContext, NonLocal, SelfAttention2d
from ..vit import Attention
from .letters import (
    Formula,
    G,
    M,
    b,
    c,
    d,
    d_a,
    e,
    formula,
    gcd,
    h,
    heads,
    k,
    m,
    n,
    r,
    r_v,
    sizes_of,
    t,
    w,
)


def _halved(module: SelfAttention2d | NonLocal) -> bool:
    return not isinstance(module.pool, nn.Identity)


@formula.register
def self_attention(module: SelfAttention2d, shape: tuple[int, ...]) -> Formula:
    bias, full = int(module.query.bias is not None), isinstance(module.out, nn.Identity)
    keys, values = m if _halved(module) else n, c if full else e
    own = {c: module.channels, r: module.reduction}
    where = {n: h * w, m: ceiling(h / 2) * ceiling(w / 2), d: floor(c / r)}
    if not full:
        where[e], own[r_v] = floor(c / r_v), module.value_reduction
    projections = (c + bias) * (2 * d + values)
    out = 0 if full else (values + bias) * c
    pooled = m * (d + values) if _halved(module) else 0
    return Formula(
        parameters=projections + out + 1,
        multiply_adds=b * n * c * (2 * d + values)
        + b * n * keys * (d + values)
        + (0 if full else b * n * values * c),
        activations=b * (2 * n * d + pooled + 2 * n * keys + 2 * n * values)
        + b * n * c * (2 if full else 3),
        where=where,
        sizes=sizes_of(module, (b, c, h, w), shape, own),
    )


@formula.register
def non_local_means(module: NonLocalMeans, shape: tuple[int, ...]) -> Formula:
    patch, margin = k**2 * c, 2 * floor(k / 2)
    return Formula(
        parameters=sympy.Integer(0),
        multiply_adds=b * n**2 * (patch + c),
        activations=b
        * (c * (h + margin) * (w + margin) + 4 * n * patch + 5 * n**2 + n + n * c),
        where={n: h * w},
        sizes=sizes_of(module, (b, c, h, w), shape, {k: module.patch}),
    )


@formula.register
def attention(module: Attention, shape: tuple[int, ...]) -> Formula:
    inner = heads * d_a
    own = {d: module.dim, heads: module.heads, d_a: module.to_out.in_features // module.heads}
    return Formula(
        parameters=2 * d + 4 * d * inner,
        multiply_adds=4 * b * n * d * inner + 2 * b * n**2 * inner,
        activations=b * (2 * n * d + 5 * n * inner + 2 * heads * n**2),
        where={},
        sizes=sizes_of(module, (b, n, d), shape, own),
    )


@formula.register
def attention_pooling(module: AttentionPooling, shape: tuple[int, ...]) -> Formula:
    return Formula(
        parameters=c,
        multiply_adds=2 * b * n * c,
        activations=b * (2 * n + c),
        where={n: h * w},
        sizes=sizes_of(module, (b, c, h, w), shape, {c: len(module.query)}),
    )


@formula.register
def non_local(module: NonLocal, shape: tuple[int, ...]) -> Formula:
    grid = {1: (t,), 2: (h, w), 3: (t, h, w)}[module.ndim]
    halved = [side if side is t and module.ndim == 3 else ceiling(side / 2) for side in grid]
    pooled, softmax = _halved(module), "gaussian" in module.mode
    keys = m if pooled else n
    inputs = m if pooled and module.pool_first else n  # of the convolutions φ and g
    embeddings = 0 if module.mode == "gaussian" else 2
    if module.mode == "concatenation":
        compared, scores = b * (n + keys) * d, b * (n + keys + 3 * n * keys)
    else:
        width = d if embeddings else c
        compared, scores = b * n * keys * width, b * n * keys * (3 if softmax else 2)
    pools = 0
    if pooled:
        pools = m * c if module.pool_first else m * ((d if embeddings else c) + d)
    phi = embeddings // 2 * inputs
    return Formula(
        parameters=(1 + embeddings) * (c + 1) * d
        + (2 * d if module.mode == "concatenation" else 0)
        + d * c
        + 2 * c,
        multiply_adds=b * c * d * (embeddings // 2 * n + phi + inputs + n)
        + compared
        + b * n * keys * d,
        activations=b * d * (embeddings // 2 * n + phi + inputs + n)
        + b * pools
        + scores
        + 3 * b * n * c,
        where={n: sympy.Mul(*grid), m: sympy.Mul(*halved), d: Max(floor(c / r), 1)},
        sizes=sizes_of(module, (b, c, *grid), shape, {c: module.channels, r: module.reduction}),
    )


@formula.register
def global_context(module: GlobalContext, shape: tuple[int, ...]) -> Formula:
    return Formula(
        parameters=2 * c * (d + 1) + 1 + 3 * d,
        multiply_adds=2 * b * c * (n + d),
        activations=b * (2 * n + 2 * c + 3 * d + n * c),
        where={n: h * w, d: Max(floor(c / r), 2)},
        sizes=sizes_of(module, (b, c, h, w), shape, {c: module.channels, r: module.reduction}),
    )


@formula.register
def squeeze_excitation(module: SqueezeExcitation, shape: tuple[int, ...]) -> Formula:
    bias = int(module.squeeze.bias is not None)
    return Formula(
        parameters=2 * c * d + bias * (c + d),
        multiply_adds=2 * b * c * d,
        activations=b * (3 * c + 2 * d + n * c),
        where={n: h * w, d: Max(floor(c / r), 1)},
        sizes=sizes_of(module, (b, c, h, w), shape, {c: module.channels, r: module.reduction}),
    )


@formula.register
def efficient_channel(module: EfficientChannelAttention, shape: tuple[int, ...]) -> Formula:
    where, own = {n: h * w}, {c: module.channels}
    if module.kernel_size is None:
        where[k] = 2 * floor((log2(c) + 1) / 4) + 1
    else:
        own[k] = module.kernel_size
    return Formula(
        parameters=k,
        multiply_adds=b * c * k,
        activations=b * (3 * c + n * c),
        where=where,
        sizes=sizes_of(module, (b, c, h, w), shape, own),
    )


@formula.register
def selective_kernel(module: SelectiveKernel, shape: tuple[int, ...]) -> Formula:
    groups = gcd(c, G)
    own = {c: module.channels, r: module.reduction, M: len(module.branches), G: module.groups}
    return Formula(
        parameters=M * (9 * c**2 / groups + 2 * c) + c * d + 2 * d + M * c * d,
        multiply_adds=b * (9 * M * n * c**2 / groups + c * d + M * c * d + M * n * c),
        activations=b * (3 * M * n * c + 4 * M * c + 3 * d + n * c),
        where={n: h * w, d: Max(floor(c / r), 32)},
        sizes=sizes_of(module, (b, c, h, w), shape, own),
    )


@formula.register
def cross_covariance(module: CrossCovarianceAttention, shape: tuple[int, ...]) -> Formula:
    bias = int(module.query.bias is not None)
    return Formula(
        parameters=4 * c**2 + (3 * bias + 1) * c + heads,
        multiply_adds=b * n * c * (4 * c + 2 * d),
        # Of queries and keys the squares, their sums, clamped, inverted, and the rows of length 1.
        activations=b * c * (10 * n + 6 + 3 * d),
        where={n: h * w, d: c / heads},
        sizes=sizes_of(module, (b, c, h, w), shape, {c: module.channels, heads: module.heads}),
    )


@formula.register
def channel_gate(module: ChannelGate, shape: tuple[int, ...]) -> Formula:
    bias = int(module.mlp[0].bias is not None)
    return Formula(
        parameters=2 * c * d + bias * (c + d),
        multiply_adds=4 * b * c * d,
        activations=b * (6 * c + 4 * d + n * c),
        where={n: h * w, d: Max(floor(c / r), 1)},
        sizes=sizes_of(module, (b, c, h, w), shape, {c: module.channels, r: module.reduction}),
    )


@formula.register
def spatial_gate(module: SpatialGate, shape: tuple[int, ...]) -> Formula:
    norm = not isinstance(module.norm, nn.Identity)
    return Formula(
        parameters=2 * k**2 + (2 if norm else 1),
        multiply_adds=2 * b * n * k**2,
        activations=b * n * ((5 if norm else 4) + c),
        where={n: h * w},
        sizes=sizes_of(module, (b, c, h, w), shape, {k: module.conv.kernel_size[0]}),
    )


@formula.register
def cbam(module: CBAM, shape: tuple[int, ...]) -> Formula:
    channel, spatial = channel_gate(module.channel, shape), spatial_gate(module.spatial, shape)
    return Formula(
        parameters=channel.parameters + spatial.parameters,
        multiply_adds=channel.multiply_adds + spatial.multiply_adds,
        # Both multiply x; the product of the two gates comes to it.
        activations=channel.activations + spatial.activations + b * n * c,
        where=channel.where,
        sizes=channel.sizes | spatial.sizes,
    )


@formula.register
def simam(module: SimAM, shape: tuple[int, ...]) -> Formula:
    return Formula(
        parameters=sympy.Integer(0),
        multiply_adds=sympy.Integer(0),
        activations=b * c * (6 * n + 5),
        where={n: h * w},
        sizes=sizes_of(module, (b, c, h, w), shape, {}),
    )


@formula.register
def coordinate(module: CoordinateAttention, shape: tuple[int, ...]) -> Formula:
    return Formula(
        parameters=3 * c * d + 2 * c + 3 * d,
        multiply_adds=2 * b * c * d * (h + w),
        activations=b * ((h + w) * (3 * c + 3 * d) + 2 * n * c),
        where={n: h * w, d: Max(floor(c / r), 8)},
        sizes=sizes_of(module, (b, c, h, w), shape, {c: module.channels, r: module.reduction}),
    )


@formula.register
def window_attention(module: WindowAttention, shape: tuple[int, ...]) -> Formula:
    return Formula(
        parameters=4 * c**2 + 4 * c + (2 * k - 1) ** 2 * heads,
        # m positions are in windows, some of them twice where these are filled up.
        multiply_adds=b * (4 * n * c**2 + 2 * m * k**2 * c),
        activations=b * (5 * n * c + 2 * m * c + 3 * heads * m * k**2),
        where={n: h * w, m: ceiling(h / k) * ceiling(w / k) * k**2},
        sizes=sizes_of(
            module,
            (b, c, h, w),
            shape,
            {c: module.channels, k: module.window, heads: module.heads},
        ),
    )


@formula.register
def linear_attention(module: LinearAttention, shape: tuple[int, ...]) -> Formula:
    """Of the map, as `attention` and `reweight` make it; `forward` takes 2·b·n·c·d in place of 2·b·n²·c."""
    elu = module.mode == "elu"
    return Formula(
        parameters=4 * c**2 + 4 * c,
        multiply_adds=b * n * c * (4 * c + 2 * n),
        activations=b * (8 * n * c + heads * n**2)
        + (b * (4 * n * c + c + 2 * heads * n) if elu else 0),
        where={n: h * w},
        sizes=sizes_of(module, (b, c, h, w), shape, {c: module.channels, heads: module.heads}),
    )
