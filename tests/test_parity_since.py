"""The mechanisms that came after the notes equal what others wrote, with copied weights."""

import torch
from mmcv.cnn.bricks import ContextBlock
from test_parity_channel import CLOSE, copy, shapes
from timm.layers import GlobalContext as TimmGlobalContext
from torch import nn
from torch.testing import assert_close

from attn_lib import GlobalContext


def awake(module: nn.Module) -> nn.Module:
    """As some steps of training may leave it: nothing at 0 or 1."""
    for values in (*module.parameters(), *module.buffers()):
        if values.is_floating_point() and len(values.unique()) == 1:
            nn.init.uniform_(values, 0.5, 1.5)
    return module.eval()


@shapes
def test_global_context_is_mmcv(shape: tuple):
    module, x = awake(GlobalContext(64)), torch.randn(shape)
    theirs = ContextBlock(64, ratio=1 / 16)
    copy(module.key, theirs.conv_mask)
    for ours, part in zip(module.transform, theirs.channel_add_conv, strict=True):
        copy(ours, part)
    assert_close(module(x), theirs(x), **CLOSE)


@shapes
def test_global_context_is_timm_told_to_add(shape: tuple):
    module, x = awake(GlobalContext(64, 8)), torch.randn(shape)
    theirs = TimmGlobalContext(64, fuse_add=True, fuse_scale=False)
    copy(module.key, theirs.conv_attn)
    mlp, (first, norm, _, last) = theirs.mlp_add, module.transform
    norm.eps = mlp.norm.eps  # theirs is 1e-6, PyTorch's 1e-5
    for ours, part in ((first, mlp.fc1), (norm, mlp.norm), (last, mlp.fc2)):
        copy(ours, part)
    assert_close(module(x), theirs(x), **CLOSE)


def test_global_context_is_a_relation_whose_rows_are_all_the_same():
    # What Cao et al. saw non-local blocks learn: with queries of one value, a softmax relation has one row.
    module, x = awake(GlobalContext(16, 4)), torch.randn(2, 16, 5, 7)
    rows = module.attention(x).flatten(1)[:, None].expand(-1, 35, -1)
    gathered = rows @ x.flatten(2).mT
    y = x + module.transform(gathered).mT.view_as(x)
    assert_close(module(x), y, **CLOSE)


def test_of_one_hidden_unit_a_layer_norm_would_leave_nothing():
    assert not nn.LayerNorm(1)(torch.randn(8, 1)).any()
    assert GlobalContext(16).transform[0].out_features == 2
