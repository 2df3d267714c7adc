"""Bugs in what came after the notes, each planted in a copy of a module, as in `planted_bugs`."""

from torch import Tensor

from attn_lib import GlobalContext


class NoSoftmax(GlobalContext):
    def attention(self, x: Tensor) -> Tensor:
        return self.key(x).squeeze(1)


class ContextMultiplies(GlobalContext):
    def reweight(self, x: Tensor, weights: Tensor) -> Tensor:
        context = (x * weights[:, None]).sum((2, 3))
        return x * self.transform(context).sigmoid()[..., None, None]
