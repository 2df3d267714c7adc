"""Weights of well-known code load into our mechanisms, and then both compute the same."""

import re
from collections.abc import Callable
from itertools import product

import pytest
import torch
from checkpoints import EcaLayer, GatedByBoth, NonLocalBlock, SaganAttention, SeLayer
from fightingcv_attention.attention.CBAM import (
    ChannelAttention,
    SpatialAttention,
)
from fightingcv_attention.attention.SEAttention import SEAttention
from mmcv.cnn.bricks.non_local import NonLocal1d, NonLocal2d, NonLocal3d
from places import ROOT
from pytorchcv.models.cbamresnet import CbamBlock
from pytorchcv.models.common.att import SEBlock
from pytorchcv.models.sknet import SKConvBlock
from timm.layers import EcaModule, NonLocalAttn, SEModule
from timm.layers import SelectiveKernel as TimmSelectiveKernel
from timm.layers.cbam import CbamModule
from torch import Tensor, nn
from torch.testing import assert_close
from torchvision.ops import SqueezeExcitation as TorchvisionSqueezeExcitation
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
from attn_lib.spatial import MODES
from attn_lib.surgery.layouts import LAYOUTS, layouts_of

VIT = {
    "image_size": 8,
    "patch_size": 4,
    "num_classes": 3,
    "dim": 16,
    "depth": 2,
    "heads": 2,
    "mlp_dim": 8,
}
Make = Callable[[], nn.Module]


def without_bias() -> CBAM:
    module = CBAM(32)
    module.channel = ChannelGate(32, bias=False)
    return module


def without_norm(ndim: int = 2) -> NonLocal:
    module = NonLocal(16, ndim=ndim)
    module.out = type(module.out)(8, 16, 1)
    module.norm = nn.Identity()
    return module


# fmt: off
# What another made, and ours.
PEERS: dict[str, tuple[Make, Make]] = {
    "moskomule": (lambda: SeLayer(32, 2, bias=False), lambda: SqueezeExcitation(32)),
    "moskomule-biases": (lambda: SeLayer(32, 2, bias=True), lambda: SqueezeExcitation(32, bias=True)),
    "fightingcv-se": (lambda: SEAttention(32), lambda: SqueezeExcitation(32)),
    "timm-se": (lambda: SEModule(32, rd_channels=2), lambda: SqueezeExcitation(32, bias=True)),
    "timm-se-no-bias": (lambda: SEModule(32, bias=False), lambda: SqueezeExcitation(32, 4)),
    "torchvision-se": (lambda: TorchvisionSqueezeExcitation(32, 4), lambda: SqueezeExcitation(32, 8, bias=True)),
    "pytorchcv-se": (lambda: SEBlock(32), lambda: SqueezeExcitation(32, bias=True)),
    "pytorchcv-se-linear": (lambda: SEBlock(32, use_conv=False), lambda: SqueezeExcitation(32, bias=True)),
    "one-hidden-unit": (lambda: SEModule(16, rd_channels=1), lambda: SqueezeExcitation(16, bias=True)),
    "ecanet": (lambda: EcaLayer(3), lambda: EfficientChannelAttention(32, kernel_size=3)),
    "timm-eca": (lambda: EcaModule(256), lambda: EfficientChannelAttention(256)),
    "pytorchcv-sk": (lambda: SKConvBlock(64, 64, 1), lambda: SelectiveKernel(64)),
    "pytorchcv-sk-3": (lambda: SKConvBlock(64, 64, 1, 4, 3), lambda: SelectiveKernel(64, 3, groups=4)),
    "timm-sk": (lambda: TimmSelectiveKernel(64, groups=32, rd_channels=32, split_input=False), lambda: SelectiveKernel(64)),
    "jongchan": (lambda: GatedByBoth(32, 2), lambda: CBAM(32)),
    "jongchan-channel": (lambda: GatedByBoth(32, 2).ChannelGate, lambda: ChannelGate(32)),
    "jongchan-spatial": (lambda: GatedByBoth(32, 2).SpatialGate, SpatialGate),
    "pytorchcv-cbam": (lambda: CbamBlock(32), lambda: CBAM(32)),
    "pytorchcv-channel": (lambda: CbamBlock(32).ch_gate, lambda: ChannelGate(32)),
    "timm-cbam": (lambda: CbamModule(32, mlp_bias=True, spatial_kernel_size=3), lambda: CBAM(32, kernel_size=3)),
    "timm-cbam-no-bias": (lambda: CbamModule(32), without_bias),
    "heykeetae": (lambda: SaganAttention(16), lambda: SelfAttention2d(16)),
    "vit-pytorch": (lambda: simple_vit.SimpleViT(**VIT), lambda: SimpleViT(**VIT)),
    "timm-non-local": (lambda: NonLocalAttn(16, rd_channels=8), lambda: NonLocal(16, scaled=True)),
    "timm-non-local-unscaled": (lambda: NonLocalAttn(16, use_scale=False, rd_channels=4), lambda: NonLocal(16, reduction=4)),
    "alexhex7-no-norm": (lambda: NonLocalBlock(16, "embedded_gaussian", 3, False, norm=False), lambda: without_norm(3)),
    "mmcv-no-norm": (lambda: NonLocal2d(16, use_scale=False), without_norm),
}
# fmt: on


