"""The transformers equal what others wrote, with copied weights. An oracle that does not import is a failure."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close
from vit_pytorch import simple_vit

from attn_lib import (
    Attention,
    FeatureViT,
    SimpleViT,
    record,
)
from attn_lib.vit import position_code

CLOSE = {"atol": 1e-5, "rtol": 1e-5}
SETTINGS = [
    {"image_size": 8, "patch_size": 4, "dim": 24, "depth": 2, "heads": 3, "mlp_dim": 40, "dim_head": 5},
    {"image_size": (6, 12), "patch_size": (2, 3), "dim": 16, "depth": 3, "heads": 2, "mlp_dim": 8, "channels": 5},
    {"image_size": 7, "patch_size": 1, "dim": 8, "depth": 1, "heads": 1, "mlp_dim": 8, "channels": 1},
]  # fmt: skip
every_setting = pytest.mark.parametrize("setting", SETTINGS, ids=["plain", "oblong", "tiny"])


def pair(size) -> tuple[int, int]:
    return size if isinstance(size, tuple) else (size, size)


@every_setting
def test_simple_vit_loads_the_weights_of_vit_pytorch_and_computes_the_same(setting: dict):
    ours = SimpleViT(num_classes=10, **setting).eval()
    theirs = simple_vit.SimpleViT(num_classes=10, **setting).eval()
    ours.load_state_dict(theirs.state_dict())
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, setting.get("channels", 3), *pair(setting["image_size"]))
    assert_close(ours(x), theirs(x), **CLOSE)


@pytest.mark.parametrize("h, w, dim", [(1, 1, 8), (3, 5, 12), (14, 14, 384)])
def test_the_position_code_is_that_of_vit_pytorch(h: int, w: int, dim: int):
    assert_close(position_code(h, w, dim), simple_vit.posemb_sincos_2d(h, w, dim), **CLOSE)


def test_each_layer_s_map_is_what_their_softmax_gives():
    setting = SETTINGS[0]
    ours = SimpleViT(num_classes=10, **setting)
    theirs = simple_vit.SimpleViT(num_classes=10, **setting)
    theirs.load_state_dict(ours.state_dict())
    seen, x = [], torch.randn(2, 3, 8, 8)
    for attention, _ in theirs.transformer.layers:
        attention.attend.register_forward_hook(lambda module, args, y: seen.append(y.detach()))
    theirs(x)
    with record(ours) as maps:
        ours(x)
    assert list(maps) == ["transformer.layers.0.0", "transformer.layers.1.0"]
    assert_close(list(maps.values()), seen, **CLOSE)


@pytest.mark.parametrize("n, dim, heads", [(7, 24, 3), (1, 8, 8), (40, 16, 1)])
def test_attention_is_multihead_attention_of_the_normalised_tokens(
    n: int, dim: int, heads: int
):
    ours, x = Attention(dim, heads, dim // heads).eval(), torch.randn(2, n, dim)
    oracle = nn.MultiheadAttention(dim, heads, bias=False, batch_first=True)
    with torch.no_grad():
        oracle.in_proj_weight.copy_(ours.to_qkv.weight)
        oracle.out_proj.weight.copy_(ours.to_out.weight)
    tokens = ours.norm(x)
    y, weights = oracle(tokens, tokens, tokens, average_attn_weights=False)
    assert_close(ours(x), y, **CLOSE)
    assert_close(ours.attention(x), weights, **CLOSE)


def test_the_attention_layers_are_those_of_a_torch_encoder():
    # A pre-norm encoder layer without biases in attention is one layer of the transformer.
    dim, heads = 24, 4
    ours = SimpleViT(8, 4, 10, dim, 1, heads, 40, dim_head=dim // heads).transformer.eval()
    oracle = nn.TransformerEncoderLayer(
        dim, heads, 40, 0.0, "gelu", batch_first=True, norm_first=True
    ).eval()
    attention, feed_forward = ours.layers[0]
    with torch.no_grad():
        oracle.self_attn.in_proj_weight.copy_(attention.to_qkv.weight)
        oracle.self_attn.out_proj.weight.copy_(attention.to_out.weight)
        oracle.self_attn.in_proj_bias.zero_()
        oracle.self_attn.out_proj.bias.zero_()
        pairs = [(oracle.norm1, attention.norm), (oracle.norm2, feed_forward.net[0])]
        pairs += [(oracle.linear1, feed_forward.net[1]), (oracle.linear2, feed_forward.net[3])]
        for theirs, mine in pairs:
            theirs.load_state_dict(mine.state_dict())
    x = torch.randn(2, 5, dim)
    assert_close(ours(x), ours.norm(oracle(x)), **CLOSE)


def test_feature_vit_of_positions_is_a_vit_of_single_pixels_without_their_code():
    ours = FeatureViT(3, 16, 2, 2, 8, channels=6, dim_head=4, tokens="space").eval()
    theirs = simple_vit.SimpleViT(
        image_size=3, patch_size=1, num_classes=1, dim=16, depth=2, heads=2, mlp_dim=8, channels=6, dim_head=4
    )  # fmt: skip
    theirs.transformer.load_state_dict(ours.transformer.state_dict())
    theirs.linear_head.load_state_dict(ours.head.state_dict())
    theirs.to_patch_embedding[2].load_state_dict(ours.to_patch_embedding[1].state_dict())
    theirs.to_patch_embedding[1] = theirs.to_patch_embedding[3] = nn.Identity()
    theirs.pos_embedding.zero_()
    x = torch.randn(2, 6, 3, 3)
    assert_close(ours(x), theirs(x)[:, 0], **CLOSE)


def test_feature_vit_at_the_setting_of_its_docstring_has_52_million_parameters():
    with torch.device("meta"):
        model = FeatureViT(7, 1024, 6, 16, 2048)
    total = sum(parameter.numel() for parameter in model.parameters())
    head = sum(parameter.numel() for parameter in model.head.parameters())
    attention = 2 * 1024 + 4 * 1024 * 1024
    feed_forward = 2 * 1024 + (1024 * 2048 + 2048) + (2048 * 1024 + 1024)
    embedding, norm = 32 * 7 * 7 * 1024 + 1024, 2 * 1024
    assert total - head == 6 * (attention + feed_forward) + embedding + norm
    assert round((total - head) / 1e6, 1) == 52.0
