"""Every mechanism in a residual network leaves PyTorch as a graph, and computes there what it computes here.

`torch.export` and its ONNX writer are tried on each mechanism alone, in `test_engineering`.
"""

import io

import onnxruntime
import pytest
import torch
from blocks import IMAGES, awake
from cases import CASES, Case
from torch import nn
from torch.nn.utils import parametrize
from torch.testing import assert_close
from torchvision.models.resnet import BasicBlock

OTHER = (3, 3, 27, 38)


def residual(case: Case) -> nn.Module:
    """A residual block with a mechanism behind it."""
    channels = case.small[1]
    block = BasicBlock(channels, channels)
    return awake(nn.Sequential(nn.Conv2d(3, channels, 1), block, case.make()))


def parametrised(model: nn.Module) -> bool:
    return any(map(parametrize.is_parametrized, model.modules()))


each = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@pytest.mark.slow
@each
def test_composes_with_fx(case: Case, unchecked):
    model = residual(case)
    graph = torch.fx.symbolic_trace(model)
    for shape in (IMAGES, OTHER):
        x = torch.randn(shape)
        assert_close(graph(x), model(x))


@each
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_composes_with_onnx_by_torchscript(case: Case, unchecked):
    """As YOLO's exporter insists."""
    model, file = residual(case), io.BytesIO()
    if parametrised(model):
        pytest.skip(
            "PyTorch's spectral norm has no form in ONNX: remove_parametrizations first"
        )
    sizes = {0: "b", 2: "h", 3: "w"}
    torch.onnx.export(
        model,
        (torch.randn(IMAGES),),
        file,
        input_names=["x"],
        dynamic_axes={"x": sizes},
        opset_version=17,
        dynamo=False,
    )
    session = onnxruntime.InferenceSession(file.getvalue())
    for shape in (IMAGES, OTHER):
        x = torch.randn(shape)
        (y,) = session.run(None, {"x": x.numpy()})
        assert_close(torch.from_numpy(y), model(x).detach(), atol=1e-4, rtol=1e-4)


@pytest.mark.slow
@each
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_composes_with_tracing(case: Case, unchecked):
    """TorchScript as it is deployed: traced at one size, run at another."""
    model = residual(case)
    traced = torch.jit.trace(model, torch.randn(IMAGES))
    x = torch.randn(OTHER)
    assert_close(traced(x), model(x), atol=1e-5, rtol=1e-5)
