"""`record` reads other people's transformers: the right map, per head, and nothing else changes."""

import copy

import pytest
import timm
import torch
import torchvision
from test_module import hooks
from timm.layers import Attention as TimmAttention
from torch import Tensor, nn
from torch.testing import assert_close

from attn_lib import Attention, record

CLOSE = {"atol": 1e-5, "rtol": 1e-5}


def by_hand(module: nn.MultiheadAttention, query: Tensor, key: Tensor) -> Tensor:
    """Per-head maps of batch-first inputs, written out."""
    to_query, to_key, _ = module.in_proj_weight.chunk(3)
    of_query, of_key, _ = module.in_proj_bias.chunk(3)

    def cut(tokens: Tensor) -> Tensor:
        return tokens.unflatten(2, (module.num_heads, -1)).transpose(1, 2)

    q, k = cut(query @ to_query.T + of_query), cut(key @ to_key.T + of_key)
    return (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1)


def multihead(**options) -> nn.MultiheadAttention:
    module = nn.MultiheadAttention(12, 4, batch_first=True, **options)
    nn.init.normal_(module.in_proj_bias)
    return module


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("grad", [True, False], ids=["gradient", "no gradient"])
@pytest.mark.parametrize(
    "options", [{}, {"need_weights": False}, {"average_attn_weights": True}], ids=str
)
def test_multihead_attention_shows_each_head(training: bool, grad: bool, options: dict):
    module, query, key = (
        multihead().train(training),
        torch.randn(2, 5, 12),
        torch.randn(2, 3, 12),
    )
    with torch.set_grad_enabled(grad), record(module) as maps:
        y = module(query, key, key, **options)
    assert_close(maps[""], by_hand(module, query, key), **CLOSE)
    with torch.set_grad_enabled(grad):
        assert_close(y, module(query, key, key, **options), rtol=0, atol=0)


def test_multihead_attention_of_one_tensor_takes_its_native_kernel_and_is_shown():
    module, x = multihead().eval(), torch.randn(2, 5, 12)
    with torch.no_grad(), record(module) as maps:
        y = module(x, x, x, need_weights=False)
    assert_close(maps[""], by_hand(module, x, x), **CLOSE)
    with torch.no_grad():
        assert torch.equal(y[0], module(x, x, x, need_weights=False)[0])


def test_tokens_before_the_batch_or_without_one_are_read_too():
    module, x = multihead(), torch.randn(2, 5, 12)
    wanted = by_hand(module, x, x)
    module.batch_first = False
    with record(module) as maps:
        module(*[x.transpose(0, 1)] * 3)
    assert_close(maps[""], wanted, **CLOSE)
    with record(module) as maps:
        module(x[0], x[0], x[0])
    assert_close(maps[""], wanted[:1], **CLOSE)


def test_masks_enter_the_map():
    module, x = multihead(), torch.randn(2, 5, 12)
    causal = torch.ones(5, 5, dtype=torch.bool).triu(1)
    padding = torch.tensor([[False] * 5, [False] * 3 + [True] * 2])
    for options in (
        {"attn_mask": causal},
        {"attn_mask": causal, "is_causal": True, "need_weights": False},
    ):
        with record(module) as maps:
            module(x, x, x, **options)
        assert not maps[""][:, :, causal].any()
        assert_close(maps[""].sum(-1), torch.ones(2, 4, 5))
    with record(module) as maps:
        module(x, x, x, key_padding_mask=padding)
    assert not maps[""][1, :, :, 3:].any() and maps[""][0].all()


def test_dropout_is_neither_in_the_map_nor_in_the_random_numbers():
    module, x = multihead(dropout=0.5).train(), torch.randn(2, 5, 12)
    torch.manual_seed(1)
    with record(module) as maps:
        y, _ = module(x, x, x)
    assert_close(maps[""], by_hand(module, x, x), **CLOSE)
    torch.manual_seed(1)
    assert torch.equal(y, module(x, x, x)[0]) and module.training


def encoder(norm_first: bool = False, **options) -> nn.TransformerEncoder:
    layer = nn.TransformerEncoderLayer(12, 4, 20, 0.1, batch_first=True, norm_first=norm_first)
    return nn.TransformerEncoder(layer, 2, **options)


@pytest.mark.parametrize("norm_first", [False, True], ids=["post-norm", "pre-norm"])
def test_a_torch_encoder_is_read_where_it_would_take_its_fast_path(norm_first: bool):
    model, x = encoder(norm_first, enable_nested_tensor=False).eval(), torch.randn(2, 5, 12)
    with torch.no_grad():
        before = model(x)
        with record(model) as maps:
            y = model(x)
        first = model.layers[0].norm1(x) if norm_first else x
        assert torch.equal(model(x), before)
    assert list(maps) == ["layers.0.self_attn", "layers.1.self_attn"]
    assert_close(
        maps["layers.0.self_attn"], by_hand(model.layers[0].self_attn, first, first), **CLOSE
    )
    assert_close(y, before, **CLOSE)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_a_torch_encoder_that_packs_padded_sentences_is_read():
    model, x = encoder().eval(), torch.randn(2, 5, 12)
    padding = torch.tensor([[False] * 5, [False] * 3 + [True] * 2])
    with torch.no_grad():
        before = model(x, src_key_padding_mask=padding)
        with record(model) as maps:
            y = model(x, src_key_padding_mask=padding)
    assert_close(y, before, **CLOSE)
    wanted = by_hand(model.layers[0].self_attn, x, x)
    assert_close(maps["layers.0.self_attn"][0], wanted[0], **CLOSE)
    short = by_hand(model.layers[0].self_attn, x[1:, :3], x[1:, :3])
    assert_close(maps["layers.0.self_attn"][1, :, :3, :3], short[0], **CLOSE)
    assert not maps["layers.0.self_attn"][1, :, :3, 3:].any()