def mmcv(mode: str, ndim: int, subsample: bool, scaled: bool = False) -> nn.Module:
    kind = (NonLocal1d, NonLocal2d, NonLocal3d)[ndim - 1]
    norm = {"type": f"BN{ndim}d"}
    return kind(16, mode=mode, sub_sample=subsample, use_scale=scaled, norm_cfg=norm)


def _non_local(name: str, mode: str, ndim: int, subsample: bool, scaled: bool = False) -> None:
    def theirs() -> nn.Module:
        if name == "mmcv":
            return mmcv(mode, ndim, subsample, scaled)
        return NonLocalBlock(16, mode, ndim, subsample)

    key = f"{name}-{mode}-{ndim}d" + "-sub" * subsample + "-scaled" * scaled
    PEERS[key] = theirs, lambda: NonLocal(16, mode, ndim, subsample, scaled=scaled)


for case in product(("mmcv", "alexhex7"), MODES, (1, 2, 3), (False, True)):
    _non_local(*case)
_non_local("mmcv", "embedded_gaussian", 2, True, scaled=True)
every_peer = pytest.mark.parametrize("peer", PEERS)


def trained(module: nn.Module) -> nn.Module:
    """As some steps of training may leave it, in float64."""
    for name, value in module.state_dict().items():
        if name.endswith("running_var"):
            nn.init.uniform_(value, 0.5, 1.5)
        elif value.is_floating_point():
            nn.init.normal_(value, std=0.5)
    return module.double().eval()


def build(peer: str) -> tuple[nn.Module, nn.Module]:
    theirs, ours = PEERS[peer]
    return trained(theirs()), trained(ours())


def example(module: nn.Module) -> Tensor:
    if isinstance(module, SimpleViT):
        return torch.randn(2, 3, 8, 8, dtype=torch.float64)
    # Even: where a grid is odd, peers leave out what ours pools.
    size = {1: (10,), 3: (3, 4, 6)}.get(getattr(module, "ndim", 2), (4, 6))
    return torch.randn(2, getattr(module, "channels", 32), *size, dtype=torch.float64)


def same(ours: nn.Module, theirs: nn.Module) -> None:
    x = example(ours if hasattr(ours, "channels") else theirs)
    assert_close(ours(x), theirs(x), atol=1e-12, rtol=1e-12)


@every_peer
def test_ours_computes_what_theirs_did(peer: str):
    theirs, ours = build(peer)
    assert load_public(ours, theirs.state_dict()) is ours
    same(ours, theirs)


