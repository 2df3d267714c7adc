"""What lets a training go on after it was killed."""

import os
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from jaxtyping import UInt8
from torch import Tensor

from .processes import Alone


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

        A run that is asked for more steps than before goes on too, where the rate is so far what it would
        have been with all these steps from the start: stairs are, a cosine to the last step is not.

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
        begun, trace = held["settings"], held["trace"]
        steps = {"steps": self.settings["steps"]}
        longer = begun["steps"] < steps["steps"] and begun | steps == self.settings
        if begun != self.settings and not longer:
            raise ValueError(
                f"{self.path} was begun with {begun}; this is {self.settings}. Move it away to begin anew"
            )
        if longer:
            self._lengthen(len(trace), held["schedule"]["_last_lr"])
        for name, part in self.parts.items():
            if not (longer and name == "schedule"):
                part.load_state_dict(held[name])
        _set_random(held["random"][self.run.process_index], self.device)
        return trace

    def _lengthen(self, steps: int, rates: list[float]) -> None:
        """Bring the schedule of a longer run to where a shorter one is, or refuse where the rates differ."""
        schedule = self.parts["schedule"]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that no optimiser steps: it has stepped, before
            for _ in range(steps):
                schedule.step()
        if not np.allclose(wanted := schedule.get_last_lr(), rates, rtol=1e-6, atol=0):
            raise ValueError(
                f"{self.path} has a learning rate of {rates} after {steps} steps; a run of "
                f"{self.settings['steps']} would have {wanted} there, so this one cannot be lengthened. Give "
                "optimise a schedule that does not depend on the number of steps, or move the file away"
            )

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
