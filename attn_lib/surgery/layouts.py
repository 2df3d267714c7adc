"""The names that well-known code gives to what our mechanisms hold."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from torch import Tensor, nn

from ..channel import EfficientChannelAttention, SelectiveKernel, SqueezeExcitation
from ..mixed import CBAM, ChannelGate, SpatialGate
from ..spatial import NonLocal, SelfAttention2d

State = dict[str, Tensor]
Where = Mapping[str, Callable[[Any], bool]]


@dataclass(frozen=True)
class Layout:
    """How others name what a mechanism has.

    Attributes:
        source: whose layout it is.
        names: their parts and ours; None where all names are the same.
        where: what the module must be, and whether it is.
        adapt: brings renamed weights, all there and of the right shapes, to the form of the module.
        bias: whether `out` has a bias before a normalisation, where ours has none.
        never: why this layout loads into none.
    """

    source: str
    names: Mapping[str, str] | None = None
    where: Where = field(default_factory=dict)
    adapt: Callable[[Any, State], State] = lambda module, state: state
    bias: bool = False
    never: str = ""

    def ours(self, key: str) -> str | None:
        """Our name of their key."""
        if self.names is None:
            return key
        for theirs, ours in self.names.items():
            if key.startswith(theirs + "."):
                return ours + key[len(theirs) :]
            if key == theirs:
                return ours
        return None


def _flipped(module: Any, state: State) -> State:
    """timm stacks [avg; max], others [max; avg]."""
    name = "spatial.conv.weight"
    return state | {name: state[name].flip(1)}


def _folded(module: Any, state: State) -> State:
    """A normalisation subtracts the bias of the convolution before it along with the mean."""
    if module.out.bias is not None:
        return state
    folded = {key: value for key, value in state.items() if key != "out.bias"}
    mean = "norm.running_mean"
    return folded | {mean: state[mean] - state["out.bias"].view_as(state[mean])}


def _rescaled(module: Any, state: State) -> State:
    """timm scales by the width of the input, others by that of the embeddings."""
    factor = module.channels**-0.5 / module.scale if module.scale != 1 else 1.0
    theta = {key: state[key] * factor for key in ("theta.weight", "theta.bias")}
    return _folded(module, state | theta)


def _pools(module: Any) -> bool:
    return not isinstance(module.pool, nn.Identity)


def _unlike_split(module: Any) -> bool:
    return module.branches[0][0].groups != 2


WHOLE: Where = {"subsample=False": lambda module: not _pools(module)}
HALVED: Where = {
    "subsample=True": _pools,
    "pool_first=False": lambda module: not module.pool_first,
}
UNSCALED: Where = {"scaled=False": lambda module: module.scale == 1}
# Of its modes mmcv scales one.
AS_MMCV: Where = {
    "scaled=False in mode gaussian": lambda module: (
        module.mode != "gaussian" or module.scale == 1
    )
}
ALEX = {"theta": "theta", "W.0": "out", "W.1": "norm", "W": "out", "concat_project.0": "compare"}  # fmt: skip
MMCV = {"theta.conv": "theta", "conv_out.conv": "out", "conv_out.bn": "norm", "concat_project.conv": "compare"}  # fmt: skip
MOST_BRANCHES = 8


def _branches(theirs: str, first: int) -> dict[str, str]:
    parts = product(range(MOST_BRANCHES), {"conv": 0, "bn": 1}.items())
    return {
        f"{theirs}{first + m}.{name}": f"branches.{m}.{place}" for m, (name, place) in parts
    }


OWN = Layout("this library")
LAYOUTS: dict[type[nn.Module], list[Layout]] = {
    SqueezeExcitation: [
        Layout(
            "moskomule/senet.pytorch and fightingcv-attention",
            {"fc.0": "squeeze", "fc.2": "excite"},
        ),
        Layout("timm and torchvision", {"fc1": "squeeze", "fc2": "excite"}),
        Layout("pytorchcv", {"conv1": "squeeze", "conv2": "excite"}),
    ],
    EfficientChannelAttention: [Layout("BangguWu/ECANet and timm")],
    SelectiveKernel: [
        Layout(
            "pytorchcv",
            {"fc1.conv": "squeeze", "fc1.bn": "norm", "fc2": "select"}
            | _branches("branches.branch", 2),
        ),
        Layout(
            "timm, with split_input=False",
            {"attn.fc_reduce": "squeeze", "attn.bn": "norm", "attn.fc_select": "select"}
            | _branches("paths.", 0),
            {"groups other than 2 (split_input=True has the same keys and shapes there)": _unlike_split},
        ),
    ],
    ChannelGate: [
        Layout("Jongchan/attention-module", {"mlp.1": "mlp.0", "mlp.3": "mlp.2"}),
        Layout("pytorchcv", {"mlp.fc1": "mlp.0", "mlp.fc2": "mlp.2"}),
        Layout("fightingcv-attention", {"se.0": "mlp.0", "se.2": "mlp.2"}),
        Layout(
            "timm",
            {"fc1": "mlp.0", "fc2": "mlp.2"},
            never="squeeze-and-excitation has the same keys: only a whole CBAM of timm is recognised",
        ),
    ],
    SpatialGate: [
        Layout("Jongchan/attention-module", {"spatial.conv": "conv", "spatial.bn": "norm"}),
        Layout("fightingcv-attention"),
        Layout(
            "timm and pytorchcv",
            {"conv.conv": "conv", "conv.bn": "norm"},
            never="the former stacks [avg; max], the latter [max; avg], under the same keys: only their whole "
            "CBAMs are recognised",
        ),
    ],
    CBAM: [
        Layout("Jongchan/attention-module", {
            "ChannelGate.mlp.1": "channel.mlp.0", "ChannelGate.mlp.3": "channel.mlp.2",
            "SpatialGate.spatial.conv": "spatial.conv", "SpatialGate.spatial.bn": "spatial.norm",
        }),
        Layout("pytorchcv", {
            "ch_gate.mlp.fc1": "channel.mlp.0", "ch_gate.mlp.fc2": "channel.mlp.2",
            "sp_gate.conv.conv": "spatial.conv", "sp_gate.conv.bn": "spatial.norm",
        }),
        Layout("timm", {
            "channel.fc1": "channel.mlp.0", "channel.fc2": "channel.mlp.2",
            "spatial.conv.conv": "spatial.conv", "spatial.conv.bn": "spatial.norm",
        }, adapt=_flipped),
        Layout("fightingcv-attention", {
            "ca.se.0": "channel.mlp.0", "ca.se.2": "channel.mlp.2", "sa.conv": "spatial.conv",
        }, never="it adds its input to its output, which is no CBAM: its gates load by prefix='ca.' into a "
           "ChannelGate and prefix='sa.' into a SpatialGate"),
    ],
    SelfAttention2d: [
        Layout(
            "heykeetae/Self-Attention-GAN",
            {"query_conv": "query", "key_conv": "key", "value_conv": "value", "gamma": "gamma"},
            WHOLE,
        )
    ],
    NonLocal: [
        Layout("AlexHex7/Non-local_pytorch", ALEX | {"g": "g", "phi": "phi"}, {**WHOLE, **UNSCALED}, _folded, bias=True),
        Layout("AlexHex7/Non-local_pytorch, sub-sampled", ALEX | {"g.0": "g", "phi.0": "phi"}, {**HALVED, **UNSCALED}, _folded, bias=True),
        Layout("mmcv", MMCV | {"g.conv": "g", "phi.conv": "phi"}, {**WHOLE, **AS_MMCV}),
        Layout("mmcv, sub-sampled", MMCV | {"g.0.conv": "g", "phi.0.conv": "phi"}, {**HALVED, **AS_MMCV}),
        Layout(
            "timm",
            {"t": "theta", "p": "phi", "g": "g", "z": "out", "norm": "norm"},
            {**WHOLE, "mode='embedded_gaussian'": lambda module: module.mode == "embedded_gaussian"},
            _rescaled,
            bias=True,
        ),
    ],
}  # fmt: skip


def layouts_of(module: nn.Module) -> Iterator[Layout]:
    """All that a mechanism is known to come in, its own names last."""
    for kind, layouts in LAYOUTS.items():
        if isinstance(module, kind):
            yield from layouts
    yield OWN
