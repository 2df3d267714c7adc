"""Bugs in what came after the notes, each planted in a copy of a module, as in `planted_bugs`."""

import torch
from torch import Tensor

from attn_lib import (
    CoordinateAttention,
    CrossCovarianceAttention,
    GlobalContext,
    LinearAttention,
    SimAM,
    WindowAttention,
)
from attn_lib.mixed import inverse_energy
from attn_lib.relations import positive


class NoSoftmax(GlobalContext):
    def attention(self, x: Tensor) -> Tensor:
        return self.key(x).squeeze(1)


class ContextMultiplies(GlobalContext):
    def reweight(self, x: Tensor, weights: Tensor) -> Tensor:
        context = (x * weights[:, None]).sum((2, 3))
        return x * self.transform(context).sigmoid()[..., None, None]

    def forward(self, x: Tensor) -> Tensor:
        return self.reweight(x, self.attention(x))


class NoVarianceOfOne(SimAM):
    def attention(self, x: Tensor) -> Tensor:
        squares = (x - x.mean((2, 3), keepdim=True)).square()
        variance = squares.sum((2, 3), keepdim=True) / (torch.tensor(x[0, 0].numel()) - 1)
        return (squares / (4 * (variance + self.regularisation)) + 0.5).sigmoid()


class EnergyInPlaceOfItsInverse(SimAM):
    def attention(self, x: Tensor) -> Tensor:
        return (1 / inverse_energy(x, self.regularisation)).sigmoid()


class RowsForColumns(CoordinateAttention):
    def attention(self, x: Tensor) -> Tensor:
        seen = self.squeeze(torch.cat([x.mean(3), x.mean(2)], dim=2))
        of_rows, of_columns = seen.split([x.shape[2], x.shape[3]], dim=2)
        gate_of_rows, gate_of_columns = self.columns(of_rows), self.rows(of_columns)
        return gate_of_rows.sigmoid()[..., None] * gate_of_columns.sigmoid()[:, :, None]


class OneDirection(CoordinateAttention):
    def attention(self, x: Tensor) -> Tensor:
        seen = self.squeeze(torch.cat([x.mean(3), x.mean(2)], dim=2))
        return self.rows(seen[..., : x.shape[2]]).sigmoid()[..., None].expand_as(x)


class OverTheOtherChannels(CrossCovarianceAttention):
    def attention(self, x: Tensor) -> Tensor:
        query, key = (
            torch.nn.functional.normalize(self._cut(part(x)), dim=-1)
            for part in (self.query, self.key)
        )
        return (query @ key.mT * self.temperature[:, None, None]).softmax(dim=-2)


class LengthOverChannels(CrossCovarianceAttention):
    def attention(self, x: Tensor) -> Tensor:
        query, key = (
            torch.nn.functional.normalize(self._cut(part(x)), dim=-2)
            for part in (self.query, self.key)
        )
        return (query @ key.mT * self.temperature[:, None, None]).softmax(dim=-1)


class DividedByTemperature(CrossCovarianceAttention):
    def attention(self, x: Tensor) -> Tensor:
        query, key = (
            torch.nn.functional.normalize(self._cut(part(x)), dim=-1)
            for part in (self.query, self.key)
        )
        return (query @ key.mT / self.temperature[:, None, None]).softmax(dim=-1)


class LooksAtWhatFillsUp(WindowAttention):
    def weigh(self, x: Tensor, query: Tensor, key: Tensor) -> Tensor:
        bias = self.bias[self.offsets].movedim(2, 0)
        return (self.scale * query @ key.mT + bias).softmax(dim=-1)


class BiasOfTheOtherWay(WindowAttention):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.offsets = self.offsets.mT


class RolledBackTheWrongWay(WindowAttention):
    def _added(self, x: Tensor, weights: Tensor, value: Tensor) -> Tensor:
        attended = super()._added(x, weights, value) - x
        return x + attended.roll((2 * self.shift, 2 * self.shift), (2, 3))


class NotDivided(LinearAttention):
    def _features(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self._cut(positive(self.query(x))), self._cut(positive(self.key(x)))


class ReLUFeatures(LinearAttention):
    def _features(self, x: Tensor) -> tuple[Tensor, Tensor]:
        query, key = self._cut(self.query(x)).relu(), self._cut(self.key(x)).relu()
        return query / (query @ key.sum(-2)[..., None]).clamp(min=1e-6), key


class KeysOverTheBatch(LinearAttention):
    def _features(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self._cut(self.query(x)).softmax(-1), self._cut(self.key(x)).softmax(0)
