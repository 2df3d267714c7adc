"""`record` against each library's own weights, from its configuration: nothing is downloaded."""

import open_clip.transformer
import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision
import transformers
import vit_pytorch
from torch import nn
from torch.testing import assert_close
from vit_pytorch.cross_vit import CrossViT
from vit_pytorch.recorder import Recorder

from attn_lib import record, rollout, unwindow

CLOSE = {"atol": 1e-5, "rtol": 1e-5}
SMALL = {"hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 20, "patch_size": 8}  # fmt: skip
# The class of a model, its configuration, and the names of its maps.
HUGGING_FACE = {
    "ViT": ("ViTModel", transformers.ViTConfig(image_size=16, **SMALL), "layers.{}.attention"),
    "DINOv2": ("Dinov2Model", transformers.Dinov2Config(image_size=16, **SMALL), "encoder.layer.{}.attention"),
    "CLIP": ("CLIPVisionModel", transformers.CLIPVisionConfig(image_size=16, **SMALL), "encoder.layers.{}.self_attn"),
    "Swin": ("SwinModel", transformers.SwinConfig(image_size=32, patch_size=4, embed_dim=12, depths=[2, 2], num_heads=[2, 3], window_size=4), None),
}  # fmt: skip


def hugging_face(name: str, way: str) -> nn.Module:
    torch.manual_seed(1)
    cls, config, _ = HUGGING_FACE[name]
    config._attn_implementation = way
    model = getattr(transformers, cls)(config).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model


@pytest.mark.parametrize("way", ["eager", "sdpa"])
@pytest.mark.parametrize("gradients", [False, True])
@pytest.mark.parametrize("name", HUGGING_FACE)
def test_hugging_face_composes(name: str, way: str, gradients: bool):
    x = torch.randn(2, 3, *[HUGGING_FACE[name][1].image_size] * 2)
    reference, wanted = hugging_face(name, "eager"), []
    for module in reference.modules():
        if type(module).__name__.endswith(
            "Attention"
        ):  # which gives its output and its weights
            module.register_forward_hook(lambda module, args, y: wanted.append(y[1]))
    own = reference(x).last_hidden_state
    model = hugging_face(name, way)
    before = model(x).last_hidden_state
    with record(model, gradients) as maps:
        y = model(x).last_hidden_state
    assert_close(y, before, **(CLOSE if gradients else {"rtol": 0, "atol": 0}))
    got = list(maps.values())
    assert len(wanted) == len(got) and maps.unread == {}
    if names := HUGGING_FACE[name][2]:
        assert list(maps) == [names.format(i) for i in range(2)]
    for ours, theirs in zip(got, wanted, strict=True):
        assert_close(ours.reshape(theirs.shape), theirs, **CLOSE)
    if gradients:
        slopes = torch.autograd.grad(y.square().sum(), got)
        others = torch.autograd.grad(own.square().sum(), wanted)
        for ours, theirs in zip(slopes, others, strict=True):
            assert_close(ours.reshape(theirs.shape), theirs, rtol=1e-4, atol=1e-4)


def test_windows_of_hugging_face_compose():
    model, x = hugging_face("Swin", "eager"), torch.randn(2, 3, 32, 32)
    with record(model) as maps:
        model(x)
    shapes = [tuple(weights.shape) for weights in maps.values()]
    assert shapes == [(2, 4, 2, 16, 16)] * 2 + [(2, 1, 3, 16, 16)] * 2


def swin(**options) -> nn.Module:
    return torchvision.models.SwinTransformer([4, 4], 12, [2, 2], [2, 3], [4, 4], num_classes=5, **options).eval()  # fmt: skip


V2 = {"block": torchvision.models.swin_transformer.SwinTransformerBlockV2, "downsample_layer": torchvision.models.swin_transformer.PatchMergingV2}  # fmt: skip


@pytest.mark.parametrize("options", [{}, V2], ids=["version 1", "version 2"])
def test_torchvision_swin_composes(options: dict, monkeypatch):
    model, x, softmax, wanted = swin(**options), torch.randn(2, 3, 32, 32), F.softmax, []
    with monkeypatch.context() as patch:
        patch.setattr(
            F, "softmax", lambda *a, **k: wanted.append(softmax(*a, **k)) or wanted[-1]
        )
        before = model(x)
    with record(model) as maps:
        y = model(x)
    assert torch.equal(y, before) and len(maps) == len(wanted) == 4
    for ours, theirs in zip(maps.values(), wanted, strict=True):
        assert ours.shape[:1] == (2,) and ours.ndim == 5
        assert torch.equal(ours.flatten(0, 1), theirs)


@pytest.mark.parametrize("size", [(8, 12), (6, 7)], ids=["whole windows", "padded"])
@pytest.mark.parametrize("shift", [[0, 0], [2, 2], [1, 2]], ids=str)
def test_windows_over_the_image_compose_to_what_the_layer_does(size: tuple, shift: list):
    layer = torchvision.models.swin_transformer.ShiftedWindowAttention(12, [4, 4], shift, 3)
    nn.init.zeros_(layer.qkv.bias)  # then the padding has no values
    x = torch.randn(2, *size, 12)
    with record(layer) as maps:
        y = layer(x)
    relation = unwindow(maps[""], size, tuple(shift))
    assert relation.shape == (2, 3, size[0] * size[1], size[0] * size[1])
    value = layer.qkv(x.flatten(1, 2)).chunk(3, -1)[2].unflatten(2, (3, 4)).transpose(1, 2)
    made = layer.proj((relation @ value).transpose(1, 2).flatten(2))
    assert_close(made.unflatten(1, size), y, **CLOSE)


def test_windows_that_do_not_fit_compose_as_an_error(unchecked):
    with pytest.raises(ValueError, match=r"windows of 16 positions over 8×9 are 2×3 squares.*\(1, 4, 2, 16, 16\)"):  # fmt: skip
        unwindow(torch.ones(1, 4, 2, 16, 16), (8, 9))
    with pytest.raises(ValueError, match=r"\(1, 4, 2, 15, 15\)"):
        unwindow(torch.ones(1, 4, 2, 15, 15), (8, 8))
    with pytest.raises(ValueError, match="unwindow"):
        rollout([torch.ones(1, 4, 2, 16, 16)])


def test_vit_pytorch_composes():
    options = dict(
        image_size=16, patch_size=8, num_classes=5, dim=12, depth=2, heads=3, mlp_dim=20
    )
    model, x = vit_pytorch.ViT(**options).eval(), torch.randn(2, 3, 16, 16)
    y, wanted = Recorder(model)(x)
    with record(model) as maps:
        assert torch.equal(model(x), y)
    assert list(maps) == [f"transformer.layers.{i}.0" for i in range(2)]
    assert torch.equal(torch.stack(list(maps.values()), 1), wanted)


def test_cross_vit_composes_with_both_its_branches():
    sides = {f"{side}_{key}": value for side in ("sm", "lg") for key, value in {"dim": 12, "enc_depth": 1, "enc_heads": 2, "enc_mlp_dim": 16}.items()}  # fmt: skip
    model = CrossViT(
        image_size=32, num_classes=5, sm_patch_size=8, lg_patch_size=16, depth=1, cross_attn_depth=1, cross_attn_heads=2, **sides
    ).eval()  # fmt: skip
    x, wanted = torch.randn(2, 3, 32, 32), []
    for module in model.modules():
        if hasattr(module, "attend"):
            module.attend.register_forward_hook(
                lambda module, args, y: wanted.append(y.detach())
            )
    y = model(x)
    expected = list(wanted)
    with record(model) as maps:
        assert torch.equal(model(x), y)
    assert len(maps) == 4 and maps.unread == {}
    assert all(map(torch.equal, maps.values(), expected))


def block(cls: type, **options) -> nn.Module:
    return cls(12, 3, **options).eval()


@pytest.mark.parametrize("normed", [False, True], ids=["plain", "normed"])
def test_open_clip_composes(normed: bool):
    cls = open_clip.transformer.ResidualAttentionBlock
    if normed:
        cls = open_clip.transformer.CustomResidualAttentionBlock
    module, x = block(cls, **({"qk_norm": True} if normed else {})), torch.randn(2, 5, 12)
    with record(module) as maps:
        y = module(x)
    tokens, attn = module.ln_1(x), module.attn
    assert torch.equal(y, module(x)) and list(maps) == ["attn"]
    if not normed:
        wanted = attn(tokens, tokens, tokens, average_attn_weights=False)[1]
    else:
        weight, bias = attn.in_proj_weight, attn.in_proj_bias
        q, k, _ = (p.unflatten(2, (3, 4)).transpose(1, 2) for p in F.linear(tokens, weight, bias).chunk(3, -1))  # fmt: skip
        wanted = (attn.ln_q(q) * attn.scale @ attn.ln_k(k).mT).softmax(-1)
    assert_close(maps["attn"], wanted.detach(), **CLOSE)


def test_a_whole_open_clip_image_tower_composes():
    tower = open_clip.transformer.VisionTransformer(16, 8, 12, 2, 3, 2.0, output_dim=5).eval()
    with record(tower) as maps:
        tower(torch.randn(2, 3, 16, 16))
    assert list(maps) == [f"transformer.resblocks.{i}.attn" for i in range(2)]
    assert rollout(maps).shape == (2, 5, 5) and maps.unread == {}


TIMM = {
    "swin_tiny_patch4_window7_224": {"img_size": 56, "depths": (2, 2), "embed_dim": 12, "num_heads": (2, 3)},
    "beit_base_patch16_224": {"img_size": 32, "embed_dim": 24, "depth": 2, "num_heads": 3},
    "eva02_tiny_patch14_224": {"img_size": 28, "embed_dim": 24, "depth": 2, "num_heads": 3},
    "vit_relpos_small_patch16_224": {"img_size": 32, "embed_dim": 24, "depth": 2, "num_heads": 3},
}  # fmt: skip


@pytest.mark.parametrize("name", TIMM)
def test_timm_with_biases_and_rotations_composes(name: str):
    model = timm.create_model(name, num_classes=5, **TIMM[name]).eval()
    x, wanted = torch.randn(2, 3, *[TIMM[name]["img_size"]] * 2), []
    with record(model) as maps:
        y = model(x)
    assert torch.equal(model(x), y)
    for module in model.modules():
        if hasattr(module, "fused_attn"):
            module.fused_attn = False
            module.attn_drop.register_forward_pre_hook(lambda _, args: wanted.append(args[0]))
    model(x)
    assert len(wanted) == len(maps) and maps.unread == {}
    for ours, theirs in zip(maps.values(), wanted, strict=True):
        assert ours.shape[0] == 2 and ours.ndim == (5 if "swin" in name else 4)
        assert_close(ours.reshape(theirs.shape), theirs.detach(), **CLOSE)


def test_talking_heads_compose_by_name():
    model = timm.create_model("cait_xxs24_224", img_size=32, embed_dim=24, depth=1, num_heads=3).eval()  # fmt: skip
    with pytest.warns(
        UserWarning, match=r"TalkingHeadAttn cannot be read.*\('blocks.0.attn'\)"
    ):
        with record(model) as maps:
            model(torch.randn(1, 3, 32, 32))
    assert maps.keys() & maps.unread.keys() == set() and maps.unread.keys() == {"blocks.0.attn"}
