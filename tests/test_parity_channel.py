"""Channel and mixed attention equal what others wrote, with copied weights."""

import pytest
import torch
from fightingcv_attention.attention.CBAM import ChannelAttention, SpatialAttention
from fightingcv_attention.attention.SEAttention import SEAttention
from pytorchcv.models.cbamresnet import CbamBlock
from pytorchcv.models.common.att import SEBlock
from pytorchcv.models.sknet import SKConvBlock
from timm.layers import EcaModule, SEModule
from timm.layers import SelectiveKernel as TimmSelectiveKernel
from timm.layers.cbam import CbamModule
from torch import Tensor, nn
from torch.testing import assert_close
from torchvision.ops import SqueezeExcitation as TorchvisionSqueezeExcitation

from attn_lib import (
    CBAM,
    AttentionPooling,
    ChannelGate,
    EfficientChannelAttention,
    SelectiveKernel,
    SpatialGate,
    SqueezeExcitation,
)

CLOSE = {"atol": 1e-5, "rtol": 1e-5}
shapes = pytest.mark.parametrize(
    "shape", [(2, 64, 3, 5), (3, 64, 9, 11), (2, 64, 1, 1)], ids=str
)


def trained(module: nn.Module) -> nn.Module:
    """As some steps of training may leave its normalisations."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            for values in (part.weight, part.bias, part.running_mean):
                nn.init.normal_(values)
            nn.init.uniform_(part.running_var, 0.5, 1.5)
    return module.eval()


def copy(ours: nn.Module, theirs: nn.Module) -> None:
    """Linear or convolution, the numbers are the same."""
    state = ours.state_dict()
    theirs.load_state_dict({k: state[k].view_as(v) for k, v in theirs.state_dict().items()})


@shapes
@pytest.mark.parametrize("oracle", ["torchvision", "pytorchcv", "timm"])
def test_squeeze_excitation_with_biases(shape: tuple, oracle: str):
    module, x = SqueezeExcitation(64, bias=True), torch.randn(shape)
    if oracle == "torchvision":
        theirs = TorchvisionSqueezeExcitation(64, 4)
        first, second = theirs.fc1, theirs.fc2
    elif oracle == "pytorchcv":
        theirs = SEBlock(64)
        first, second = theirs.conv1, theirs.conv2
    else:
        theirs = SEModule(64, rd_channels=4)
        first, second = theirs.fc1, theirs.fc2
    copy(module.squeeze, first)
    copy(module.excite, second)
    assert_close(module(x), theirs(x), **CLOSE)


@shapes
def test_squeeze_excitation_without_biases_is_fightingcv(shape: tuple):
    module, x, theirs = SqueezeExcitation(64), torch.randn(shape), SEAttention(64)
    copy(module.squeeze, theirs.fc[0])
    copy(module.excite, theirs.fc[2])
    assert_close(module(x), theirs(x), **CLOSE)


@pytest.mark.parametrize("channels", [8, 16, 48, 64, 100, 128, 256, 512, 1024, 2048])
def test_efficient_channel_is_timm_and_so_is_its_kernel(channels: int):
    module, x, theirs = (
        EfficientChannelAttention(channels),
        torch.randn(2, channels, 3, 5),
        EcaModule(channels),
    )
    copy(module.conv, theirs.conv)
    assert_close(module(x), theirs(x), **CLOSE)


def test_the_kernels_of_resnet_are_those_of_equation_12():
    sizes = [EfficientChannelAttention(c).conv.kernel_size[0] for c in (256, 512, 1024, 2048)]
    assert sizes == [5, 5, 5, 7]


@shapes
@pytest.mark.parametrize("branches", [1, 2, 3])
def test_selective_kernel_is_pytorchcv(shape: tuple, branches: int):
    module, x = trained(SelectiveKernel(64, branches)), torch.randn(shape)
    theirs = SKConvBlock(64, 64, stride=1, num_branches=branches).eval()
    for ours, branch in zip(module.branches, theirs.branches, strict=True):
        copy(ours[0], branch.conv)
        copy(ours[1], branch.bn)
    copy(module.squeeze, theirs.fc1.conv)
    copy(module.norm, theirs.fc1.bn)
    copy(module.select, theirs.fc2)
    assert_close(module(x), theirs(x), **CLOSE)


@shapes
def test_selective_kernel_is_timm(shape: tuple):
    module, x = trained(SelectiveKernel(64)), torch.randn(shape)
    theirs = TimmSelectiveKernel(64, groups=32, rd_channels=32, split_input=False).eval()
    for ours, branch in zip(module.branches, theirs.paths, strict=True):
        copy(ours[0], branch.conv)
        copy(ours[1], branch.bn)
    copy(module.squeeze, theirs.attn.fc_reduce)
    copy(module.norm, theirs.attn.bn)
    copy(module.select, theirs.attn.fc_select)
    assert_close(module(x), theirs(x), **CLOSE)


def test_selective_kernel_has_a_fifth_of_a_million_parameters_at_512_channels():
    c, d, g = 512, 32, 32
    fully_connected = d * c + 2 * d + 2 * c * d
    assert (
        sum(p.numel() for p in SelectiveKernel(c).parameters())
        == 2 * (9 * c * c // g + 2 * c) + fully_connected
    )
    assert 195_000 < 2 * (9 * c * c // g + 2 * c) + fully_connected < 205_000


@shapes
def test_cbam_is_pytorchcv(shape: tuple):
    module, x, theirs = trained(CBAM(64)), torch.randn(shape), CbamBlock(64).eval()
    copy(module.channel.mlp[0], theirs.ch_gate.mlp.fc1)
    copy(module.channel.mlp[2], theirs.ch_gate.mlp.fc2)
    copy(module.spatial.conv, theirs.sp_gate.conv.conv)
    copy(module.spatial.norm, theirs.sp_gate.conv.bn)
    assert_close(module(x), theirs(x), **CLOSE)
    assert_close(module.channel(x), theirs.ch_gate(x), **CLOSE)


def test_the_spatial_gate_remembers_as_long_as_the_official_one():
    assert CBAM(64).spatial.norm.momentum == 0.01


@shapes
def test_cbam_is_timm_but_for_the_order_of_the_two_pooled_maps(shape: tuple):
    module, x = trained(CBAM(64)), torch.randn(shape)
    theirs = CbamModule(64, rd_channels=4, mlp_bias=True).eval()
    copy(module.channel.mlp[0], theirs.channel.fc1)
    copy(module.channel.mlp[2], theirs.channel.fc2)
    copy(module.spatial.norm, theirs.spatial.conv.bn)
    with torch.no_grad():
        theirs.spatial.conv.conv.weight.copy_(module.spatial.conv.weight.flip(1))
    assert_close(module(x), theirs(x), **CLOSE)


@shapes
def test_the_gates_are_those_of_fightingcv(shape: tuple):
    channel, x, theirs = ChannelGate(64, bias=False), torch.randn(shape), ChannelAttention(64)
    copy(channel.mlp[0], theirs.se[0])
    copy(channel.mlp[2], theirs.se[2])
    assert_close(channel.attention(x), theirs(x), **CLOSE)
    spatial, theirs = SpatialGate(norm=False), SpatialAttention(7)
    copy(spatial.conv, theirs.conv)
    assert_close(spatial.attention(x), theirs(x), **CLOSE)


@shapes
def test_attention_pooling_is_one_query_of_torch_attention(shape: tuple):
    module, x = AttentionPooling(64), torch.randn(shape)
    assert_close(module(x), x.mean((2, 3)), **CLOSE)  # the query starts at 0
    nn.init.normal_(module.query)
    tokens = x.flatten(2).mT
    query: Tensor = module.query.expand(len(x), 1, 64)
    wanted = nn.functional.scaled_dot_product_attention(query, tokens, tokens, scale=1.0)
    assert_close(module(x), wanted[:, 0], **CLOSE)
