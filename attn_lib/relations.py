"""Relations between positions that cost less than all pairs."""

import torch
import torch.nn.functional as F
from einops import einsum, rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from .fast import project_tokens
from .module import AttentionModule, dot, inputs_of, is_traced, require_features, require_heads

# Whole in a graph of torch.fx: shapes decide within.
for leaf in ("dot", "einsum", "in_windows", "out_of_windows", "positive", "rearrange", "seen_together"):  # fmt: skip
    torch.fx.wrap(leaf)


MODES = ("elu", "softmax")


class LinearAttention(AttentionModule):
    r"""Each position gathers from all others, without a map of all pairs: similarity is a product of features.

    $$ A^{(a)}_{ij} = \phi(q_i)^\top \psi(k_j), \qquad
       y_i = x_i + W_o\, \big[\textstyle\sum_j A^{(a)}_{ij} v_j\big]_{a = 1 \dots \mathrm{heads}}, $$
    $$ \sum_j A^{(a)}_{ij} v_j^\top = \phi(q_i)^\top \Big(\sum_j \psi(k_j)\, v_j^\top\Big) $$

    with $q = W_q x$, $k = W_k x$, $v = W_v x$, each a 1×1 convolution, cut into heads. The last sum does not know i: it
    is made once, and time and memory grow with n, not n². For

    $$ \begin{array}{lll}
       \text{elu} & \psi(k_j) = \mathrm{elu}(k_j) + 1 & \phi(q_i) = \dfrac{\mathrm{elu}(q_i) + 1}
       {(\mathrm{elu}(q_i) + 1)^\top \sum_l \psi(k_l)} \\
       \text{softmax} & \psi(k_j) = \mathrm{softmax}_j(k_j) & \phi(q_i) = \mathrm{softmax}_d(q_i)
       \end{array} $$

    softmax along the n positions of the keys, and along the d features of a query, makes each row sum to 1, too.

    Args:
        channels: c, the channels of the input and the output.
        mode: "elu" or "softmax", as above.
        heads: how many maps are made side by side, each of d = c / heads channels.

    Shapes: (b, c, h, w) → (b, c, h, w); the weights are (b, heads, n, n), n = h·w, and each row sums to 1.

    Raises:
        ValueError: mode is none of the above, channels or heads is below 1, heads do not divide channels, or x is
            not (b, c, h, w) floats.

    Source: Katharopoulos, Vyas, Pappas, Fleuret, "Transformers are RNNs: Fast Autoregressive Transformers with Linear
    Attention", ICML 2020, section 3.2, for elu, whose released code adds 1e-6 to the sum that it divides by; Shen,
    Zhang, Zhao, Yi, Li, "Efficient Attention: Attention with Linear Complexities", WACV 2021, section 3.2, for
    softmax, whose released code has the sum with x, and the heads, which the paper has not.
    """

    def __init__(self, channels: int, mode: str = "elu", heads: int = 8):
        super().__init__()
        require_heads(self, channels, heads)
        if mode not in MODES:
            raise ValueError(f"LinearAttention wants mode elu or softmax; got {mode=}")
        self.channels, self.mode, self.heads = channels, mode, heads
        self.query = nn.Conv2d(channels, channels, 1)
        self.key = nn.Conv2d(channels, channels, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)

    def attention(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b heads n n"]:
        query, key = self._features(x)
        return dot(query, key, "b heads n d, b heads m d -> b heads n m").to(x.dtype)

    def reweight(
        self, x: Float[Tensor, "b c h w"], weights: Float[Tensor, "b heads n n"]
    ) -> Float[Tensor, "b c h w"]:
        gathered = einsum(
            weights, self._cut(self.value(x)), "b heads n m, b heads m d -> b heads n d"
        )
        return self._added(x, gathered)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        (query, key), value = self._features(x), self._cut(self.value(x))
        summary = dot(key, value.to(key.dtype), "b heads m d, b heads m e -> b heads d e")
        gathered = dot(query, summary.to(key.dtype), "b heads n d, b heads d e -> b heads n e")
        return self._added(x, gathered.to(x.dtype))

    def _features(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """φ(q) and ψ(k), each (b, heads, n, d)."""
        require_features(self, x, inputs_of(self.query, self.channels))
        query, key = self.query(x), self.key(x)
        if self.mode == "softmax":
            return self._cut(query).softmax(dim=-1), self._cut(key).softmax(dim=-2)
        query, key = self._cut(positive(query)), self._cut(positive(key))
        total = (query * key.sum(-2, keepdim=True)).sum(-1, keepdim=True)
        return query / total.clamp(min=1e-30), key  # where all features are 0, so is the row

    def _cut(self, features: Tensor) -> Float[Tensor, "b heads n d"]:
        return rearrange(features, "b (heads d) h w -> b heads (h w) d", heads=self.heads)

    def _added(self, x: Tensor, gathered: Tensor) -> Float[Tensor, "b c h w"]:
        gathered = rearrange(gathered, "b heads (h w) d -> b (heads d) h w", h=x.shape[2])
        return x + self.out(gathered).to(x.dtype)


def positive(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """elu + 1, in float32 at least: sums over all positions leave float16's range."""
    return F.elu(x.to(torch.promote_types(x.dtype, torch.float32))) + 1


class WindowAttention(AttentionModule):
    r"""Each position gathers from those in its own window, by what they hold and by where they lie from it.

    $$ A^{(a)}_{ij} = \mathrm{softmax}_j\Big(\frac{q_i^{(a)\top} k_j^{(a)}}{\sqrt{d}} + B^{(a)}_{i-j}\Big), \qquad
       y_i = x_i + W_o\, \big[\textstyle\sum_j A^{(a)}_{ij} v_j\big]_{a = 1 \dots \mathrm{heads}} $$

    with j in the window of i, $q = W_q x$, $k = W_k x$, $v = W_v x$, each a 1×1 convolution, and B a learned number
    for each of the (2M - 1)² ways to lie from one another. Windows of M×M positions are cut from the top left corner
    on, or `shift` rows and columns further, with smaller ones at the edges. A module that shifts behind one that does
    not lets neighbours across an edge see one another.

    Args:
        channels: c, the channels of the input and the output.
        window: M, the side of a window. A smaller grid is one window, and is not shifted.
        shift: by how many positions windows are moved, from 0 to M - 1; every second layer of Swin has M // 2.
        heads: how many maps are made side by side, each of d = c / heads channels.

    Shapes: (b, c, h, w) → (b, c, h, w); the weights are (b, windows, heads, n, n), n = M² positions of each of
    ⌈h/M⌉·⌈w/M⌉ windows, and each row sums to 1. `unwindow` lays them over the image. The windows that a shift, or
    sides that M does not divide, make smaller are filled up, by what lies at the other edge and by zeros; nobody
    looks at that.

    Raises:
        ValueError: channels, window or heads is below 1, heads do not divide channels, shift is not below window,
            or x is not (b, c, h, w) floats.

    Source: Liu et al., "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows", ICCV 2021, section
    3.2. The released code and its ports pad with zeros that positions look at; here they do not. Layer normalisation
    and the feed-forward network belong to the block around it, not to this; the sum with x does here.
    """

    def __init__(self, channels: int, window: int = 7, shift: int = 0, heads: int = 8):
        super().__init__()
        require_heads(self, channels, heads)
        if window < 1 or not 0 <= shift < window:
            raise ValueError(
                f"WindowAttention wants window >= 1 and a shift from 0 to window - 1; got {window=}, {shift=}"
            )
        self.channels, self.heads, self.scale = channels, heads, (channels // heads) ** -0.5
        self.window, self.shift = window, shift
        self.query = nn.Conv2d(channels, channels, 1)
        self.key = nn.Conv2d(channels, channels, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)
        self.bias = nn.Parameter(torch.empty((2 * window - 1) ** 2, heads))
        nn.init.trunc_normal_(self.bias, std=0.02)
        y, x = torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")
        apart = [side.flatten()[:, None] - side.flatten() + window - 1 for side in (y, x)]
        offsets = apart[0] * (2 * window - 1) + apart[1]
        self.offsets: Tensor
        self.register_buffer("offsets", offsets, persistent=False)

    def attention(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b windows heads n n"]:
        return self.weigh(x, *self._cut(x, self.query, self.key))

    def reweight(
        self, x: Float[Tensor, "b c h w"], weights: Float[Tensor, "b windows heads n n"]
    ) -> Float[Tensor, "b c h w"]:
        (value,) = self._cut(x, self.value)
        return self._added(x, weights, value)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        query, key, value = self._cut(x, self.query, self.key, self.value)
        return self._added(x, self.weigh(x, query, key), value)

    def _cut(self, x: Tensor, *parts: nn.Module) -> list[Float[Tensor, "b windows heads n d"]]:
        require_features(self, x, inputs_of(parts[0], self.channels))
        features, widths = project_tokens(x, parts)
        windows = in_windows(features, x, self.window, self.shift).split(widths, -1)
        pattern = "b windows n (heads d) -> b windows heads n d"
        # By their numbers: of a traced graph nobody knows how many a split gives.
        return [rearrange(windows[i], pattern, heads=self.heads) for i in range(len(parts))]

    def weigh(
        self,
        x: Float[Tensor, "b c h w"],
        query: Float[Tensor, "b windows heads n d"],
        key: Float[Tensor, "b windows heads n d"],
    ) -> Float[Tensor, "b windows heads n n"]:
        """Each row's weights, from queries and keys of x that are cut into windows."""
        pattern = "b windows heads n d, b windows heads m d -> b windows heads n m"
        scores = dot(self.scale * query, key, pattern)
        bias = rearrange(self.bias[self.offsets], "n m heads -> heads n m")
        apart = ~seen_together(x, self.window, self.shift)
        scores = scores + bias.masked_fill(
            rearrange(apart, "windows n m -> windows 1 n m"), -torch.inf
        )
        return scores.softmax(dim=-1).to(x.dtype)

    def _added(self, x: Tensor, weights: Tensor, value: Tensor) -> Float[Tensor, "b c h w"]:
        attended = einsum(
            weights, value, "b windows heads n m, b windows heads m d -> b windows n heads d"
        )
        attended = out_of_windows(attended.flatten(3), x, self.window, self.shift)
        attended = rearrange(attended, "b (h w) d -> b d h w", h=x.shape[2])
        out, _ = project_tokens(attended, (self.out,))
        return x + out.transpose(1, 2).reshape(x.shape).to(x.dtype)


def in_windows(
    tokens: Float[Tensor, "b n d"], x: Float[Tensor, "b c h w"], side: int, shift: int
) -> Float[Tensor, "b windows m d"]:
    """Squares, row by row, of the tokens of x, filled up to whole squares at its end, then rolled by `shift`."""
    if _is_one_window(x, side):
        return tokens.unsqueeze(1)
    (_, squares), (h, w) = _places(x, side, shift), x.shape[2:]
    # Filled up with the first position, which nobody sees there.
    places = _cut(torch.arange(h * w, device=x.device), x, side, shift, filled_up=0)
    cut = tokens.index_select(1, places.flatten())
    return cut.view(x.shape[0], squares, side**2, tokens.shape[2])


def out_of_windows(
    windows: Float[Tensor, "b windows m d"], x: Float[Tensor, "b c h w"], side: int, shift: int
) -> Float[Tensor, "b n d"]:
    """What `in_windows` cut from the tokens of x, where it was."""
    if _is_one_window(x, side):
        return windows.squeeze(1)
    places, _ = _places(x, side, shift)
    return windows.flatten(1, 2).index_select(1, places)


def _is_one_window(x: Tensor, side: int) -> bool:
    """Whether the grid is one whole window: nothing to cut. A traced graph, whose sizes may change, cuts it anyhow."""
    return not is_traced() and x.shape[2] == x.shape[3] == side


def seen_together(
    x: Float[Tensor, "b c h w"], side: int, shift: int
) -> Bool[Tensor, "windows n n"]:
    """Whether two places of a square are of one window: none is filled up, none came from the other edge."""
    rows, columns = (
        (torch.arange(length, device=x.device) + side - _rolled(length, side, shift)[1]) // side
        for length in x.shape[2:]
    )
    window = rows[:, None] * (x.shape[3] + side) + columns
    window = _cut(window.flatten(), x, side, shift, filled_up=-1)
    return window[:, :, None] == window[:, None, :]


def _cut(
    numbers: Int[Tensor, " n"], x: Tensor, side: int, shift: int, filled_up: int
) -> Int[Tensor, "windows m"]:
    """A number of each position, square by square, and another where there is none."""
    places, squares = _places(x, side, shift)
    filled = numbers.new_full((squares * side**2,), filled_up)
    return filled.scatter(0, places, numbers).view(squares, side**2)


def _places(x: Tensor, side: int, shift: int) -> tuple[Int[Tensor, " n"], int]:
    """Where each position of x stands among those of all squares, and how many squares there are."""
    (down, y), (across, x_) = (_standing(x, dim, side, shift) for dim in (2, 3))
    square = (y // side)[:, None] * across + x_ // side
    inside = (y % side * side)[:, None] + x_ % side
    return (square * side**2 + inside).flatten(), down * across


def _standing(x: Tensor, dim: int, side: int, shift: int) -> tuple[int, Int[Tensor, " n"]]:  # fmt: skip
    """How many squares one side of x takes, and where each position stands along them, rolled."""
    count, by = _rolled(x.shape[dim], side, shift)
    place = torch.arange(x.shape[dim], device=x.device) - by
    return count, torch.where(place < 0, place + count * side, place)


def _rolled(length: int, side: int, shift: int) -> tuple[int, int]:
    """How many squares a side takes, and how far it is rolled: not at all where one square holds it.

    By arithmetic, not by a branch, which a traced graph would fix.
    """
    count = (length + side - 1) // side
    return count, shift * (1 - 1 // count)