def test_training_an_encoder_goes_on_bit_for_bit_as_without_record():
    model, x = encoder(enable_nested_tensor=False).train(), torch.randn(2, 5, 12)
    torch.manual_seed(2)
    with record(model) as maps:
        y = model(x)
    torch.manual_seed(2)
    assert torch.equal(y, model(x)) and len(maps) == 2


class Softmaxes:
    """Collects what softmax gives inside timm's unfused attention, whose dropout takes it."""

    def __init__(self, model: nn.Module):
        self.maps = []
        for module in model.modules():
            if isinstance(module, TimmAttention):
                module.fused_attn = False
                module.attn_drop.register_forward_pre_hook(
                    lambda _, args: self.maps.append(args[0])
                )


@pytest.mark.parametrize("fused", [True, False], ids=["fused", "explicit"])
@pytest.mark.parametrize("options", [{}, {"qk_norm": True}, {"init_values": 0.1, "class_token": False, "global_pool": "avg"}], ids=["plain", "normed", "scaled"])  # fmt: skip
def test_timm_vision_transformers_show_each_head(fused: bool, options: dict):
    model = timm.models.VisionTransformer(
        img_size=16, patch_size=8, embed_dim=24, depth=2, num_heads=3, num_classes=5, **options
    ).eval()
    for block in model.blocks:
        block.attn.fused_attn = fused
    reference, x = Softmaxes(twin := copy.deepcopy(model)), torch.randn(2, 3, 16, 16)
    before, _ = model(x), twin(x)
    with record(model) as maps:
        y = model(x)
    assert list(maps) == ["blocks.0.attn", "blocks.1.attn"]
    assert_close(list(maps.values()), [weights.detach() for weights in reference.maps], **CLOSE)
    assert torch.equal(y, before) and hooks(model) == 0
    assert not any(weights.requires_grad for weights in maps.values())


@pytest.mark.parametrize("options", [{"is_causal": True}, {"attn_mask": "bool"}, {"attn_mask": "float"}], ids=str)  # fmt: skip
@pytest.mark.parametrize("fused", [True, False], ids=["fused", "explicit"])
def test_timm_masks_enter_the_map(options: dict, fused: bool):
    masks = {"bool": torch.rand(5, 5) > 0.3, "float": torch.randn(5, 5)}
    masks["bool"].fill_diagonal_(True)
    options = {key: masks.get(value, value) for key, value in options.items()}
    module, x = TimmAttention(12, 4, qkv_bias=True).eval(), torch.randn(2, 5, 12)
    module.fused_attn = fused
    with record(module) as maps:
        y = module(x, **options)
    value = module.qkv(x).chunk(3, -1)[2].unflatten(2, (4, 3)).transpose(1, 2)
    assert_close(y, module.proj((maps[""] @ value).transpose(1, 2).flatten(2)), **CLOSE)


def test_torchvision_vision_transformers_show_each_head():
    model = torchvision.models.VisionTransformer(16, 8, 2, 3, 24, 40, num_classes=5).eval()
    x, seen = torch.randn(2, 3, 16, 16), []
    name = "encoder.layers.encoder_layer_0.self_attention"
    model.get_submodule(name).register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    before = model(x)
    with record(model) as maps:
        y = model(x)
    assert list(maps) == [name, name.replace("layer_0", "layer_1")]
    assert_close(maps[name], by_hand(model.get_submodule(name), seen[0], seen[0]), **CLOSE)
    assert maps[name].shape == (2, 3, 5, 5)
    assert torch.equal(y, before) and hooks(model) == 1


def test_ours_and_theirs_are_recorded_side_by_side():
    model = nn.Sequential(Attention(12, 2, 3), TimmAttention(12, 4))
    with record(model) as maps:
        model(torch.randn(2, 5, 12))
    assert {name: tuple(weights.shape) for name, weights in maps.items()} == {
        "0": (2, 2, 5, 5),
        "1": (2, 4, 5, 5),
    }


def test_no_hook_stays_after_an_exception():
    model = nn.Sequential(multihead())
    with pytest.raises(TypeError), record(model):
        model(torch.randn(2, 5, 12))
    assert hooks(model) == 0


def test_a_model_that_goes_around_its_attention_is_refused():
    class Around(nn.Module):
        def __init__(self):
            super().__init__()
            self.attn = multihead()

        def forward(self, x: Tensor) -> Tensor:
            return self.attn.out_proj(x)

    model = Around()
    with pytest.raises(
        ValueError, match=r"Around left no map: MultiheadAttention was not called \('attn'\)"
    ):
        with record(model) as maps:
            model(torch.randn(2, 5, 12))
    assert maps == {} and hooks(model) == 0


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_a_scripted_model_is_refused():
    scripted = torch.jit.trace(TimmAttention(12, 4).eval(), torch.randn(2, 5, 12))
    with pytest.raises(ValueError, match="holds no AttentionModule"), record(scripted):
        pass
