"""A compiled model calls no hooks: whoever ran one without filling a single map hears of it."""

from collections.abc import Callable

import pytest
import torch
from cases import Case, every_case
from test_recording import TimmAttention, multihead
from torch import Tensor, nn

from attn_lib import SelfAttention2d, record, trace_shapes


def compile_itself(model: nn.Module) -> None:
    model.compile(backend="eager")


def compile_a_part(model: nn.Module) -> None:
    model[0].compile(backend="eager")


def compile_forward(model: nn.Module) -> None:
    model.forward = torch.compile(model.forward, backend="eager")


def compile_forward_of_a_part(model: nn.Module) -> None:
    model[0].forward = torch.compile(model[0].forward, backend="eager")


def wrap_a_part(model: nn.Module) -> None:
    model[0] = torch.compile(model[0], backend="eager")


every_way = pytest.mark.parametrize(
    "compiled",
    [compile_itself, compile_a_part, compile_forward, compile_forward_of_a_part, wrap_a_part],
)


@every_way
@every_case
def test_what_is_compiled_composes_with_no_tool_and_says_so(case: Case, compiled: Callable):
    model = nn.Sequential(case.build())
    compiled(model)
    with pytest.raises(ValueError, match=r"before torch\.compile"), record(model):
        pass
    with pytest.raises(ValueError, match=r"before torch\.compile"):
        trace_shapes(model, case.input())


class Self(nn.Module):
    def __init__(self):
        super().__init__()
        self.attn = multihead()

    def forward(self, x: Tensor) -> Tensor:
        return self.attn(x, x, x)[0]


MODELS = {
    "ours": (lambda: SelfAttention2d(8), (1, 8, 3, 3)),
    "torch": (Self, (2, 5, 12)),
    "timm": (lambda: TimmAttention(12, 4), (2, 5, 12)),
}


def twin_of(model: nn.Module, **options) -> Callable:
    return torch.compile(model, backend="eager", **options)


def around(model: nn.Module, **options) -> Callable:
    return torch.compile(lambda x: model(x) + 1, backend="eager", **options)


every_model = pytest.mark.parametrize("name", MODELS)
every_twin = pytest.mark.parametrize("made", [twin_of, around])
every_graph = pytest.mark.parametrize("fullgraph", [False, True], ids=["breaks", "full graph"])


@pytest.mark.slow
@every_model
@every_twin
@every_graph
@pytest.mark.parametrize("ran", [True, False], ids=["ran before", "runs first inside"])
def test_a_twin_that_runs_compiled_composes_as_an_error(
    name: str, made: Callable, fullgraph: bool, ran: bool, unchecked
):
    torch._dynamo.reset()
    make, shape = MODELS[name]
    model, x = make(), torch.randn(shape)
    twin = made(model, fullgraph=fullgraph)
    if ran:
        twin(x)
    with pytest.raises(ValueError, match=r"before torch\.compile"):
        with record(model):
            twin(x)
            twin(x + 1)
    assert not torch._C._len_torch_function_stack()
    with record(model) as maps:
        model(x)
    assert len(maps) == 1


@every_model
def test_the_model_itself_composes_with_a_twin_that_runs_outside(name: str, unchecked):
    torch._dynamo.reset()
    make, shape = MODELS[name]
    model, x = make().eval(), torch.randn(shape)
    twin = twin_of(model)
    y = twin(x)
    with record(model) as maps:
        model(x)
    before = {key: value.clone() for key, value in maps.items()}
    assert torch.equal(twin(x + 1), model(x + 1)) and torch.equal(twin(x), y)
    assert all(torch.equal(maps[key], before[key]) for key in before)


@every_case
def test_a_block_without_a_run_composes_as_an_error(case: Case):
    module = case.build()
    with pytest.raises(
        ValueError, match=f"left no map: .*{type(module).__name__} was not called"
    ):
        with record(module):
            pass


def test_an_exception_inside_composes():
    with pytest.raises(ZeroDivisionError), record(SelfAttention2d(8)):
        raise ZeroDivisionError
