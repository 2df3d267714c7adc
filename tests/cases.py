"""The mechanisms that every generic test runs on. A new one joins all of them with one entry in CASES."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from attn_lib import AttentionModule, NonLocalMeans, SelfAttention2d


@dataclass(frozen=True)
class Case:
    """A mechanism and what its mathematics promises.

    Attributes:
        name: as it stands in the test's id.
        make: builds it.
        small, large: shapes of an input; where `forward` takes another way for large maps, one for each way.
        kind: a relation's rows sum to 1; a gate lies in (0, 1).
        parameters: how many numbers it learns, written as the paper's formula.
        switch: the parameters that are 0 at first, make it the identity, and alone learn in the first step.
        dead: parameters whose gradient is 0 whatever the input.
        permutes: whether permuting the positions of the input permutes the output, and no more.
        smallest: the least height and width that it takes.
    """

    name: str
    make: Callable[[], AttentionModule]
    small: tuple[int, ...]
    large: tuple[int, ...]
    kind: Literal["relation", "gate"]
    parameters: int
    switch: tuple[str, ...] = ()
    dead: tuple[str, ...] = ()
    permutes: bool = False
    smallest: int = 1

    def build(self, dtype: torch.dtype = torch.float32) -> AttentionModule:
        """In evaluation mode, as it starts."""
        return self.make().to(dtype).eval()

    def awake(self, dtype: torch.dtype = torch.float32) -> AttentionModule:
        """With what starts at 0 moved away from it: an identity would pass most tests whatever it computes."""
        module = self.build(dtype)
        for parameter in module.parameters():
            if not parameter.any():
                nn.init.uniform_(parameter, 0.5, 1.0)
        return module

    def input(self, size: str = "small", dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.randn(getattr(self, size), dtype=dtype)


def _sagan(
    name: str, small: tuple, large: tuple, parameters: int, *, dead=(), permutes=True, **options
) -> Case:
    def make() -> SelfAttention2d:
        return SelfAttention2d(16, **options)

    return Case(name, make, small, large, "relation", parameters, ("gamma",), dead, permutes)


# A bias of the keys adds the same q·b to every score of a row, and softmax forgets it.
DEAD = ("key.bias",)
PAPER = {"value_reduction": 8, "spectral_norm": True}
RELEASED = {"value_reduction": 2, "subsample": True, "spectral_norm": True, "bias": False}

# fmt: off
CASES = [
    _sagan("SelfAttention2d", (2, 16, 3, 5), (2, 16, 9, 11), 2 * (16 * 2 + 2) + (16 * 16 + 16) + 1, dead=DEAD),
    _sagan("paper", (2, 16, 2, 3), (2, 16, 9, 11), 3 * (16 * 2 + 2) + (2 * 16 + 16) + 1, dead=DEAD, **PAPER),
    _sagan("released", (2, 16, 3, 5), (2, 16, 13, 11), 2 * 16 * 2 + 16 * 8 + 8 * 16 + 1, permutes=False, **RELEASED),
    Case("NonLocalMeans", lambda: NonLocalMeans(3, 1.0), (2, 3, 2, 4), (2, 3, 7, 5), "relation", 0, smallest=2),
]
# fmt: on


def those(wanted: Callable[[Case], object]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "case", list(filter(wanted, CASES)), ids=lambda case: case.name
    )


every_case = those(lambda case: True)
every_size = pytest.mark.parametrize("size", ["small", "large"])
