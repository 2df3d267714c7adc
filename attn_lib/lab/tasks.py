"""What networks are trained on, and with what in their slot: the tasks of the comparison."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..data import (
    LocatedImages,
    cluttered_digits,
    cued_digits,
    paired_digits,
    real_images,
    sized_digits,
)

# The host's arguments under the name of what they put in. frozen_gate, pointwise, even_kernels are controls.
COMPARED: dict[str, dict[str, Any]] = {
    "none": {},
    "self_attention": {"slot": "self_attention"},
    "squeeze_excitation": {"slot": "squeeze_excitation"},
    "cbam": {"slot": "cbam"},
    "selective_kernel": {"slot": "selective_kernel"},
    "efficient_channel": {"slot": "efficient_channel"},
    "non_local_embedded_gaussian": {"slot": "non_local", "mode": "embedded_gaussian"},
    "attention_pooling": {"readout": "attention"},
    "frozen_gate": {"slot": "frozen_gate"},
    "pointwise": {"slot": "pointwise"},
    "even_kernels": {"slot": "even_kernels"},
    "non_local_dot_product": {"slot": "non_local", "mode": "dot_product"},
    "non_local_gaussian": {"slot": "non_local", "mode": "gaussian"},
    "non_local_concatenation": {"slot": "non_local", "mode": "concatenation"},
}
# What came after the notes: more rows of the same comparison, run later.
SINCE: dict[str, dict[str, Any]] = {
    "global_context": {"slot": "global_context", "reduction": 4},
    "simam": {"slot": "simam"},
    "coordinate": {"slot": "coordinate"},
    "cross_covariance": {"slot": "cross_covariance", "heads": 2},
    "window_attention": {"slot": "window_attention", "window": 5, "heads": 2},
    "linear_attention": {"slot": "linear_attention", "heads": 2},
    "efficient_attention": {"slot": "linear_attention", "mode": "softmax", "heads": 2},
    "shifted_windows": {"slot": "window_attention", "window": 5, "shift": 2, "heads": 2},
}
# What single chapters ask: a gate that starts loud and learns, a module behind every convolution, CBAM in parts,
# in other orders and from the authors' start, one kernel of two, efficient channel attention whose neighbours are
# drawn by lot, or none.
SLOTS: dict[str, dict[str, Any]] = (
    COMPARED
    | SINCE
    | {
        "loud_gate": {"slot": "loud_gate"},
        "squeeze_excitation_everywhere": {"slot": "squeeze_excitation", "everywhere": True},
        "selective_kernel_everywhere": {"slot": "selective_kernel", "everywhere": True},
        "channel_gate": {"slot": "channel_gate"},
        "spatial_gate": {"slot": "spatial_gate"},
        "positions_first": {"slot": "positions_first"},
        "parallel": {"slot": "parallel"},
        "shuffled_channels": {"slot": "shuffled_channels"},
        "no_neighbours": {"slot": "efficient_channel", "kernel_size": 1},
        "cbam_released": {"slot": "cbam", "released_start": True},
        "one_kernel": {"slot": "one_kernel"},
        "wide_kernel": {"slot": "wide_kernel"},
        "even_kernels_everywhere": {"slot": "even_kernels", "everywhere": True},
    }
)

_GATES = ("loud_gate", "squeeze_excitation_everywhere")
_PARTS = ("channel_gate", "spatial_gate", "positions_first", "parallel")
_KERNELS = ("one_kernel", "wide_kernel")
_NEIGHBOURS = ("shuffled_channels", "no_neighbours")


@dataclass(frozen=True)
class Task:
    """One question for all networks. Steps and difficulty were chosen on the validation split with seed 0.

    Attributes:
        data: from a split and a number of images, and a seed where images are painted, to images.
        classes: how many answers there are.
        slots: what is put in.
        steps: of training, in batches of `BATCH`.
        options: of the test's data.
        varied: arguments of the data that further tests vary one by one, and their values.
        keep: the slots whose networks of seed 0 become checkpoints, and under which names.
    """

    data: Callable[..., LocatedImages]
    classes: int = 10
    slots: tuple[str, ...] = tuple(COMPARED)
    steps: int = 600
    options: dict[str, int] = field(default_factory=lambda: {"seed": 1})
    varied: dict[str, tuple[int, ...]] = field(default_factory=dict)
    keep: dict[str, str] = field(default_factory=dict)


def fashion(split: str, count: int) -> LocatedImages:
    """Fashion-MNIST, the second data set: real, and with no clutter to ignore."""
    return real_images("fashion_mnist", split, count)


TASKS = {
    "where": Task(
        cluttered_digits,
        slots=(*COMPARED, *_GATES, *_PARTS, *_NEIGHBOURS, *_KERNELS, "cbam_released", *SINCE),
        steps=1_000,
        varied={"fragments": (0, 6, 12, 18, 24)},
        keep={slot: f"host_{slot}" for slot in COMPARED | SINCE},
    ),
    "what": Task(
        cued_digits,
        classes=4,
        slots=(*COMPARED, *_GATES, *_PARTS, *_NEIGHBOURS, "cbam_released", *SINCE),
        keep={"squeeze_excitation_everywhere": "host_squeeze_excitation_everywhere"},
    ),
    "what_longer": Task(
        cued_digits,
        classes=4,
        slots=("none", "squeeze_excitation", "efficient_channel", *_NEIGHBOURS),
        steps=2_400,
        keep={"efficient_channel": "host_efficient_channel_cued"},
    ),
    "scale": Task(
        sized_digits,
        slots=(
            *COMPARED,
            *_KERNELS,
            "selective_kernel_everywhere",
            "even_kernels_everywhere",
            *SINCE,
        ),
        varied={"side": (10, 16, 22, 28, 34)},
        keep={"selective_kernel_everywhere": "host_selective_kernel_everywhere"},
    ),
    "long_range": Task(
        paired_digits,
        classes=2,
        slots=(*COMPARED, *_NEIGHBOURS, *SINCE),
        keep={"self_attention": "host_self_attention_pairs"},
    ),
    "long_range_longer": Task(
        paired_digits,
        classes=2,
        slots=tuple(slot for slot in COMPARED if slot.startswith("non_local")),
        steps=2_400,
    ),
    "fashion": Task(fashion, slots=(*COMPARED, "cbam_released", *SINCE), options={}),
}

# Images of each split, of a varied test, and those on which an untrained network is calibrated.
TRAINED, TESTED, VARIED, CALIBRATED = 12_000, 2_000, 1_000, 512
