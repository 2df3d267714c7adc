"""Who is compared: for each mechanism, ours and what others wrote that computes the same."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
import torchvision_operators  # noqa: F401
from torch import Tensor, nn

# isort: split
from fightingcv_attention.attention.CBAM import ChannelAttention as FightingChannelGate
from fightingcv_attention.attention.CoordAttention import CoordAtt
from fightingcv_attention.attention.ECAAttention import ECAAttention
from fightingcv_attention.attention.SEAttention import SEAttention
from fightingcv_attention.attention.SimAM import SimAM as FightingSimAM
from mmcv.cnn.bricks import ContextBlock, NonLocal2d
from pytorchcv.models import cbamresnet
from pytorchcv.models.common.att import SEBlock
from pytorchcv.models.sknet import SKConvBlock
from timm.layers import EcaModule, GlobalContext, NonLocalAttn, SEModule, cbam
from timm.layers import SelectiveKernel as TimmSelectiveKernel
from timm.layers.coord_attn import CoordAttn
from timm.models.vision_transformer import Attention as TimmAttention
from timm.models.xcit import XCA
from torchvision.models.swin_transformer import ShiftedWindowAttention
from torchvision.ops import SqueezeExcitation as TorchvisionSqueezeExcitation
from vit_pytorch.jet_vit import linear_attn
from vit_pytorch.simple_flash_attn_vit import Attention as VitPytorchFlashAttention
from vit_pytorch.simple_vit import Attention as VitPytorchAttention

import attn_lib
from attn_lib.spatial import MODES

# Form: from the number of channels to a module.
Forms = dict[str, Callable[[int], nn.Module]]


class PlainSelfAttention(attn_lib.SelfAttention2d):
    """The same weights, used as the equation reads: three convolutions, all scores, softmax, sum."""

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (part(x).flatten(2) for part in (self.query, self.key, self.value))
        weights = torch.softmax(torch.bmm(query.mT, key), dim=-1)
        attended = torch.bmm(value, weights.mT).view_as(x)
        return self.gamma * attended + x


class PlainNonLocal(attn_lib.NonLocal):
    """The same weights, used as the equation reads."""

    def forward(self, x: Tensor) -> Tensor:
        return self.reweight(x, self.attention(x))


class PlainPooling(attn_lib.AttentionPooling):
    """Scores, softmax, and a sum of the weighed positions."""

    def forward(self, x: Tensor) -> Tensor:
        scores = F.conv2d(x, self.query[None, :, None, None])
        return (x * scores.flatten(2).softmax(-1).view_as(scores)).sum((2, 3))


class PlainLinear(attn_lib.LinearAttention):
    """The map of all pairs, then the sum."""

    def forward(self, x: Tensor) -> Tensor:
        return self.reweight(x, self.attention(x))


class LinearByVitPytorch(attn_lib.LinearAttention):
    """The same weights and features; what is made of them is theirs."""

    def forward(self, x: Tensor) -> Tensor:
        parts = (part(x).unflatten(1, (8, -1)).flatten(3).mT for part in (self.query, self.key, self.value))  # fmt: skip
        query, key, value = parts
        gathered = linear_attn(F.elu(query) + 1, F.elu(key) + 1, value)
        return x + self.out(gathered.mT.reshape(x.shape))


class Gated(nn.Module):
    """fightingcv's gates are only gates."""

    def __init__(self, gate: nn.Module):
        super().__init__()
        self.gate = gate

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(x)


class OnTokens(nn.Module):
    """Attention over tokens, with the positions of a feature map as tokens."""

    def __init__(self, attention: nn.Module):
        super().__init__()
        self.attention = attention

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(x.flatten(2).mT)


class Copy(nn.Module):
    """What moving the features once takes: the yardstick of what is limited by memory."""

    def forward(self, x: Tensor) -> Tensor:
        return x.clone()


class Added(OnTokens):
    """Attention over tokens whose result is added to the features, as the block around it does."""

    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x).mT.reshape(x.shape)


