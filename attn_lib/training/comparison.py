"""Compare mechanisms: one host, one task, several seeds, everything else equal."""

import json
import os
import platform
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode
from tqdm.auto import tqdm

from .. import zoo
from ..networks import HostCNN
from .fitting import fit
from .scoring import evaluate
from .tasks import TASKS, Task

HOSTS: dict[str, dict[str, str]] = {
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
BATCH = 64


def run(
    task: str, slot: str, seed: int, steps: int | None = None, progress: bool = True
) -> tuple[HostCNN, dict[str, Any]]:
    """Train the host with `slot` from `seed` and score it on the test split, before and after.

    A seed fixes the order of the images and all weights outside the slot.

    Args:
        task: one of `TASKS`.
        slot: one of `HOSTS`.
        seed: of the weights and of the order of the images.
        steps: of training; None takes the task's own.
        progress: whether to show a bar.

    Returns:
        the network, and what it scored, what it cost and how long it took: `multiply_adds` are those of
        matrix products and convolutions for one image; `seconds` passed while training, `cpu_seconds` the
        processor worked on it.
    """
    doing = TASKS[task]
    model = _host(slot, seed, doing)
    train, test = doing.data("train"), doing.data("test")
    untrained = evaluate(model, test)
    wakes = "gamma" in dict(model.slot.named_parameters())
    start, worked = time.perf_counter(), time.process_time()
    gamma = fit(
        model,
        train,
        steps=steps or doing.steps,
        batch_size=BATCH,
        seed=seed,
        progress=progress,
        watch=_gamma if wakes else None,
    )
    result = {
        "slot": slot,
        "seed": seed,
        "seconds": round(time.perf_counter() - start, 1),
        "cpu_seconds": round(time.process_time() - worked, 1),
        "parameters": sum(p.numel() for p in model.parameters()),
        "multiply_adds": multiply_adds(model, tuple(test.images.shape[2:])),
    }
    result |= evaluate(model, test) | doing.measure(model) | {"untrained": untrained}
    if wakes:
        result["gamma"] = {"every": 10, "values": gamma[::10]}
    return model, _rounded(result)


def _host(slot: str, seed: int, task: Task) -> HostCNN:
    torch.manual_seed(seed)
    return HostCNN(num_classes=task.classes, **HOSTS[slot])


def _gamma(model: torch.nn.Module) -> float:
    return model.get_parameter("slot.gamma").item()


def _rounded(value: Any) -> Any:
    """Floats to five digits, wherever they are."""
    if isinstance(value, dict):
        return {key: _rounded(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_rounded(part) for part in value]
    return round(value, 5) if isinstance(value, float) else value


def multiply_adds(model: HostCNN, image: tuple[int, ...]) -> int:
    """Of the matrix products and convolutions that run for one image: half of PyTorch's count of FLOPs.

    Elementwise work, sorting and sums, with which `NonLocal` concatenates, are not counted.
    """
    like = next(model.parameters())
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 3, *image, device=like.device))
    return counter.get_total_flops() // 2


def compare(
    task: str,
    slots: Iterable[str] = tuple(HOSTS),
    seeds: int = 5,
    *,
    steps: int | None = None,
    folder: Path = zoo.WEIGHTS,
    progress: bool = True,
) -> dict[str, Any]:
    """Run a task for all slots from seed 0, then from seed 1, …; each run is in folder/`task`.json once done.

    Killed and called again, it goes on where it was, and ends with the same numbers. Where the task keeps
    its networks, those of seed 0 become checkpoints.

    Args:
        task: one of `TASKS`.
        slots: some of `HOSTS`.
        seeds: how many.
        steps: of training; None takes the task's own.
        folder: where the results go.
        progress: whether to show bars.

    Returns:
        what the file holds.

    Raises:
        ValueError: no such task or slot, or the file was begun with other steps or on another machine.
    """
    if task not in TASKS:
        raise ValueError(f"no task {task!r}; there are {', '.join(TASKS)}")
    slots = list(slots)
    if unknown := [slot for slot in slots if slot not in HOSTS]:
        raise ValueError(f"no slots {', '.join(unknown)}; there are {', '.join(HOSTS)}")
    path, doing = folder / f"{task}.json", TASKS[task]
    made = {
        "command": f"python -m attn_lib.training compare {task}",
        "steps": steps or doing.steps,
        "batch_size": BATCH,
    } | machine()
    results = json.loads(path.read_text()) if path.is_file() else made | {"runs": []}
    if begun := {key: results.get(key) for key in made if results.get(key) != made[key]}:
        now = {key: made[key] for key in begun}
        raise ValueError(
            f"{path} was begun with {begun}; this is {now}. Move it away to begin anew"
        )
    done = {(run["slot"], run["seed"]) for run in results["runs"]}
    todo = [(slot, seed) for seed in range(seeds) for slot in slots if (slot, seed) not in done]
    for slot, seed in tqdm(todo, desc=task, disable=not progress):
        model, result = run(task, slot, seed, steps, progress)
        if doing.keep and seed == 0:
            card = {"network": "HostCNN", "arguments": HOSTS[slot], "data": task}
            zoo.save(model, folder / f"host_{slot}.safetensors", card | made | result)
        results["runs"].append(result)
        _replace(path, results)
    return results


def _replace(path: Path, results: dict) -> None:
    """Write a file that is whole whenever the machine stops."""
    beside = path.with_suffix(".part")
    beside.write_text(json.dumps(results, indent=1) + "\n")
    os.replace(beside, path)


def machine() -> dict[str, str]:
    """Where and with what a result was made."""
    device = (
        torch.cuda.get_device_name()
        if torch.cuda.is_available()
        else f"{torch.get_num_threads()} CPU threads"
    )
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "machine": f"{platform.machine()}, {device}",
    }
