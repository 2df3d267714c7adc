"""What is put behind a layer stays there through what people do with networks, or whoever would lose it is told."""

import copy
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from blocks import EVERYWHERE, IMAGES, Block, awake, every_name, inserted, network
from timm.utils.model import freeze, unfreeze
from torch import Tensor, nn
from torch.ao.quantization import fuse_modules
from torch.export import Dim
from torch.fx.experimental.optimization import fuse
from torch.nn.parallel import DistributedDataParallel
from torch.testing import assert_close

from attn_lib import AttentionModule, SpatialGate, available, insert, record, remove


def runs(model: nn.Module, x: Tensor) -> tuple[Tensor, int]:
    """The output, and how often a mechanism that stands in the network itself ran."""
    ran = []
    kinds = tuple({type(part) for part in model.modules() if isinstance(part, AttentionModule)})
    hooks = [
        part.register_forward_pre_hook(lambda module, args: ran.append(module))
        for part in model.modules()
        if isinstance(part, kinds)
    ]
    y = model(x)
    for hook in hooks:
        hook.remove()
    return y, len(ran)


def frozen(model: nn.Module) -> nn.Module:
    freeze(model)
    return model


def thawed(model: nn.Module) -> nn.Module:
    unfreeze(frozen(model))
    return model


CONVERSIONS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "torch's SyncBatchNorm": nn.SyncBatchNorm.convert_sync_batchnorm,
    "timm's SyncBatchNorm": timm.layers.convert_sync_batchnorm,
    "timm's freezing": frozen,
    "timm's freezing and thawing": thawed,
    "a deep copy": copy.deepcopy,
}


@every_name
@pytest.mark.parametrize("conversion", CONVERSIONS)
def test_composes_with_a_conversion(name: str, conversion: str):
    model, x = inserted(name), torch.randn(IMAGES)
    before, times = runs(model, x)
    after, still = runs(CONVERSIONS[conversion](model).eval(), x)
    assert times == still >= len(EVERYWHERE)
    assert_close(after, before)


@every_name
@pytest.mark.parametrize("after", ["stem.conv", "stem.bn", "stem", "stage"])
def test_composes_with_fx_fusion_or_refuses(name: str, after: str, unchecked):
    model, x = inserted(name, [after]), torch.randn(IMAGES)
    try:
        fused = fuse(model)
    except (
        torch.fx.proxy.TraceError,
        TypeError,
    ):  # a mechanism that fx cannot trace is no silent loss
        return
    assert_close(fused(x), model(x), atol=1e-5, rtol=1e-4)


@every_name
def test_composes_with_quantisation_s_fusion_or_refuses(name: str):
    model, x = inserted(name, ["stem.bn"]), torch.randn(IMAGES)
    with pytest.raises((NotImplementedError, AssertionError), match="fuse"):
        fuse_modules(model, [["stem.conv", "stem.bn"]])
    fused = fuse_modules(model, [["stem.conv", "stem.bn.layer"]])
    assert isinstance(fused.stem.bn.layer, nn.Identity)
    assert_close(fused(x), model(x), atol=1e-5, rtol=1e-4)


def fuse_like_yolo(model: nn.Module) -> nn.Module:
    """As Ultralytics fuses: reads both layers' weights, keeps one, deletes the other."""
    for block in model.modules():
        if isinstance(block, Block) and hasattr(block, "bn"):
            convolution, norm = block.conv, block.bn
            scale = norm.weight / (norm.running_var + norm.eps).sqrt()
            joint = nn.Conv2d(convolution.in_channels, convolution.out_channels, 3, padding=1)
            joint.weight.data = convolution.weight.data * scale.reshape(-1, 1, 1, 1)
            joint.bias.data = norm.bias.data - norm.running_mean * scale
            block.conv = joint
            delattr(block, "bn")
            block.forward = lambda x, block=block: block.act(block.conv(x))
    return model


@every_name
@pytest.mark.parametrize(
    "after, says", {"stem.conv": ".layer.weight", "stem.bn": ".layer.weight"}.items()
)
def test_composes_with_yolo_s_fusion_or_refuses(name: str, after: str, says: str):
    with pytest.raises(AttributeError, match=re.escape(says)):
        fuse_like_yolo(inserted(name, [after]))
    model, x = inserted(name, ["stem", "stage.0", "stage"]), torch.randn(IMAGES)
    before = model(x)
    assert model.stem.f == -1  # what YOLO's forward reads of each layer
    assert_close(fuse_like_yolo(model)(x), before, atol=1e-5, rtol=1e-4)


@every_name
def test_composes_with_bare_state_dicts_both_ways(name: str):
    bare, x = network(), torch.randn(IMAGES)
    model = inserted(name)
    missing, unexpected = model.load_state_dict(bare.state_dict(), strict=False)
    own = re.compile(rf"({'|'.join(map(re.escape, EVERYWHERE))})\.{name}\.")
    assert not unexpected and all(map(own.match, missing))
    assert torch.equal(remove(copy.deepcopy(model))(x), bare(x))

    other = network()
    missing, unexpected = other.load_state_dict(model.state_dict(), strict=False)
    assert not missing and all(map(own.match, unexpected))
    assert torch.equal(other(x), bare(x))


