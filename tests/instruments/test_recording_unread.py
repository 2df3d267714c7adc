"""A map is right, or its module is named: subclasses, strangers, masks that leave nothing, NaN."""

import types
import warnings

import pytest
import torch
from cases import Case, every_case
from test_recording import CLOSE, TimmAttention, by_hand, encoder, multihead
from torch import Tensor, nn
from torch.testing import assert_close
from torch.utils.checkpoint import checkpoint

from attn_lib import Attention, record


def turned(x: Tensor) -> Tensor:
    """A rotation of each pair of features, further for each token."""
    angle = torch.arange(x.shape[1])[:, None].to(x)
    first, second = x.chunk(2, -1)
    return torch.cat([first * angle.cos() - second * angle.sin(), first * angle.sin() + second * angle.cos()], -1)  # fmt: skip


class Rotary(nn.MultiheadAttention):
    def forward(self, query: Tensor, key: Tensor, value: Tensor, **options):
        return super().forward(turned(query), turned(key), value, **options)


class Inherited(nn.MultiheadAttention):
    pass


class Deeper(nn.Module):
    """Mixes the heads after the softmax (DeepViT): what weighs the values is not what softmax gave."""

    def __init__(self):
        super().__init__()
        self.qkv, self.mix = nn.Linear(12, 36), nn.Parameter(torch.rand(4, 4))

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.qkv(x).unflatten(2, (3, 4, 3)).permute(2, 0, 3, 1, 4)
        weights = (query @ key.mT).softmax(-1)
        weights = torch.einsum("bhij,hg->bgij", weights, self.mix)
        return (weights @ value).transpose(1, 2).flatten(2)


class LinearAttention(nn.Module):
    """A softmax over features, multiplied too: no relation between tokens."""

    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(12, 36)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.qkv(x).chunk(3, -1)
        return query.softmax(-1) @ (key.softmax(1).mT @ value)


class TwiceAttention(TimmAttention):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(super().forward(x))


strangers = pytest.mark.parametrize(
    "make", [Deeper, LinearAttention, lambda: TwiceAttention(12, 4)]
)


@strangers
@pytest.mark.parametrize("gradients", [False, True])
def test_what_is_no_map_composes_by_name(make, gradients: bool):
    module, x = make().eval(), torch.randn(2, 5, 12)
    before, name = module(x), type(module).__name__
    with pytest.raises(
        ValueError, match=f"left no map: {name} cannot be read: it is not one softmax"
    ):
        with record(module, gradients):
            module(x)
    model = nn.Sequential(module, nn.Sequential(TimmAttention(12, 4)))
    with pytest.warns(UserWarning, match=rf"no map can be read of {name} .*\('0'\)") as caught:
        with record(model, gradients) as maps:
            model(x)
            assert maps.unread == {}
    assert len(caught) == 1 and caught[0].filename == __file__
    assert list(maps) == ["1.0"] and maps.unread.keys() == {"0"} and name in maps.unread["0"]
    assert torch.equal(module(x), before)


def test_what_was_not_called_composes_without_a_warning():
    model = nn.ModuleList([TimmAttention(12, 4), multihead(), nn.Linear(1, 1)])
    with warnings.catch_warnings(), record(model) as maps:
        warnings.simplefilter("error")
        model[0](torch.randn(2, 5, 12))
    assert maps.unread == {"1": "MultiheadAttention was not called"}


@pytest.mark.parametrize("need", [True, False], ids=["weights", "no weights"])
def test_a_subclass_with_its_own_forward_composes(need: bool):
    module, x = Rotary(12, 4, batch_first=True), torch.randn(2, 5, 12)
    nn.init.normal_(module.in_proj_bias)
    with record(module) as maps:
        y, _ = module(x, x, x, need_weights=need)
    assert_close(maps[""], by_hand(module, turned(x), turned(x)), **CLOSE)
    assert torch.equal(y, module(x, x, x, need_weights=need)[0])
    assert not torch.allclose(maps[""], by_hand(module, x, x), atol=1e-2)


def test_a_subclass_without_one_composes():
    module, x = Inherited(12, 4, batch_first=True), torch.randn(2, 5, 12)
    with record(module) as maps:
        module(x, x, x)
    assert_close(maps[""], by_hand(module, x, x), **CLOSE)


@pytest.mark.parametrize("gradients", [False, True])
def test_a_forward_that_was_replaced_composes(gradients: bool):
    module, x = TimmAttention(12, 4).eval(), torch.randn(2, 5, 12)
    with record(module) as wanted:
        module(turned(x))
    plain = module.forward
    module.forward = lambda x: plain(turned(x))
    with record(module, gradients) as maps:
        module(x)
    assert_close(maps[""].detach(), wanted[""])
    ours = Attention(12, 4, 3)
    wanted = ours.attention(turned(x))
    ours.forward = types.MethodType(lambda self, x: Attention.forward(self, turned(x)), ours)
    with record(ours, gradients) as maps:
        ours(x)
    assert_close(maps[""].detach(), wanted.detach())


