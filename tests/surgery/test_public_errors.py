"""What does not load says what did not fit, and what would."""

import re

import pytest
from checkpoints import EcaLayer, GatedByBoth, NonLocalBlock, SaganAttention, SeLayer
from fightingcv_attention.attention.CBAM import CBAMBlock, SpatialAttention
from fightingcv_attention.attention.ECAAttention import ECAAttention
from mmcv.cnn.bricks.non_local import NonLocal2d
from places import ROOT
from pytorchcv.models.sknet import SKConvBlock
from test_public import VIT, mmcv
from timm.layers import NonLocalAttn, SEModule
from timm.layers import SelectiveKernel as TimmSelectiveKernel
from timm.layers.cbam import CbamModule
from vit_pytorch import simple_vit

from attn_lib import (
    CBAM,
    ChannelGate,
    EfficientChannelAttention,
    NonLocal,
    SelectiveKernel,
    SelfAttention2d,
    SimpleViT,
    SpatialGate,
    SqueezeExcitation,
    load_public,
)

# fmt: off
WRONG = {
    "biases": (lambda: SqueezeExcitation(32), lambda: SEModule(32, rd_channels=2),
        "timm and torchvision; left over: fc1.bias, fc2.bias. It fits SqueezeExcitation(32, bias=True)"),
    "no biases": (lambda: SqueezeExcitation(32, bias=True), lambda: SeLayer(32, 2, bias=False),
        "missing: squeeze.bias, excite.bias. It fits SqueezeExcitation(32)"),
    "width": (lambda: SqueezeExcitation(32, bias=True), lambda: SEModule(32),
        "fc1.weight is (8, 32, 1, 1), wanted (2, 32), fc1.bias is (8,), wanted (2,), fc2.weight is "
        "(32, 8, 1, 1), wanted (32, 2). It fits SqueezeExcitation(32, reduction=4, bias=True)"),
    "kernel": (lambda: EfficientChannelAttention(256), lambda: EcaLayer(3),
        "conv.weight is (1, 1, 3), wanted (1, 1, 5). It fits EfficientChannelAttention(256, kernel_size=3)"),
    "ECA with a bias": (lambda: EfficientChannelAttention(32, 3), ECAAttention, "left over: conv.bias"),
    "another mechanism": (lambda: SqueezeExcitation(32), lambda: SaganAttention(16), "left over: gamma, query_conv.weight"),
    "CBAM for one of its gates": (lambda: ChannelGate(32), lambda: GatedByBoth(32, 2), "left over: ChannelGate.mlp.1.weight"),
    "kernel of CBAM": (lambda: CBAM(32), lambda: CbamModule(32, 1 / 8, mlp_bias=True, spatial_kernel_size=3),
        "It fits CBAM(32, reduction=8, kernel_size=3)"),
    "CBAM without biases": (lambda: CBAM(32), lambda: CbamModule(32),
        "missing: channel.mlp.0.bias, channel.mlp.2.bias. It fits CBAM(32) with ChannelGate(32, bias=False) at its .channel"),
    "equation of CBAM": (lambda: CBAM(32, norm=False), lambda: GatedByBoth(32, 2), "It fits CBAM(32)"),
    "gate without norm": (SpatialGate, lambda: SpatialAttention(5), "It fits SpatialGate(kernel_size=5, norm=False)"),
    "CBAM and its input": (lambda: CBAM(32), lambda: CBAMBlock(32, kernel_size=7), "never loaded: it adds its input"),
    "either order": (SpatialGate, lambda: CbamModule(32).spatial, "never loaded: the former stacks [avg; max]"),
    "either gate": (lambda: ChannelGate(32), lambda: SEModule(32, rd_channels=2), "never loaded: squeeze-and-excitation"),
    "branches": (lambda: SelectiveKernel(64), lambda: SKConvBlock(64, 64, 1, 4, 3),
        "left over: branches.branch4.conv.weight"),
    "kernels": (lambda: SelectiveKernel(64), lambda: SKConvBlock(128, 128, 1, 4, 3, 2),
        "It fits SelectiveKernel(128, branches=3, reduction=2, groups=4)"),
    "split": (lambda: SelectiveKernel(64), lambda: TimmSelectiveKernel(64, rd_channels=32), "paths.0.conv.weight is (64, 32, 3, 3)"),
    "split unseen": (lambda: SelectiveKernel(64, groups=2), lambda: TimmSelectiveKernel(64, rd_channels=32),
        "for modules with: groups other than 2"),
    "values": (lambda: SelfAttention2d(16, value_reduction=2), lambda: SaganAttention(16),
        "missing: out.weight, out.bias; shapes: value_conv.weight is (16, 16, 1, 1), wanted (8, 16, 1, 1), value_conv.bias "
        "is (16,), wanted (8,). It fits SelfAttention2d(16)"),
    "pooled": (lambda: SelfAttention2d(16, subsample=True), lambda: SaganAttention(16), "for modules with: subsample=False. It fits SelfAttention2d(16)"),
    "normalised": (lambda: SelfAttention2d(16, spectral_norm=True), lambda: SaganAttention(16), "It fits SelfAttention2d(16)"),
    "whole": (lambda: NonLocal(16), lambda: mmcv("concatenation", 2, True),
        "left over: concat_project.conv.weight; for modules with: subsample=True. It fits NonLocal(16, mode='concatenation', subsample=True)"),
    "halved": (lambda: NonLocal(16, subsample=True), lambda: NonLocalBlock(16, "gaussian", 3, False),
        "for modules with: subsample=False. It fits NonLocal(16, mode='gaussian', ndim=3)"),
    "pooled before": (lambda: NonLocal(16, subsample=True, pool_first=True), lambda: NonLocalBlock(16, "dot_product", 2, True),
        "for modules with: pool_first=False. It fits NonLocal(16, subsample=True) or NonLocal(16, mode='dot_product', subsample=True)"),
    "scaled": (lambda: NonLocal(16, scaled=True), lambda: NonLocalBlock(16, "embedded_gaussian", 2, False), "for modules with: scaled=False"),
    "scaled gaussian": (lambda: NonLocal(16, "gaussian", scaled=True), lambda: mmcv("gaussian", 2, False), "for modules with: scaled=False"),
    "mode": (lambda: NonLocal(16, "dot_product"), lambda: NonLocalAttn(16, rd_channels=4),
        "for modules with: mode='embedded_gaussian'. It fits NonLocal(16, reduction=4)"),
    "not normalised": (lambda: NonLocal(16), lambda: NonLocal2d(16),
        "left over: conv_out.conv.bias; missing: norm.weight, norm.bias, norm.running_mean, norm.running_var. It fits NonLocal(16) "
        "with Conv2d(8, 16, 1) at its .out and Identity() at its .norm"),
    "classes": (lambda: SimpleViT(**VIT), lambda: simple_vit.SimpleViT(**VIT | {"num_classes": 5}),
        "linear_head.weight is (5, 16), wanted (3, 16)"),
}
# fmt: on


@pytest.mark.parametrize("wrong", WRONG)
def test_what_does_not_fit_says_why_and_what_would(wrong: str):
    ours, theirs, message = WRONG[wrong]
    with pytest.raises(ValueError) as error:
        load_public(ours(), theirs().state_dict())
    assert message in str(error.value)


def test_what_is_no_state_dict_says_so():
    module, state = SqueezeExcitation(32), SeLayer(32, 2, bias=False).state_dict()
    with pytest.raises(ValueError, match=r"other things at state_dict, epoch: .*checkpoint\["):
        load_public(module, {"state_dict": state, "epoch": 3})
    with pytest.raises(
        ValueError, match=r"no key starts with 'layer9.'; there are fc.0.weight"
    ):
        load_public(module, state, "layer9")
    with pytest.raises(ValueError, match="no key starts with ''; there are none"):
        load_public(module, {})


def test_the_page_prints_what_is_said():
    with pytest.raises(ValueError) as error:
        load_public(SqueezeExcitation(64), SEModule(64).state_dict())
    page = (ROOT / "book" / "appendix" / "api_mechanisms.md").read_text()
    assert f"{error.value}\n" in re.sub("(?<=[;,])\n", " ", page)