@every_name
def test_composes_with_saving_and_loading_after_the_same_insert(name: str, tmp_path: Path):
    model, x = inserted(name, identity=True), torch.randn(IMAGES)
    torch.save(model.state_dict(), tmp_path / "weights")
    twin = insert(network(), name, EVERYWHERE, identity=True).eval()
    twin.load_state_dict(torch.load(tmp_path / "weights"))
    assert torch.equal(twin(x), model(x))


@every_name
def test_composes_with_removal(name: str):
    model, x = network(), torch.randn(IMAGES)
    seen = []
    model.stem.bn.register_forward_hook(lambda module, args, y: seen.append(y))
    before, modules, keys = model(x), dict(model.named_modules()), list(model.state_dict())
    insert(model, name, EVERYWHERE)
    insert(model, SpatialGate, EVERYWHERE) if name != "spatial_gate" else model
    remove(model, name, after="st*.bn")
    assert f"stem.bn.{name}" not in dict(model.named_modules())
    assert f"stage.{name}" in dict(model.named_modules())
    assert remove(model) is model
    assert dict(model.named_modules()) == modules and list(model.state_dict()) == keys
    seen.clear()
    assert torch.equal(model(x), before) and len(seen) == 1


def test_removing_nothing_is_refused():
    with pytest.raises(ValueError, match="no mechanism was inserted: there is nothing to rem"):
        remove(network())
    with pytest.raises(ValueError, match="no 'cbam' was inserted behind 'stem'"):
        remove(insert(network(), "cbam", "stage"), "cbam", after="stem")


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, after",
    [
        *((name, "blocks.6") for name in available()),
        *(("cbam", after) for after in ("blocks", "blocks.6.0", "conv_stem")),
    ],
)
def test_composes_with_timm_s_checkpointing(name: str, after: str):
    model = timm.create_model("efficientnet_lite0", num_classes=5).eval()
    x = torch.randn(1, 3, 64, 64, requires_grad=True)
    before = awake(insert(model, name, after))(x)
    model.set_grad_checkpointing()
    after = model(x)
    assert torch.equal(after, before)
    after.sum().backward()


@every_name
def test_composes_with_networks_that_run_the_parts_of_a_stage(name: str):
    model, x = inserted(name, ["stage"]), torch.randn(2, 16, 6, 7)
    y = x
    for part in model.stage:
        y = part(y)
    assert torch.equal(y, model.stage(x)) and len([*model.stage]) == 2
    with pytest.raises(TypeError, match=r"shows no parts: they are at \.layer\[-1\]"):
        model.stage[-1]


@pytest.mark.slow
@every_name
def test_composes_with_export(name: str, unchecked):
    model, x = inserted(name, ["stem.bn", "stage"], identity=True), torch.randn(IMAGES)
    sizes = {0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC}
    program = torch.export.export(model, (x,), dynamic_shapes=(sizes,)).module()
    for shape in (IMAGES, (3, 3, 9, 14)):
        x = torch.randn(shape)
        assert_close(program(x), model(x), atol=1e-4, rtol=1e-4)


@pytest.mark.slow
def test_composes_with_compilation(unchecked):
    # One mechanism: what stands around it is the same for all, and they compile on their own.
    torch._dynamo.reset()
    model, x = inserted("cbam", ["stem.bn", "stage"], identity=True), torch.randn(IMAGES)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    assert_close(compiled(x), model(x), atol=1e-4, rtol=1e-4)


@every_name
def test_composes_with_record(name: str):
    model = inserted(name, identity=True)
    with record(model) as maps:
        model(torch.randn(IMAGES))
    assert {f"{place}.{name}" for place in ("stem.conv", "stem.bn", "stage")} <= set(maps)


def compiled_in_place(model: nn.Module) -> nn.Module:
    model.compile(backend="eager")
    return model


def compiled_forward(model: nn.Module) -> nn.Module:
    model.stem.forward = torch.compile(model.stem.forward, backend="eager")
    return model


REFUSED = {
    "compiled": (lambda m: torch.compile(m, backend="eager"), "is compiled"),
    "compiled in place": (compiled_in_place, "is compiled"),
    "a compiled forward": (compiled_forward, "'stem' is compiled"),
    "TorchScript": (lambda m: torch.jit.trace(m, torch.randn(IMAGES)), "is TorchScript"),
    "DDP": (DistributedDataParallel, "averages the gradients of the parameters that it had"),
}


@pytest.mark.parametrize("how", REFUSED)
def test_composes_with_no_network_that_would_ignore_it(how: str, tmp_path: Path):
    wrap, says = REFUSED[how]
    if how == "DDP":
        torch.distributed.init_process_group(
            "gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1
        )
    try:
        model = wrap(network())
        keys = set(model.state_dict())
        with pytest.raises(ValueError, match=says + ".*insert and remove first"):
            insert(model, "cbam", "stem", channels=16)
        assert set(model.state_dict()) == keys
    finally:
        if how == "DDP":
            torch.distributed.destroy_process_group()


@pytest.mark.filterwarnings("ignore:.*weight_norm.*")
@every_name
def test_composes_with_old_weight_norm(name: str):
    model, x = network(), torch.randn(IMAGES)
    nn.utils.weight_norm(model.stem.conv)
    model(x)  # leaves a weight that refuses to be copied
    insert(model, name, "stem.conv")
    model(x).sum().backward()
    assert model.stem.conv.layer.weight_g.grad.any()