def test_gates_that_return_their_weights_alone():
    x = torch.randn(2, 32, 5, 7, dtype=torch.float64)
    for theirs, ours in [
        (ChannelAttention(32), ChannelGate(32, bias=False)),
        (SpatialAttention(5), SpatialGate(5, norm=False)),
    ]:
        load_public(ours.double(), trained(theirs).state_dict())
        assert_close(ours.attention(x), theirs(x), atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("peer", ["alexhex7-dot_product-2d", "timm-non-local"])
def test_a_bias_that_ours_has_not_is_no_loss_in_training_either(peer: str):
    theirs, ours = build(peer)
    load_public(ours, theirs.state_dict())
    theirs.train(), ours.train()
    same(ours, theirs)  # and the running statistics move
    theirs.eval(), ours.eval()
    same(ours, theirs)


@pytest.mark.parametrize(
    "peer", ["moskomule", "timm-cbam", "heykeetae", "mmcv-concatenation-2d-sub", "vit-pytorch"]
)
@pytest.mark.parametrize("before, prefix", [
    ("module.", ""), ("layer3.0.se.", "layer3.0.se."), ("layer3.0.se.", "layer3.0.se"),
    ("module.layer3.0.se.", "layer3.0.se."), ("module.layer3.0.se.", "module.layer3.0.se."),
])  # fmt: skip
def test_the_keys_may_stand_behind_a_prefix(peer: str, before: str, prefix: str):
    theirs, ours = build(peer)
    state = {before + key: value for key, value in theirs.state_dict().items()}
    if prefix:
        state |= {"layer3.0.second.weight": torch.ones(1), "module.fc.bias": torch.ones(1)}
    load_public(ours, state, prefix)
    same(ours, theirs)


@every_peer
def test_old_checkpoints_have_no_counts(peer: str):
    theirs, ours = build(peer)
    state = theirs.state_dict()
    load_public(ours, {key: state[key] for key in state if not key.endswith("_tracked")})
    same(ours, theirs)


@pytest.mark.parametrize(
    "peer", [peer for peer in PEERS if not peer.endswith(("1d", "3d", "-sub"))]
)
def test_all_or_nothing(peer: str):
    theirs, ours = build(peer)
    state, before = theirs.state_dict(), {k: v.clone() for k, v in ours.state_dict().items()}
    for key in state:
        if key.endswith("_tracked"):
            continue
        lacking = {other: value for other, value in state.items() if other != key}
        with pytest.raises(ValueError, match=r"missing: |no key starts"):
            load_public(ours, lacking)
        wrong = state | {key: torch.zeros(5, 7, 3)}
        with pytest.raises(ValueError, match=rf"{re.escape(key)} is \(5, 7, 3\), wanted \("):
            load_public(ours, wrong)
    with pytest.raises(ValueError, match="left over: of_another"):
        load_public(ours, state | {"of_another": torch.ones(1)})
    assert all(torch.equal(value, before[key]) for key, value in ours.state_dict().items())


def test_each_checkpoint_fits_one_layout_and_each_layout_is_tested():
    found = set()
    for theirs, ours in (build(peer) for peer in PEERS):
        own = {*ours.state_dict(), "out.bias"}
        fits = {
            layout.names and layout.source: layout
            for layout in layouts_of(ours)
            if {layout.ours(key) for key in theirs.state_dict()} <= own
        }
        assert len(fits) == 1, fits
        found |= {*fits}
    wanted = {
        layout.source for layouts in LAYOUTS.values() for layout in layouts if layout.names and not layout.never
    }  # fmt: skip
    # Two gates that return their weights alone have a test of their own.
    assert found - {None} == wanted - {"fightingcv-attention"}


def test_the_page_and_the_docstring_name_every_source():
    page = (ROOT / "book" / "appendix" / "api_mechanisms.md").read_text()
    for layout in (layout for layouts in LAYOUTS.values() for layout in layouts):
        for source in layout.source.split(",")[0].split(" and "):
            assert source in page and source in load_public.__doc__, source