class Swin(nn.Module):
    """torchvision's windows, channels last and added to the features, as the block around them does."""

    def __init__(self, c: int):
        super().__init__()
        self.attention = ShiftedWindowAttention(c, [7, 7], [3, 3], 8)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.attention(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def timm_attention(c: int) -> nn.Module:
    """Fused; it leaves the normalisation to the block around it."""
    attention = TimmAttention(c, num_heads=8, qkv_bias=False, proj_bias=False)
    return OnTokens(nn.Sequential(nn.LayerNorm(c), attention))


def flash_attention(c: int) -> nn.Module:
    return OnTokens(VitPytorchFlashAttention(c, 8, c // 8, use_flash=True))


def non_local(mode: str) -> Forms:
    def mmcv(c: int) -> nn.Module:
        return NonLocal2d(c, mode=mode, use_scale=False, norm_cfg={"type": "BN"})

    forms = {
        "ours": lambda c: attn_lib.NonLocal(c, mode),
        "plain": lambda c: PlainNonLocal(c, mode),
        "mmcv": mmcv,
    }
    if mode == "embedded_gaussian":
        forms["timm"] = lambda c: NonLocalAttn(c, rd_channels=c // 2)
    return forms


FORMS: dict[str, Forms] = {
    "vit_attention": {
        "ours": lambda c: OnTokens(attn_lib.Attention(c, 8, c // 8)),
        "vit-pytorch": lambda c: OnTokens(VitPytorchAttention(c, 8, c // 8)),
        "vit-pytorch, fused": flash_attention,
        "timm, fused": timm_attention,
    },
    "self_attention": {"ours": attn_lib.SelfAttention2d, "plain": PlainSelfAttention},
    **{f"non_local.{mode}": non_local(mode) for mode in MODES},
    "global_context": {
        "ours": attn_lib.GlobalContext,
        "mmcv": lambda c: ContextBlock(c, ratio=1 / 16),
        "timm": lambda c: GlobalContext(c, rd_ratio=1 / 16, fuse_add=True, fuse_scale=False),
    },
    "squeeze_excitation": {
        "ours": attn_lib.SqueezeExcitation,
        "fightingcv": SEAttention,
        "timm": lambda c: SEModule(c, rd_channels=c // 16),
        "torchvision": lambda c: TorchvisionSqueezeExcitation(c, c // 16),
        "pytorchcv": SEBlock,
    },
    "efficient_channel": {
        "ours": attn_lib.EfficientChannelAttention,
        "timm": EcaModule,
        "fightingcv": lambda c: ECAAttention(5 if c > 64 else 3),
    },
    "selective_kernel": {
        "ours": attn_lib.SelectiveKernel,
        "pytorchcv": lambda c: SKConvBlock(c, c, stride=1),
        "timm": lambda c: TimmSelectiveKernel(c, groups=32, rd_channels=32, split_input=False),
    },
    "channel_gate": {
        "ours": attn_lib.ChannelGate,
        "pytorchcv": cbamresnet.ChannelGate,
        "timm": lambda c: cbam.ChannelAttn(c, rd_channels=c // 16, mlp_bias=True),
        "fightingcv": lambda c: Gated(FightingChannelGate(c)),
    },
    "spatial_gate": {
        "ours": lambda c: attn_lib.SpatialGate(),
        "pytorchcv": lambda c: cbamresnet.SpatialGate(),
        "timm": lambda c: cbam.SpatialAttn(),
    },
    "cbam": {
        "ours": attn_lib.CBAM,
        "pytorchcv": cbamresnet.CbamBlock,
        "timm": lambda c: cbam.CbamModule(c, rd_channels=c // 16, mlp_bias=True),
    },
    "simam": {"ours": lambda c: attn_lib.SimAM(), "fightingcv": lambda c: FightingSimAM()},
    "coordinate": {
        "ours": attn_lib.CoordinateAttention,
        "fightingcv": lambda c: CoordAtt(c, c),
        "timm": lambda c: CoordAttn(c, rd_channels=max(c // 32, 8), bias=True),
    },
    "cross_covariance": {
        "ours": attn_lib.CrossCovarianceAttention,
        "timm": lambda c: Added(XCA(c, 8, qkv_bias=True)),
    },
    "window_attention": {
        "ours": lambda c: attn_lib.WindowAttention(c, shift=3),
        "torchvision": Swin,
    },
    "linear_attention": {
        "ours": attn_lib.LinearAttention,
        "plain": PlainLinear,
        "vit-pytorch": LinearByVitPytorch,
    },
    "attention_pooling": {"ours": attn_lib.AttentionPooling, "plain": PlainPooling},
}


def too_large(mechanism: str, form: str, shape: tuple[int, ...]) -> bool:
    """mmcv's concatenation holds several tensors of n² times the width: at these sizes, tens of gigabytes."""
    b, c, h, w = shape
    return (mechanism, form) == ("non_local.concatenation", "mmcv") and b * (
        h * w
    ) ** 2 * c > 2**27
