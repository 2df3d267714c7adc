"""What cannot work is refused at once, with what came and what was wanted."""

import re

import pytest
import torch

from attn_lib import (
    CBAM,
    AttentionPooling,
    ChannelGate,
    CoordinateAttention,
    CrossCovarianceAttention,
    EfficientChannelAttention,
    GlobalContext,
    LinearAttention,
    NonLocal,
    NonLocalMeans,
    SelectiveKernel,
    SelfAttention2d,
    SimAM,
    SpatialGate,
    SqueezeExcitation,
    WindowAttention,
    available,
    create,
)
from attn_lib.data import cluttered_digits, photograph
from attn_lib.instruments.localisation import coverage
from attn_lib.lab.networks import HostCNN
from attn_lib.lab.training import fit

pytestmark = pytest.mark.usefixtures("unchecked")

ARGUMENTS = {
    "fewer channels than the reduction": (lambda: SelfAttention2d(4), "channels=4, reduction=8"),
    "fewer channels than the value reduction": (lambda: SelfAttention2d(8, value_reduction=16), "value_reduction=16"),
    "no channels": (lambda: SelfAttention2d(0), "channels=0"),
    "a reduction of 0": (lambda: SelfAttention2d(16, reduction=0), "reduction=0"),
    "an even patch": (lambda: NonLocalMeans(patch=4), "patch=4"),
    "a strength of 0": (lambda: NonLocalMeans(strength=0.0), "strength=0.0"),
    "an unknown mode": (lambda: NonLocal(16, "softmax"), "mode='softmax'"),
    "four axes": (lambda: NonLocal(16, ndim=4), "ndim=4"),
    "no channels for non-local": (lambda: NonLocal(0), "channels=0"),
    "no channels to squeeze": (lambda: SqueezeExcitation(0), "channels=0, reduction=16"),
    "a reduction of 0 in a squeeze": (lambda: SqueezeExcitation(16, 0), "channels=16, reduction=0"),
    "an even channel kernel": (lambda: EfficientChannelAttention(16, 4), "kernel_size=4"),
    "no branches": (lambda: SelectiveKernel(16, branches=0), "branches=0"),
    "a reduction of 0 in a gate": (lambda: ChannelGate(16, 0), "channels=16, reduction=0"),
    "an even spatial kernel": (lambda: SpatialGate(6), "kernel_size=6"),
    "an even kernel in CBAM": (lambda: CBAM(16, kernel_size=6), "kernel_size=6"),
    "a reduction of 0 in a context": (lambda: GlobalContext(16, 0), "channels=16, reduction=0"),
    "a regularisation of 0": (lambda: SimAM(0.0), "regularisation=0.0"),
    "a reduction of 0 in two directions": (lambda: CoordinateAttention(16, 0), "channels=16, reduction=0"),
    "no heads between channels": (lambda: CrossCovarianceAttention(16, 0), "channels=16, heads=0"),
    "heads of unequal channels": (lambda: CrossCovarianceAttention(12), "channels=12, heads=8"),
    "a shift as wide as the window": (lambda: WindowAttention(16, 4, 4), "window=4, shift=4"),
    "windows of unequal heads": (lambda: WindowAttention(12), "channels=12, heads=8"),
    "an unknown linear mode": (lambda: LinearAttention(16, "relu"), "mode='relu'"),
    "linear attention of unequal heads": (lambda: LinearAttention(12), "channels=12, heads=8"),
    "no channels to pool": (lambda: AttentionPooling(0), "channels=0"),
    "an unknown mechanism": (lambda: create("attention", 16), "no mechanism 'attention' (did you mean 'self_attention' or 'window_attention'?); there are cbam, channel_gate"),
    "an unknown slot": (lambda: HostCNN("attention"), "no slot 'attention'; there are none, even_kernels"),
    "an unknown photograph": (lambda: photograph("dog"), "no photograph 'dog'; there are astronaut"),
    "a photograph of no pixels": (lambda: photograph("cat", 0), "at least 1 pixel; got 0"),
    "an unknown split": (lambda: cluttered_digits("valid"), "no split 'valid'; there are train, validation, test"),
    "a canvas smaller than a digit": (lambda: cluttered_digits(size=19), "fragments >= 0; got size=19"),
    "no images": (lambda: cluttered_digits(count=0), "count=0"),
    "fewer than no fragments": (lambda: cluttered_digits(fragments=-1), "fragments=-1"),
    "less than a batch": (lambda: fit(HostCNN(), cluttered_digits(count=8), batch_size=128), "at least one batch of 128 images; got 8"),
    "an image smaller than the grid": (
        lambda: coverage(torch.tensor([[0, 0, 1, 1]]), (10, 10), (40, 9)),
        "a grid of (10, 10) cells does not fit an image of (40, 9) pixels",
    ),
}  # fmt: skip

FEATURES = {
    "without a batch": (torch.zeros(16, 4, 4), "torch.float32 of shape (16, 4, 4)"),
    "as tokens": (torch.zeros(2, 16, 16), "(2, 16, 16)"),
    "of a video": (torch.zeros(2, 16, 3, 4, 4), "(2, 16, 3, 4, 4)"),
    "of other channels": (torch.zeros(2, 8, 4, 4), "(2, 8, 4, 4)"),
    "of integers": (torch.zeros(2, 16, 4, 4, dtype=torch.int64), "torch.int64"),
    "of complex numbers": (torch.zeros(2, 16, 4, 4, dtype=torch.complex64), "torch.complex64"),
    "without height": (torch.zeros(2, 16, 0, 4), "(2, 16, 0, 4)"),
}


@pytest.mark.parametrize("call, says", ARGUMENTS.values(), ids=ARGUMENTS)
def test_bad_arguments_are_refused(call, says: str):
    with pytest.raises(ValueError, match=re.escape(says)):
        call()


@pytest.mark.parametrize("x, says", FEATURES.values(), ids=FEATURES)
@pytest.mark.parametrize("name", [*available(), "pooling"])
@pytest.mark.parametrize("method", ["forward", "attention"])
def test_bad_features_are_refused(method: str, name: str, x: torch.Tensor, says: str):
    module = AttentionPooling(16) if name == "pooling" else create(name, 16)
    if x.shape[1] == 8 and name in ("efficient_channel", "simam", "spatial_gate"):
        return  # they take any number of channels
    wanted = r"wants floating-point features of shape \(b, c(=16)?, h, w\)"
    with pytest.raises(ValueError, match=f"{wanted}.*{re.escape(says)}"):
        getattr(module, method)(x)


@pytest.mark.parametrize("ndim, wanted", {1: "(b, c=16, t)", 3: "(b, c=16, t, h, w)"}.items())
@pytest.mark.parametrize("method", ["forward", "attention"])
def test_sequences_and_videos_are_told_from_images(method: str, ndim: int, wanted: str):
    with pytest.raises(ValueError, match=re.escape(wanted)):
        getattr(NonLocal(16, ndim=ndim), method)(torch.zeros(2, 16, 4, 4))


def test_a_patch_larger_than_the_image_is_refused():
    with pytest.raises(
        ValueError, match=re.escape("side 7 want images above 3 pixels; got (1, 3, 3, 9)")
    ):
        NonLocalMeans(7)(torch.zeros(1, 3, 3, 9))
