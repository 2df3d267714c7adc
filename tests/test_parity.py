"""Each mechanism equals what others wrote, with copied weights. An oracle that does not import is a failure."""

import pytest
import torch
import torch.nn.functional as F
from mmcv.cnn.bricks import NonLocal2d
from torch import Tensor, nn
from torch.testing import assert_close

from attn_lib import SelfAttention2d

CLOSE = {"atol": 1e-5, "rtol": 1e-5}
maps = pytest.mark.parametrize(
    "shape", [(2, 16, 3, 5), (2, 16, 12, 11)], ids=["explicit", "fused"]
)


def module_with_gamma_one(**options) -> SelfAttention2d:
    module = SelfAttention2d(16, **options).eval()
    nn.init.ones_(module.gamma)
    return module


def projections(module: SelfAttention2d, x: Tensor) -> list[Tensor]:
    return [part(x).flatten(2).mT for part in (module.query, module.key, module.value)]


def laid_out(tokens: Tensor, x: Tensor) -> Tensor:
    return tokens.mT.reshape(x.shape)


@maps
def test_self_attention_is_torch_attention_without_the_scale(shape: tuple):
    module, x = module_with_gamma_one(), torch.randn(shape)
    attended = F.scaled_dot_product_attention(*projections(module, x), scale=1.0)
    assert_close(module(x), x + laid_out(attended, x), **CLOSE)


@maps
def test_a_softmax_over_queries_is_told_apart(shape: tuple):
    # What torchgan does. Its columns sum to 1 in place of its rows, and nothing but numbers shows it.
    module, x = module_with_gamma_one(), torch.randn(shape)
    query, key, value = projections(module, x)
    wrong = (query @ key.mT).softmax(dim=-2) @ value
    assert (module(x) - (x + laid_out(wrong, x))).abs().max() > 1e-2


@maps
def test_the_paper_form_is_mmcv_non_local(shape: tuple):
    module, x = module_with_gamma_one(value_reduction=8), torch.randn(shape)
    oracle = NonLocal2d(
        16,
        reduction=8,
        use_scale=False,
        mode="embedded_gaussian",
        sub_sample=False,
        zeros_init=False,
    )
    for theirs, ours in {
        "theta": "query",
        "phi": "key",
        "g": "value",
        "conv_out": "out",
    }.items():
        oracle.get_submodule(theirs).conv.load_state_dict(
            module.get_submodule(ours).state_dict()
        )
    assert_close(module(x), oracle(x), **CLOSE)


@maps
def test_full_width_queries_make_one_head_of_multihead_attention(shape: tuple):
    module, x = module_with_gamma_one(reduction=1), torch.randn(shape)
    oracle = nn.MultiheadAttention(16, num_heads=1, batch_first=True)
    parts, scale = (
        (module.query, module.key, module.value),
        16**0.5,
    )  # they divide the scores by √d
    with torch.no_grad():
        oracle.in_proj_weight.copy_(torch.cat([part.weight.flatten(1) for part in parts]))
        oracle.in_proj_bias.copy_(torch.cat([part.bias for part in parts]))
        oracle.in_proj_weight[:16] *= scale
        oracle.in_proj_bias[:16] *= scale
        nn.init.eye_(oracle.out_proj.weight)
        tokens = x.flatten(2).mT
        attended, weights = oracle(tokens, tokens, tokens)
    assert_close(module(x), x + laid_out(attended, x), **CLOSE)
    assert_close(module.attention(x), weights, **CLOSE)


@pytest.mark.parametrize("part", ["query", "key", "value", "out"])
def test_spectral_norm_divides_by_the_largest_singular_value(part: str):
    module, x = (
        SelfAttention2d(16, value_reduction=2, spectral_norm=True),
        torch.randn(2, 16, 3, 3),
    )
    for _ in range(100):  # a power iteration each
        module(x)
    convolution = module.eval().get_submodule(part)
    raw = convolution.parametrizations.weight.original
    largest = torch.linalg.svdvals(raw.flatten(1))[0]
    assert_close(convolution.weight, raw / largest, atol=1e-4, rtol=1e-4)
    assert_close(
        torch.linalg.svdvals(convolution.weight.flatten(1))[0].item(), 1.0, atol=1e-4, rtol=0
    )
