"""What lets one training run in one process or in many: who gets which part of each batch."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    default_collate,
)

from ..data import Pictures


@runtime_checkable
class Data(Protocol):
    """Anything with a length that gives a batch for a tensor of indices."""

    def __len__(self) -> int: ...

    def __getitem__(self, indices: Tensor, /) -> Any: ...


WANTED = (
    "fit wants images with labels: LocatedImages, attn_lib.data.folder(path), or a Dataset or DataLoader of "
    "(image, label) pairs; with a loss of your own, anything that gives a batch for a tensor of indices"
)


def batched(data: Any) -> Data:
    """The data as batches: (image, label) pairs of a Dataset, a DataLoader or a list as `Pictures`.

    Raises:
        ValueError: they are neither pairs nor give a batch for indices, or a DataLoader draws in a way of its own.
    """
    if isinstance(data, DataLoader):
        usual = isinstance(data.sampler, RandomSampler | SequentialSampler)
        if not usual or data.batch_size is None or data.collate_fn is not default_collate:
            raise ValueError(
                "fit draws the order by its seed, and takes dataset, batch_size and num_workers of a DataLoader; "
                f"this one has a {type(data.sampler).__name__}, batch_size={data.batch_size} and "
                f"collate_fn={data.collate_fn.__name__}: give fit the dataset itself"
            )
        data = data.dataset
    if isinstance(data, IterableDataset):
        raise ValueError(f"{WANTED}; got an IterableDataset, which has no order to draw")
    if isinstance(data, tuple) and all(isinstance(part, Tensor) for part in data):
        raise ValueError(f"{WANTED}; of a tuple of tensors make TensorDataset(images, labels)")
    if isinstance(data, tuple | str | Mapping) or not isinstance(data, Data):
        raise ValueError(f"{WANTED}; got a {type(data).__name__}")
    return Pictures(data) if isinstance(data, Dataset | list) else data  # type: ignore[arg-type]


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
