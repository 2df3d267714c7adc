"""Each mechanism equals what others wrote, with copied weights. An oracle that does not import is a failure."""

import pytest
import torch
import torch.nn.functional as F
from mmcv.cnn.bricks import NonLocal2d
from skimage.restoration import denoise_nl_means
from torch import Tensor, nn
from torch.testing import assert_close

from attn_lib import NonLocalMeans, SelfAttention2d
from attn_lib.data import photograph

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
    # They divide the scores by √d.
    parts, scale = (
        (module.query, module.key, module.value),
        16**0.5,
    )
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


@pytest.mark.parametrize(("patch", "strength"), [(3, 0.5), (5, 1.0)])
def test_non_local_means_is_that_of_scikit_image(patch: int, strength: float):
    # To 0.004 on a photograph in [0, 1]: theirs takes a fast approximation of the exponential.
    image = photograph("coffee", 24)
    theirs = denoise_nl_means(
        image.permute(1, 2, 0).numpy(),
        patch_size=patch,
        patch_distance=24,  # all positions
        h=strength,
        fast_mode=False,  # weighs a patch by the same Gaussian
        channel_axis=-1,
    )
    ours = NonLocalMeans(patch, strength)(image[None])[0].permute(1, 2, 0)
    assert_close(ours, torch.from_numpy(theirs), atol=4e-3, rtol=0)
    blurred = image.mean((1, 2)).expand(24, 24, 3)
    assert (ours - blurred).abs().max() > 0.02, "the tolerance tells it from the mean"


def test_non_local_means_of_single_pixels_is_torch_attention_with_a_bias():
    # -|p - q|² = 2 p·q - |q|² - |p|², and softmax forgets |p|²: dot products, and a bias for each key.
    x = torch.randn(2, 3, 4, 5)
    pixels = x.flatten(2).mT.unsqueeze(1) / (0.7 * 3**0.5)
    bias = -pixels.square().sum(-1).unsqueeze(2)
    values = x.flatten(2).mT.unsqueeze(1)
    attended = F.scaled_dot_product_attention(pixels, pixels, values, bias, scale=2.0)
    theirs = attended.squeeze(1).mT.reshape(x.shape)
    module = NonLocalMeans(patch=1, strength=0.7)
    assert_close(module(x), theirs, atol=1e-5, rtol=0)
    assert_close(module.reweight(x, module.attention(x)), theirs, atol=1e-5, rtol=0)
