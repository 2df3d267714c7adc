"""Boxes to scale: how a tensor of any shape becomes a rectangle."""

import math

from ...instruments.shapes import TracedTensor
from ..skeleton import Tree

POSITIONS = ("t", "h", "w", "n")
LONGEST = 20  # a box longer than wide by more than this has the rows of its image side by side


def sides(tensor: TracedTensor) -> tuple[int, int]:
    """How many numbers lie across and down the box of a tensor: of one image, where there is a batch.

    Positions (t, h, w and the first n) go down, all else across; axes without a name go down where others
    have one. Where that makes a needle of an image, its rows lie side by side: c·w across, h down. Where no
    name tells, the axes are cut in two so that the box comes nearest to a square, the longer side across.
    """
    axes = list(zip(tensor.axes, tensor.shape, strict=True))
    if tensor.axes[:1] == ("b",):
        axes = axes[1:]
    axes = [(name, size) for name, size in axes if size != 1]
    names = [name for name, _ in axes]
    downward = {names.index(name) for name in POSITIONS if name in names}
    if not downward and len(names) > 1:  # keys go across only where queries go down
        keys = {names.index("m")} if "m" in names else set()
        downward = keys or {i for i, name in enumerate(names) if not name and any(names)}
    if not downward:
        sizes = [size for _, size in axes]
        cuts = [(math.prod(sizes[:i]), math.prod(sizes[i:])) for i in range(len(sizes) + 1)]
        down, across = min(
            (min(cut), max(cut)) for cut in cuts if max(cut) == min(map(max, cuts))
        )
        return across, down
    down = math.prod(size for i, (_, size) in enumerate(axes) if i in downward)
    across = math.prod(size for i, (_, size) in enumerate(axes) if i not in downward)
    if down > LONGEST * across and {"h", "w"} <= set(names):
        width = dict(axes)["w"]
        return across * width, down // width
    return across, down


def draw(across: int, down: int, full: int) -> Tree:
    """A box, in the scale in which `full` numbers fill the width."""
    # "slice": the width sets the scale, whatever the browser rounds a low height to.
    scale = {"viewBox": f"0 0 {full} {down}", "preserveAspectRatio": "xMinYMin slice"}
    return [
        "svg",
        {**scale, "aria-hidden": "true"},
        ["rect", {"width": across, "height": down}],
    ]


def rounded(number: float | int) -> int:
    """The largest of 1, 2, 5, 10, 20, 50 … that is not above a number, and at least 1."""
    power = 10 ** math.floor(math.log10(max(number, 1)))
    return max(step * power for step in (1, 2, 5) if step * power <= max(number, 1))
