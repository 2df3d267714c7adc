"""Which modules, at which shapes, `test_costs` counts."""

import itertools

from hypothesis import strategies as st

import attn_lib

MAPS = [(b, h, w) for b, (h, w) in itertools.product((1, 3), ((6, 6), (7, 9), (12, 5)))]
TOKENS = [(1, 2), (2, 7), (3, 40)]

# Class → arguments → the shapes of input that go with them.
GRID = {
    "SelfAttention2d": [
        ((c,), options, [(b, c, h, w) for b, h, w in MAPS])
        for c in (16, 17, 32)  # one query channel would be no matrix product, and not counted
        for options in (
            {},
            {"reduction": 3, "bias": False},
            {"value_reduction": 4},
            {"value_reduction": 2, "subsample": True, "bias": False},
            {"subsample": True},
        )
    ],
    "NonLocalMeans": [
        # Of patches of one number the products are no matrix product, and not counted.
        ((k,), {}, [(b, c, h, w) for c in (1, 3) for b, h, w in MAPS if c * k > 1])
        for k in (1, 3, 5)
    ],
    "Attention": [
        ((d, heads, width), {}, [(b, n, d) for b, n in TOKENS])
        for d, heads, width in ((8, 1, 4), (12, 3, 5), (16, 4, 16))
    ],
}
MODES = ("gaussian", "embedded_gaussian", "dot_product", "concatenation")
for mode in MODES:
    for pools in ({}, {"subsample": True}, {"subsample": True, "pool_first": True}):
        GRID.setdefault("NonLocal", []).extend(
            ((c, mode, len(size)), pools, [(b, c, *size) for b in (1, 3)])
            for c in (4, 17)
            for size in ((6,), (5, 6), (3, 5, 4))
        )
FEATURES = {
    "AttentionPooling": [{}],
    "GlobalContext": [{}, {"reduction": 3}],
    "SqueezeExcitation": [{}, {"reduction": 4, "bias": True}],
    "EfficientChannelAttention": [{}, {"kernel_size": 7}],
    "SelectiveKernel": [{}, {"branches": 3, "groups": 1}, {"reduction": 2}],
    "ChannelGate": [{}, {"reduction": 3, "bias": False}],
    "CoordinateAttention": [{}, {"reduction": 4}],
    "CBAM": [{}, {"kernel_size": 3, "norm": False}],
}
for name, choices in FEATURES.items():
    GRID[name] = [
        ((c,), options, [(b, c, h, w) for b, h, w in MAPS])
        for c in (8, 70, 96)
        for options in choices
    ]
GRID["SpatialGate"] = [
    ((k, norm), {}, [(b, c, h, w) for c in (1, 5) for b, h, w in MAPS])
    for k in (1, 7)
    for norm in (True, False)
]
GRID["CrossCovarianceAttention"] = [
    ((c, heads), {"bias": bias}, [(b, c, h, w) for b, h, w in MAPS])
    for c, heads in ((16, 8), (70, 1), (96, 3))  # heads of one channel: no matrix product
    for bias in (True, False)
]
GRID["WindowAttention"] = [
    ((c, window, shift, heads), {}, [(b, c, h, w) for b, h, w in MAPS])
    for c, heads in ((16, 8), (70, 1))
    for window, shift in ((2, 0), (4, 1), (7, 3))
]
GRID["LinearAttention"] = [
    ((c, linear, heads), {}, [(b, c, h, w) for b, h, w in MAPS])
    for c, heads in ((16, 8), (70, 1))
    for linear in ("elu", "softmax")
]
GRID["SimAM"] = [((), {}, [(b, c, h, w) for c in (1, 5) for b, h, w in MAPS])]
GRID = {name: choices for name, choices in GRID.items() if hasattr(attn_lib, name)}

# Class → what its constructor may be given beside the channels.
REDUCTIONS, KERNELS = st.integers(1, 40), st.integers(0, 4).map(lambda half: 2 * half + 1)
CHANNELS = st.integers(40, 300)
OPTIONS: dict[str, dict[str, st.SearchStrategy]] = {
    "SelfAttention2d": {
        "reduction": REDUCTIONS,
        "value_reduction": REDUCTIONS,
        "bias": st.booleans(),
    },
    "NonLocalMeans": {"patch": KERNELS},
    "Attention": {"heads": st.integers(1, 9), "dim_head": st.integers(1, 70)},
    "AttentionPooling": {},
    "NonLocal": {"mode": st.sampled_from(MODES), "reduction": st.integers(1, 400)},
    "GlobalContext": {"reduction": st.integers(1, 400)},
    "SqueezeExcitation": {"reduction": st.integers(1, 400), "bias": st.booleans()},
    "EfficientChannelAttention": {"kernel_size": st.none() | KERNELS},
    "SelectiveKernel": {
        "branches": st.integers(1, 4),
        "reduction": REDUCTIONS,
        "groups": st.integers(1, 64),
    },
    "ChannelGate": {"reduction": st.integers(1, 400), "bias": st.booleans()},
    "SpatialGate": {"kernel_size": KERNELS, "norm": st.booleans()},
    "SimAM": {},
    "LinearAttention": {"mode": st.sampled_from(("elu", "softmax")), "heads": st.just(1)},
    "WindowAttention": {"window": st.integers(1, 9), "heads": st.just(1)},
    "CrossCovarianceAttention": {"heads": st.just(1), "bias": st.booleans()},
    "CoordinateAttention": {"reduction": st.integers(1, 400)},
    "CBAM": {"reduction": REDUCTIONS, "kernel_size": KERNELS, "norm": st.booleans()},
}
