"""One network, every mechanism: the same training on tasks that want different things of attention.

    python -m attn_lib.lab.comparison
    python -m attn_lib.lab.comparison where scale

makes evidence/compare_<task>.json of all tasks, or of some: five seeds of each slot, and checkpoints of those
networks of seed 0 that a task keeps. What is there already is not made again: a run that was stopped goes on.
"""

import copy
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ..data import LocatedImages
from ..instruments.localisation import localise
from ..instruments.recording import record
from ..mixed import CBAM
from . import zoo
from .ablations import ABLATIONS
from .commands import EVIDENCE, add_folder, as_given, command
from .networks import HostCNN
from .runs import collect, machine
from .scoring import accuracy, calibrate, evaluate
from .tasks import CALIBRATED, SLOTS, TASKS, TESTED, TRAINED, VARIED, Task
from .training import fit


@torch.no_grad()
def largest_kernel(model: HostCNN, data: LocatedImages) -> float | list[float]:
    """The share of the largest kernel, averaged over images and channels: the paper's figure 3.

    Where every convolution has a slot, that of each, from the first to the last.
    """
    with record(model) as maps:
        model(data.images)
    shares = [shares[:, -1].mean().item() for shares in maps.values()]
    return shares if len(shares) > 1 else shares[0]


@torch.no_grad()
def stages(model: HostCNN, data: LocatedImages) -> dict[str, dict[str, float]]:
    """How far what passes through CBAM lies on the object: x, x′, which its spatial gate reads, the gate, and y.

    Features are averaged over their channels. Of a network without a module there is x alone.

    Returns:
        for each of them the measures of `localise`; nothing where nobody knows the places.
    """
    if data.boxes is None:
        return {}
    x = model.features(data.images)
    maps = {"x": x.mean(1)}
    if isinstance(model.slot, CBAM):
        left = model.slot.channel(x)
        gate = model.slot.spatial.attention(left)[:, 0]
        maps |= {"x′": left.mean(1), "gate": gate, "y": left.mean(1) * gate}
    image = tuple(data.images.shape[2:])
    return {name: asdict(localise(each, data.boxes, image)) for name, each in maps.items()}


# What is read before the training and after it.
READ: dict[str, dict[str, Callable[[Any, LocatedImages], Any]]] = {
    slot: {"stages": stages} for slot in ("cbam", "none")
}
# What is read beside the scores: a parameter of the slot, over the training; whatever of the network, on varied tests.
FOLLOWED = {"self_attention": "gamma"}
PROBES: dict[str, dict[str, Callable[[HostCNN, LocatedImages], Any]]] = {
    slot: {"largest_kernel": largest_kernel}
    for slot in ("selective_kernel", "selective_kernel_everywhere")
}

BATCH = 64


def run(task: str, slot: str, seed: int, steps: int | None = None) -> tuple[HostCNN, dict]:
    """Train the host with `slot` from `seed` and score it on the test split, before, by `calibrate`, and after.

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
    fresh = calibrate(copy.deepcopy(model), about.data("train", CALIBRATED))
    untrained = evaluate(fresh, test) | _read(slot, fresh, test)
    seconds, trace = _train(model, train, steps, seed, FOLLOWED.get(slot))
    result: dict[str, Any] = {"slot": slot, "seed": seed, "steps": steps}
    result |= {"cpu_seconds": seconds} | count_work(model, test)
    result |= evaluate(model, test) | {"untrained": untrained} | _read(slot, model, test)
    result |= {name: measure(model, test) for name, measure in ABLATIONS.get(slot, {}).items()}
    result |= _vary(model, about, PROBES.get(slot, {}))
    return model, result | trace


def _read(slot: str, model: nn.Module, data: LocatedImages) -> dict[str, Any]:
    return {name: measure(model, data) for name, measure in READ.get(slot, {}).items()}


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
