"""NonLocal equals mmcv's, in every mode, for sequences, images and videos, with and without sub-sampling."""

import pytest
import torch
from mmcv.cnn.bricks.non_local import NonLocal1d, NonLocal2d, NonLocal3d
from timm.layers import NonLocalAttn
from torch import nn
from torch.testing import assert_close

from attn_lib import NonLocal
from attn_lib.spatial import MODES

CLOSE = {"atol": 1e-5, "rtol": 1e-5}
ORACLES = {1: NonLocal1d, 2: NonLocal2d, 3: NonLocal3d}
# Even, for mmcv drops the last row of an odd grid; one below and one above the size where `forward` changes ways.
SIZES = {1: [(20,), (90,)], 2: [(4, 6), (10, 12)], 3: [(3, 4, 2), (5, 4, 6)]}

every_mode = pytest.mark.parametrize("mode", MODES)
every_ndim = pytest.mark.parametrize("ndim", ORACLES)
subsampled = pytest.mark.parametrize("subsample", [False, True], ids=["whole", "subsampled"])


def build(mode: str, ndim: int, subsample: bool, **options) -> NonLocal:
    """Ours, as some steps of training may leave it."""
    module = NonLocal(16, mode, ndim, subsample, **options)
    for part in (module.norm.weight, module.norm.bias, module.norm.running_mean):
        nn.init.normal_(part)
    return module.eval()


def mmcv(module: NonLocal, subsample: bool) -> nn.Module:
    """mmcv's, with the weights of ours."""
    use_scale = module.mode == "embedded_gaussian" and module.scale != 1
    oracle = ORACLES[module.ndim](
        16, sub_sample=subsample, mode=module.mode, use_scale=use_scale, norm_cfg={"type": f"BN{module.ndim}d"}
    )  # fmt: skip
    first = {"g": oracle.g[0] if subsample else oracle.g}
    if module.mode != "gaussian":
        first |= {"theta": oracle.theta, "phi": oracle.phi[0] if subsample else oracle.phi}
    for name, theirs in first.items():
        theirs.conv.load_state_dict(module.get_submodule(name).state_dict())
    oracle.conv_out.conv.load_state_dict(module.out.state_dict())
    oracle.conv_out.bn.load_state_dict(module.norm.state_dict())
    if module.mode == "concatenation":
        with torch.no_grad():
            oracle.concat_project.conv.weight.copy_(module.compare.weight[..., None, None])
    return oracle.eval()


@every_mode
@every_ndim
@subsampled
@pytest.mark.parametrize("size", [0, 1], ids=["small", "large"])
def test_non_local_is_mmcv(mode: str, ndim: int, subsample: bool, size: int):
    module = build(mode, ndim, subsample)
    x = torch.randn(2, 16, *SIZES[ndim][size])
    assert_close(module(x), mmcv(module, subsample)(x), **CLOSE)
    assert_close(module.reweight(x, module.attention(x)), module(x), **CLOSE)


@every_ndim
def test_the_scaled_form_is_the_default_of_mmcv(ndim: int):
    module, x = (
        build("embedded_gaussian", ndim, False, scaled=True),
        torch.randn(2, 16, *SIZES[ndim][1]),
    )
    assert_close(module(x), mmcv(module, False)(x), **CLOSE)


def test_the_scaled_form_is_timm_but_for_the_scale():
    module, x = build("embedded_gaussian", 2, False, scaled=True), torch.randn(2, 16, 9, 11)
    oracle = NonLocalAttn(16, rd_ratio=1 / 2).eval()
    oracle.scale = 8**-0.5  # theirs is that of the input's width, not of the embedding's
    for theirs, ours in {"t": "theta", "p": "phi", "g": "g", "norm": "norm"}.items():
        oracle.get_submodule(theirs).load_state_dict(module.get_submodule(ours).state_dict())
    oracle.z.weight.data.copy_(module.out.weight)  # its bias is 0, and ours has none
    assert_close(module(x), oracle(x), **CLOSE)


@every_mode
@every_ndim
@subsampled
@pytest.mark.parametrize("pool_first", [False, True], ids=["after", "before"])
def test_both_ways_agree_to_the_last_digits(
    mode: str, ndim: int, subsample: bool, pool_first: bool
):
    module = build(mode, ndim, subsample, pool_first=pool_first, scaled=True).double()
    for size in SIZES[ndim]:
        x = torch.randn(2, 16, *size, dtype=torch.float64, requires_grad=True)
        wanted = [x, *(p for n, p in module.named_parameters() if n != "phi.bias")]
        fast, slow = module(x), module.reweight(x, module.attention(x))
        toward = torch.randn_like(fast)
        ours = torch.autograd.grad((fast * toward).sum(), wanted)
        equation = torch.autograd.grad((slow * toward).sum(), wanted)
        assert_close(fast, slow, atol=1e-12, rtol=1e-12)
        assert_close(ours, equation, atol=1e-11, rtol=1e-11)


@every_mode
@every_ndim
@subsampled
def test_it_starts_as_the_identity_and_any_size_works(mode: str, ndim: int, subsample: bool):
    module = NonLocal(5, mode, ndim, subsample)
    for side in (1, 2, 5):
        x = torch.randn(3, 5, *([side] * (ndim - 1)), 3)
        assert torch.equal(module(x), x)


def test_a_video_is_never_pooled_in_time():
    module, x = NonLocal(8, ndim=3, subsample=True), torch.randn(1, 8, 5, 6, 4)
    assert module.attention(x).shape == (1, 5 * 6 * 4, 5 * 3 * 2)


@pytest.mark.parametrize("scale, offset", [(1, 0), (30, 0), (1, 100), (1e-3, 0)])
def test_prefix_sums_in_float32_lose_no_more_digits_than_the_equation(
    scale: float, offset: float
):
    # a_i + b_j cancels where a is near -b: the sums are taken around the middle of b.
    from attn_lib.fast import hinge_mean

    of_i, of_j, g = torch.randn(2, 500), torch.randn(2, 500), torch.randn(2, 500, 8)
    of_i, of_j = scale * of_i - offset, scale * of_j + offset
    exact = (of_i.double()[:, :, None] + of_j.double()[:, None]).relu() @ g.double() / 500
    assert (hinge_mean(of_i, of_j, g) - exact).abs().max() < 3e-6 * max(scale, offset, 1e-3)
