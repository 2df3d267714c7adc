"""One network, every mechanism: the same training on tasks that want different things of attention.

    python -m attn_lib.lab.comparison
    python -m attn_lib.lab.comparison where scale

makes evidence/compare_<task>.json of all tasks, or of some: five seeds of each slot, and checkpoints of those
networks of seed 0 that a task keeps. What is there already is not made again: a run that was stopped goes on.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ..data import (
    LocatedImages,
    cluttered_digits,
    cued_digits,
    paired_digits,
    real_images,
    sized_digits,
)
from ..instruments.recording import record
from . import zoo
from .commands import EVIDENCE, add_folder, as_given, command
from .networks import HostCNN
from .runs import collect
from .training import accuracy, evaluate, fit, machine

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
# What single chapters ask: a gate that starts loud and learns, a module behind every convolution, CBAM in parts
# and in other orders, efficient channel attention whose neighbours are drawn by lot, or none.
SLOTS: dict[str, dict[str, Any]] = COMPARED | {
    "loud_gate": {"slot": "loud_gate"},
    "squeeze_excitation_everywhere": {"slot": "squeeze_excitation", "everywhere": True},
    "selective_kernel_everywhere": {"slot": "selective_kernel", "everywhere": True},
    "channel_gate": {"slot": "channel_gate"},
    "spatial_gate": {"slot": "spatial_gate"},
    "positions_first": {"slot": "positions_first"},
    "parallel": {"slot": "parallel"},
    "shuffled_channels": {"slot": "shuffled_channels"},
    "no_neighbours": {"slot": "efficient_channel", "kernel_size": 1},
}


@torch.no_grad()
def largest_kernel(model: HostCNN, data: LocatedImages) -> float | list[float]:
    """The share of the largest kernel, averaged over images and channels: the paper's figure 3.

    Where every convolution has a slot, that of each, from the first to the last.
    """
    with record(model) as maps:
        model(data.images)
    shares = [shares[:, -1].mean().item() for shares in maps.values()]
    return shares if len(shares) > 1 else shares[0]


# What is read beside the scores: a parameter of the slot, over the training; whatever of the network, on varied tests.
FOLLOWED = {"self_attention": "gamma"}
PROBES: dict[str, dict[str, Callable[[HostCNN, LocatedImages], Any]]] = {
    slot: {"largest_kernel": largest_kernel}
    for slot in ("selective_kernel", "selective_kernel_everywhere")
}

_GATES = ("loud_gate", "squeeze_excitation_everywhere")
_PARTS = ("channel_gate", "spatial_gate", "positions_first", "parallel")
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
        slots=(*COMPARED, *_GATES, *_PARTS, *_NEIGHBOURS),
        steps=1_000,
        varied={"fragments": (0, 6, 12, 18, 24)},
        keep={slot: f"host_{slot}" for slot in COMPARED},
    ),
    "what": Task(
        cued_digits,
        classes=4,
        slots=(*COMPARED, *_GATES, *_PARTS, *_NEIGHBOURS),
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
        slots=(*COMPARED, "selective_kernel_everywhere"),
        varied={"side": (10, 16, 22, 28, 34)},
        keep={"selective_kernel_everywhere": "host_selective_kernel_everywhere"},
    ),
    "long_range": Task(paired_digits, classes=2, slots=(*COMPARED, *_NEIGHBOURS)),
    "long_range_longer": Task(
        paired_digits,
        classes=2,
        slots=tuple(slot for slot in COMPARED if slot.startswith("non_local")),
        steps=2_400,
    ),
    "fashion": Task(fashion, options={}),
}
BATCH = 64
TRAINED, TESTED, VARIED = 12_000, 2_000, 1_000  # images


def run(task: str, slot: str, seed: int, steps: int | None = None) -> tuple[HostCNN, dict]:
    """Train the host with `slot` from `seed` and score it on the test split, before and after.

    A seed fixes the order of the images and all weights outside the slot.

    Args:
        task: one of `TASKS`.
        slot: one of `SLOTS`.
        seed: of the weights and of the order of the images.
        steps: of training; None takes the task's own.

    Returns:
        the network, and what it scored and cost: `parameters` are those that learn, `multiply_adds` those of
        matrix products and convolutions for one image, `cpu_seconds` those of the training.
    """
    about = TASKS[task]
    steps = steps or about.steps
    torch.manual_seed(seed)
    model = HostCNN(num_classes=about.classes, **SLOTS[slot])
    train, test = about.data("train", TRAINED), about.data("test", TESTED, **about.options)
    untrained = evaluate(model, test)
    seconds, trace = _train(model, train, steps, seed, FOLLOWED.get(slot))
    result: dict[str, Any] = {"slot": slot, "seed": seed, "steps": steps}
    result |= {"cpu_seconds": seconds} | count_work(model, test)
    result |= evaluate(model, test) | {"untrained": untrained}
    result |= _vary(model, about, PROBES.get(slot, {}))
    return model, result | trace


def _train(
    model: HostCNN, data: LocatedImages, steps: int, seed: int, followed: str | None
) -> tuple[float, dict[str, Any]]:
    """The processor's seconds that it took, and every tenth value of the slot's parameter that is followed."""
    watch = (lambda model: model.get_parameter(f"slot.{followed}").item()) if followed else None
    start = time.process_time()
    values = fit(
        model, data, steps=steps, batch_size=BATCH, seed=seed, progress=False, watch=watch
    )
    seconds = round(time.process_time() - start, 1)
    return seconds, {followed: {"every": 10, "values": values[::10]}} if followed else {}


def _vary(
    model: HostCNN, about: Task, probes: dict[str, Callable[..., Any]]
) -> dict[str, dict[str, Any]]:
    """Accuracy, and what probes read, on tests whose data differ in one argument."""
    found: dict[str, dict[str, Any]] = {}
    for argument, values in about.varied.items():
        for value in values:
            data = about.data("test", VARIED, seed=1, **{argument: value})
            found.setdefault(argument, {})[str(value)] = accuracy(model, data)
            for name, probe in probes.items():
                found.setdefault(name, {})[str(value)] = probe(model, data)
    return found


def count_work(model: nn.Module, data: LocatedImages) -> dict[str, int]:
    """Parameters that learn, and multiply-adds for one image: half of PyTorch's count of FLOPs.

    What is no matrix product or convolution is not counted, such as the sorting and the running sums with
    which `NonLocal` concatenates.
    """
    learned = sum(p.numel() for p in model.parameters() if p.requires_grad)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(data.images[:1])
    return {"parameters": learned, "multiply_adds": counter.get_total_flops() // 2}


def compare(
    task: str,
    slots: Iterable[str] | None = None,
    seeds: int = 5,
    *,
    steps: int | None = None,
    folder: str | Path = EVIDENCE,
    progress: bool = True,
    asked: str | None = None,
) -> dict[str, Any]:
    """Run a task for all slots from seed 0, then from seed 1, …; each, once done, is in `compare_<task>.json`.

    Killed and called again, it goes on where it was, and ends with the same numbers. Of the slots that the
    task keeps, the networks of seed 0 become checkpoints.

    Args:
        task: one of `TASKS`.
        slots: some of `SLOTS`; None takes the task's own.
        seeds: how many.
        steps: of training; None takes the task's own.
        folder: where the results go; made where it is not there.
        progress: whether to show bars.
        asked: the command or the call that the file shall name; None names this call.

    Returns:
        what the file holds.

    Raises:
        ValueError: no such task or slot, or the file was begun with other steps or on another machine.
    """
    if task not in TASKS:
        raise ValueError(f"no task {task!r}; there are {', '.join(TASKS)}")
    slots = TASKS[task].slots if slots is None else tuple(slots)
    if unknown := [slot for slot in slots if slot not in SLOTS]:
        raise ValueError(f"no slots {', '.join(unknown)}; there are {', '.join(SLOTS)}")
    path, about = Path(folder) / f"compare_{task}.json", TASKS[task]
    made: dict[str, Any] = {
        "command": asked or f"compare({task!r}, {[*slots]}, {seeds}, steps={steps})",
        "steps": steps or about.steps,
        "batch_size": BATCH,
    } | machine()

    def one(slot: str, seed: int) -> dict[str, Any]:
        model, result = run(task, slot, seed, steps)
        if slot in about.keep and seed == 0:
            arguments = SLOTS[slot] | {"num_classes": about.classes}
            card = {"network": "HostCNN", "arguments": arguments, "task": task}
            kept = path.with_name(f"{about.keep[slot]}.safetensors")
            zoo.save(model, kept, card | made | result)
        return result

    return collect(path, made, slots, seeds, one, called="slot", progress=progress)


def main() -> None:
    parser = command(__doc__)
    parser.add_argument("tasks", nargs="*", default=[*TASKS], help="which to run")
    parser.add_argument("--slots", nargs="+", choices=SLOTS, help="in place of the task's own")
    parser.add_argument("--seeds", type=int, default=5, help="how many, from 0")
    parser.add_argument("--steps", type=int, help="in place of the task's own")
    add_folder(parser)
    args = parser.parse_args()
    for task in args.tasks:
        asked = as_given("attn_lib.lab.comparison")
        compare(task, args.slots, args.seeds, steps=args.steps, folder=args.folder, asked=asked)


if __name__ == "__main__":
    main()