@every_case
def test_our_forward_replaced_composes_by_name(case: Case):
    class Other(type(case.build())):
        def forward(self, x: Tensor) -> Tensor:
            return 2 * x

    module = case.build()
    module.__class__ = Other
    with pytest.raises(ValueError, match="Other cannot be read"), record(module) as maps:
        module(case.input())
    assert maps == {}


@pytest.mark.filterwarnings("ignore:torch.ao.quantization is deprecated")
def test_a_quantisable_one_composes():
    plain, x = multihead().eval(), torch.randn(2, 5, 12)
    plain.qconfig = torch.ao.quantization.default_qconfig
    module = torch.ao.nn.quantizable.MultiheadAttention.from_float(plain)
    with record(module) as maps:
        module(x, x, x)
    assert_close(maps[""], by_hand(plain, x, x), **CLOSE)


CAUSAL = torch.ones(5, 5, dtype=torch.bool).tril(-1)  # the first sees nothing


def masked(module: nn.Module, x: Tensor, need: bool) -> Tensor:
    if isinstance(module, nn.MultiheadAttention):
        return module(x, x, x, attn_mask=~CAUSAL, need_weights=need)[0]
    module.fused_attn = not need
    return module(x, attn_mask=CAUSAL)


makers = pytest.mark.parametrize("make", [multihead, lambda: Rotary(12, 4, batch_first=True), lambda: TimmAttention(12, 4)], ids=["torch", "subclass", "timm"])  # fmt: skip


@makers
@pytest.mark.parametrize("need", [True, False], ids=["explicit", "fused"])
@pytest.mark.parametrize("gradients", [False, True])
@pytest.mark.parametrize("batch_first", [True, False])
def test_rows_without_a_key_compose(make, need: bool, gradients: bool, batch_first: bool):
    module, x = make().eval(), torch.randn(2, 5, 12)
    if not batch_first:
        module.batch_first, x = False, torch.randn(5, 2, 12)
    if not batch_first and not isinstance(module, nn.MultiheadAttention):
        return
    before = masked(module, x, need)
    with record(module, gradients) as maps:
        y = masked(module, x, need)
    assert_close(y, before, equal_nan=True)
    rows = y if batch_first else y.transpose(0, 1)
    blind = maps[""][:, :, 0]
    assert rows[:, 0].isfinite().all() != need
    assert blind.isnan().all() if need else not blind.any()
    assert_close(maps[""][:, :, 1:].sum(-1), torch.ones(2, 4, 4))


@makers
@pytest.mark.parametrize("need", [True, False], ids=["explicit", "fused"])
def test_a_true_nan_composes_as_nan(make, need: bool):
    module, x = make().eval(), torch.randn(2, 5, 12)
    x[1, 2] = torch.nan
    with record(module) as maps:
        masked(module, x, need)
    assert maps[""][1, :, 3:].isnan().all() and maps[""][0, :, 1:].isfinite().all()


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_an_empty_sentence_composes():
    model, x = encoder().eval(), torch.randn(2, 5, 12)
    nothing = torch.tensor([[False] * 5, [True] * 5])
    with torch.no_grad(), record(model) as maps:
        y = model(x, src_key_padding_mask=nothing)
    assert y.isfinite().all()
    assert all(not weights[1].any() and weights[0].all() for weights in maps.values())


def test_backward_that_runs_the_model_again_composes():
    model, x = TimmAttention(12, 4), torch.randn(2, 5, 12, requires_grad=True)
    for reentrant in (True, False):
        with record(model) as maps:
            y = checkpoint(model, x, use_reentrant=reentrant)
            first = maps[""]
            y.sum().backward()
        assert torch.equal(maps[""], first) and not torch._C._len_torch_function_stack()


def test_a_compiled_part_of_a_forward_composes(unchecked):
    core = torch.compile(lambda q, k, v: (q @ k.mT).softmax(-1) @ v, backend="eager")

    class HelpedAttention(nn.Module):
        def __init__(self):
            super().__init__()
            self.qkv = nn.Linear(12, 36)

        def forward(self, x: Tensor) -> Tensor:
            return core(*self.qkv(x).chunk(3, -1))

    module, x = HelpedAttention(), torch.randn(2, 5, 12)
    for _ in range(2):
        with record(module) as maps:
            y = module(x)
        query, key, _ = module.qkv(x).chunk(3, -1)
        assert_close(maps[""][:, 0], (query @ key.mT).softmax(-1).detach())
        assert torch.equal(module(x), y)
