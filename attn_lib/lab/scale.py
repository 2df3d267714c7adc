"""What lets one training run on one processor or on many, and go on after it was killed."""

import os
import pickle
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from accelerate import Accelerator
from jaxtyping import UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Dataset


@runtime_checkable
class Data(Protocol):
    """Anything with a length that gives a batch for a tensor of indices."""

    def __len__(self) -> int: ...

    def __getitem__(self, indices: Tensor, /) -> Any: ...


class Alone:
    """What `fit` asks of an `Accelerator`, in one process that trains the network where it lies."""

    num_processes, process_index, is_main_process = 1, 0, True
    mixed_precision, scaler = "no", None

    def prepare(self, *parts: Any) -> tuple:
        return parts

    def backward(self, value: Tensor) -> None:
        value.backward()

    def reduce(self, value: Tensor, reduction: str) -> Tensor:
        return value

    def gather(self, value: Tensor) -> Tensor:
        return value

    def unwrap_model(self, model: Any, **_: bool) -> Any:
        return model

    def free_memory(self) -> None:
        """There is nothing to free."""


def loaded(data: Data | Dataset, parts: Iterable, workers: int) -> Iterator[Any]:
    """`data[part]` for each of `parts`, read ahead by so many worker processes; 0 reads in this one."""
    loader = DataLoader(
        data,  # type: ignore[arg-type]
        sampler=parts,
        batch_size=None,
        num_workers=workers,
        generator=torch.Generator(),  # or it would draw a number from everybody's
    )
    # Begun here: parts may be seen but once, and a progress bar begins twice.
    return iter(loader)


class Shares(Dataset):
    """What one of several processes gets of each batch; asked by (step, indices of the whole batch).

    Random numbers that the data draw from torch (crops, mirror images) depend on seed, step and process
    alone: not on who loads them, nor on whether the run was killed before.

    Args:
        data: all of them.
        seed: of what the data draw.
        process: which, from 0.
        processes: how many there are.
    """

    def __init__(self, data: Data, seed: int, process: int, processes: int):
        self.data, self.seed = data, seed
        self.process, self.processes = process, processes

    def __getitem__(self, place: tuple[int, Tensor]) -> Any:
        step, indices = place
        entropy = (self.seed % 2**32, step, self.process)
        with torch.random.fork_rng(devices=[]):
            drawn = np.random.SeedSequence(entropy).generate_state(1)
            torch.default_generator.manual_seed(int(drawn[0]))
            return self.data[indices[self.process :: self.processes]]


def shuffled(
    length: int, batch_size: int, seed: int, start: int, stop: int
) -> Iterator[tuple[int, Tensor]]:
    """The steps from `start` to `stop` and their batches' indices: epoch after epoch, each in a new order.

    What is left of an epoch and fills no batch is left out.
    """

    def order() -> Iterator[Tensor]:
        generator = torch.Generator().manual_seed(seed)
        while True:
            epoch = torch.randperm(length, generator=generator)
            yield from epoch[: length - length % batch_size].split(batch_size)

    return islice(enumerate(order()), start, stop)


class Checkpoint:
    """All of a run that changes as it goes on, in one file, which is whole whenever the machine stops.

    Args:
        path: of the file; None keeps nothing.
        run: where the training runs.
        parts: the model, and what else has a `state_dict`, by name.
        settings: what was asked of the run.
    """

    def __init__(
        self,
        path: str | Path | None,
        run: Accelerator | Alone,
        parts: dict[str, Any],
        **settings: int | float,
    ):
        self.path, self.run = path and Path(path), run
        self.parts = parts | ({"scaler": run.scaler} if run.scaler else {})
        self.settings = settings | {
            "processes": run.num_processes,
            "precision": run.mixed_precision,
        }
        self.device = next(parts["model"].parameters()).device

    def resume(self) -> list[float]:
        """Put all back as it was when the file was written.

        Returns:
            the trace so far; none where there is no file.

        Raises:
            ValueError: the file is damaged, or of a run with other settings.
        """
        if not self.path or not self.path.is_file():
            return []
        try:
            held = torch.load(self.path, map_location="cpu", weights_only=True)
        except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
            raise ValueError(
                f"{self.path} is damaged or no checkpoint ({self.path.stat().st_size} bytes): {error}"
            ) from error
        begun = held["settings"]
        if begun != self.settings:
            raise ValueError(
                f"{self.path} was begun with {begun}; this is {self.settings}. Move it away to begin anew"
            )
        for name, part in self.parts.items():
            part.load_state_dict(held[name])
        _set_random(held["random"][self.run.process_index], self.device)
        return held["trace"]

    def save(self, trace: list[float]) -> None:
        """Write the file anew. Every process must call this; the first one writes."""
        if not self.path:
            return
        random = self.run.gather(_random(self.device).to(self.device)[None])
        if not self.run.is_main_process:
            return
        held = {name: part.state_dict() for name, part in self.parts.items()}
        beside = self.path.with_name(f"{self.path.name}.part")
        torch.save(
            held | {"settings": self.settings, "trace": trace, "random": random.cpu()}, beside
        )
        os.replace(beside, self.path)


def _random(device: torch.device) -> UInt8[Tensor, " n"]:
    """The state of torch's random numbers: the processor's, then the GPU's."""
    state = torch.get_rng_state()
    on_gpu = device.type == "cuda"
    return torch.cat([state, torch.cuda.get_rng_state(device)]) if on_gpu else state


def _set_random(state: UInt8[Tensor, " n"], device: torch.device) -> None:
    of_cpu = len(torch.get_rng_state())
    torch.set_rng_state(state[:of_cpu].clone())  # torch crashes on a view
    if device.type == "cuda":
        torch.cuda.set_rng_state(state[of_cpu:].clone(), device)
