"""Attention within windows, laid over the image."""

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor


def unwindow(
    maps: Float[Tensor, "b windows heads n n"],
    size: tuple[int, int],
    shift: int | tuple[int, int] = 0,
) -> Float[Tensor, "b heads m m"]:
    """The maps of windows as one relation between all positions of the image, 0 between windows.

    Windows are squares, cut row by row, as Swin does. (b, heads, h·w, h·w) is large: of the first layer of
    a Swin-T (h = w = 56) 39 MB for each image and head; take `maps.mean(2, keepdim=True)` to keep one.

    Args:
        maps: as `record` gives them of a Swin transformer.
        size: (h, w), the positions of the layer's feature map. Where windows do not divide it, the layer
            pads it at its end, and padding is left out: a row then sums to less than 1 by what it gave to that.
        shift: by how many positions the layer rolls the image before cutting; torchvision, timm and
            Transformers keep it as `shift_size`, of the layer or the attention.

    Raises:
        ValueError: no squares, or not as many as `size` is cut into.
    """
    side = round(maps.shape[-1] ** 0.5)
    rows, columns = (-(-length // side) for length in size)
    if side**2 != maps.shape[-1] or rows * columns != maps.shape[1]:
        raise ValueError(
            f"windows of {maps.shape[-1]} positions over {size[0]}×{size[1]} are "
            f"{rows}×{columns} squares of side {side}; got maps {tuple(maps.shape)}"
        )
    shifts = (shift, shift) if isinstance(shift, int) else tuple(shift)
    whole = torch.arange(rows * columns * side**2, device=maps.device)
    places = whole.view(rows * side, columns * side).roll([-by for by in shifts], (0, 1))
    places = rearrange(places, "(y p) (x q) -> (y x) (p q)", p=side, q=side)
    b, heads = maps.shape[0], maps.shape[2]
    laid = maps.new_zeros(b, heads, len(whole), len(whole))
    laid[:, :, places[:, :, None], places[:, None, :]] = rearrange(
        maps, "b k heads n m -> b heads k n m"
    )
    inside = whole.view(rows * side, columns * side)[: size[0], : size[1]].flatten()
    return laid[:, :, inside][..., inside]
