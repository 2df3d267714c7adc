"""Each mechanism survives what people do with modules: mixed precision, compilation, export, copies."""

import copy
import subprocess
import sys
from pathlib import Path

import onnxruntime
import pytest
import torch
from cases import CASES, Case, every_case, every_form, every_size, those
from machine import compiler
from places import ROOT
from torch import Tensor
from torch.export import Dim
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

BENCHMARK = ROOT / "benchmarks" / "mechanisms.py"
ANY_SIZE = {"x": {0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC}}


@every_case
@every_size
@pytest.mark.parametrize(
    "dtype, tolerance", [(torch.bfloat16, 0.05), (torch.float16, 0.01)], ids=str
)
def test_mixed_precision_is_near_float32(
    case: Case, size: str, dtype: torch.dtype, tolerance: float
):
    module, x = case.awake(), case.input(size)
    with torch.autocast("cpu", dtype):
        y = module(x)
    assert_close(y.float(), module(x), atol=tolerance * x.abs().max().item(), rtol=0)


@those(lambda case: case.kind != "readout")
@every_size
def test_the_memory_format_of_the_input_is_kept(case: Case, size: str):
    module, x = case.awake(), case.input(size)
    last = module(x.to(memory_format=torch.channels_last))
    assert last.is_contiguous(memory_format=torch.channels_last)
    first = module(x)
    assert first.is_contiguous()
    assert_close(first, last, atol=1e-5, rtol=1e-5)


def with_gradient(module, x: Tensor) -> tuple[Tensor, Tensor]:
    x = x.clone().requires_grad_()
    y = module(x)
    return y, torch.autograd.grad(y.square().sum(), x)[0]


@pytest.mark.slow
@every_form
@every_size
def test_compilation_in_one_graph_changes_nothing(case: Case, size: str, unchecked):
    torch._dynamo.reset()
    module, x = case.awake(), case.input(size)
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    assert_close(with_gradient(compiled, x), with_gradient(module, x), atol=1e-4, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.skipif(
    not compiler(), reason="no C++ compiler: `make machine` says what to install"
)
@pytest.mark.skipif(
    " " in torch.__file__, reason="PyTorch's own linking wants a path to PyTorch without spaces"
)
def test_compilation_to_machine_code_changes_nothing(unchecked):
    # One case: it takes a C++ compiler and many seconds, and the graph is what the test above compares.
    torch._dynamo.reset()
    module, x = CASES[0].awake(), CASES[0].input("large")
    compiled = torch.compile(module, fullgraph=True)
    assert_close(with_gradient(compiled, x), with_gradient(module, x), atol=1e-4, rtol=1e-4)


@pytest.mark.slow
@every_case
def test_an_exported_program_runs_at_other_sizes(case: Case, unchecked):
    module = case.awake()
    program = torch.export.export(
        module, (case.input("large"),), dynamic_shapes=ANY_SIZE
    ).module()
    for shape in (case.small, (3, case.small[1], 8, 17)):
        x = torch.randn(shape)
        assert_close(program(x), module(x), atol=1e-5, rtol=1e-5)


@pytest.mark.slow
@every_form
def test_onnx_runtime_runs_it_at_other_sizes(case: Case, unchecked, tmp_path: Path):
    module, path = case.awake(), tmp_path / "module.onnx"
    torch.onnx.export(
        module,
        (case.input("large"),),
        path,
        dynamic_shapes=ANY_SIZE,
        dynamo=True,
        verbose=False,
    )
    session = onnxruntime.InferenceSession(path)
    for shape in (case.small, (3, case.small[1], 8, 17)):
        x = torch.randn(shape)
        (y,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        assert_close(torch.from_numpy(y), module(x).detach(), atol=1e-4, rtol=1e-4)


@those(lambda case: case.parameters)
def test_a_deep_copy_computes_the_same_and_shares_nothing(case: Case):
    module, x = case.awake(), case.input()
    twin, before = copy.deepcopy(module), module(x)
    assert torch.equal(twin(x), before)
    for parameter in twin.parameters():
        torch.nn.init.zeros_(parameter)
    assert torch.equal(module(x), before)


@those(lambda case: case.parameters)
def test_a_state_dict_carries_everything(case: Case):
    module, other, x = case.awake(), case.awake(), case.input()
    assert not torch.equal(other(x), module(x))
    other.load_state_dict(module.state_dict())
    assert torch.equal(other(x), module(x))


@every_case
@every_size
def test_shapes_come_out_on_the_meta_device(case: Case, size: str):
    with torch.device("meta"):
        module, x = case.make(), case.input(size)
    y = module(x)
    assert y.is_meta and y.shape == case.output_shape(x.shape)
    assert module.attention(x).shape == case.build().attention(case.input(size)).shape


@every_case
@every_size
def test_an_empty_batch_gives_an_empty_batch(case: Case, size: str):
    x = case.input(size)[:0]
    assert case.build()(x).shape == case.output_shape(x.shape)


@every_case
@every_size
def test_a_run_leaves_no_trace(case: Case, size: str):
    module, x = case.awake(), case.input(size)
    attributes, first = set(vars(module)), module(x)
    module(torch.randn_like(x))
    assert torch.equal(module(x), first)
    assert set(vars(module)) == attributes


class Largest(TorchDispatchMode):
    """Sees every tensor that PyTorch's kernels give back, in the backward pass too, and keeps the largest size."""

    numel = 0

    def __torch_dispatch__(self, kernel, types, args=(), kwargs=None):
        result = kernel(*args, **(kwargs or {}))
        sizes = [part.numel() for part in tree_leaves(result) if isinstance(part, Tensor)]
        self.numel = max(self.numel, *sizes, 0)
        return result


@pytest.mark.slow
@those(lambda case: case.kind in ("relation", "scores"))
def test_forward_builds_no_map_at_large_sizes(case: Case):
    module, channels = case.awake(), case.small[1]
    x, n = torch.randn(1, channels, 128, 128, requires_grad=True), 128 * 128
    with Largest() as largest:
        module(x).sum().backward()
    assert largest.numel <= 64 * n
    with Largest() as largest, torch.no_grad():  # the meter sees a map where there is one
        map_size = module.attention(x[..., :32, :32]).numel()
    assert largest.numel >= map_size > 64 * 32 * 32 / 4


def peak(form: str, shape: str) -> float:
    """MB that one forward and backward pass adds to a process of its own."""
    command = [sys.executable, str(BENCHMARK), "--peak", "self_attention", form, shape]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.slow
def test_a_training_step_at_128_by_128_stays_under_150_megabytes():
    assert peak("ours", "1x64x128x128") < 150
    # The meter sees the plain form's scores and weights, 64 MB each.
    assert peak("plain", "1x64x64x64") > 128
