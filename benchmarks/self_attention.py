"""Speed and memory of SelfAttention2d beside the plain softmax form, in one interleaved run.

    python benchmarks/self_attention.py [--threads 2] [--seconds 10] [--shapes 1x64x64x64 ...]

Prints one table: times, the memory that one forward and backward pass adds to a process of its own, and how
many times slower or larger the plain form is (for times, the ratio of neighbouring runs: what else the machine
does disturbs both).
"""

import argparse
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from attn_lib import SelfAttention2d

SHAPES = ("128x512x7x7", "32x256x14x14", "1x64x64x64", "1x64x128x128")


class Plain(SelfAttention2d):
    """The same weights, used as the equation reads: three convolutions, all scores, softmax, sum."""

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (part(x).flatten(2) for part in (self.query, self.key, self.value))
        weights = torch.softmax(torch.bmm(query.mT, key), dim=-1)
        attended = torch.bmm(value, weights.mT).view_as(x)
        return self.gamma * attended + x


FORMS = {"ours": SelfAttention2d, "plain": Plain}


def made(form: str, shape: tuple[int, ...]) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    module = FORMS[form](shape[1])
    nn.init.ones_(module.gamma)
    return module, torch.randn(shape, requires_grad=True)


def forward(module: nn.Module, x: Tensor) -> None:
    with torch.no_grad():
        module(x)


def both(module: nn.Module, x: Tensor) -> None:
    module(x).sum().backward()


def timed(step: Callable, shape: tuple[int, ...], seconds: float) -> dict[str, np.ndarray]:
    """Seconds of each form's runs; the forms take turns, so that what disturbs one disturbs the other."""
    subjects = {form: made(form, shape) for form in FORMS}
    for module, x in subjects.values():
        step(module, x)
    times = {form: [] for form in FORMS}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times["plain"]) < 5:
        for form, (module, x) in subjects.items():
            start = time.perf_counter()
            step(module, x)
            times[form].append(time.perf_counter() - start)
    return {form: np.array(runs) for form, runs in times.items()}


def resident(what: str) -> float:
    """MB of this process: now (VmRSS) or at its highest so far (VmHWM)."""
    return (
        int(re.search(rf"{what}:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1e3
    )


def print_peak(form: str, shape: tuple[int, ...]) -> None:
    """MB that the first pass over `shape` adds, to a process that has made a pass over a small map."""
    both(*made(form, (1, shape[1], 16, 16)))
    subject = made(form, shape)
    before = resident("VmRSS")
    both(*subject)
    print(round(resident("VmHWM") - before, 1))


def peak(form: str, shape: str, threads: int) -> float:
    command = [sys.executable, __file__, "--peak", form, shape, "--threads", str(threads)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def cell(values: np.ndarray, digits: int = 1) -> str:
    low, middle, high = np.percentile(values, (25, 50, 75))
    return f"{middle:.{digits}f} ± {(high - low) / 2:.{digits}f}"


def table(shapes: list[str], threads: int, seconds: float) -> None:
    print(
        f"{platform.machine()}, {processor()}, {threads} threads, torch {torch.__version__}, float32"
    )
    print(
        "Times in ms and their ratio: median ± half the distance between quartiles. Memory in MB.\n"
    )
    print("| shape | measured | ours | plain | plain / ours |\n|---|---|---|---|---|")
    for shape in shapes:
        for name, step in {"forward": forward, "forward + backward": both}.items():
            times = timed(step, numbers(shape), seconds)
            ours, plain = 1e3 * times["ours"], 1e3 * times["plain"]
            print(
                f"| {shape} | {name} | {cell(ours)} | {cell(plain)} | {cell(plain / ours, 2)} |",
                flush=True,
            )
        ours, plain = (peak(form, shape, threads) for form in FORMS)
        print(
            f"| {shape} | extra memory | {ours:.0f} | {plain:.0f} | {plain / ours:.2f} |",
            flush=True,
        )


def processor() -> str:
    return re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())[1]


def numbers(shape: str) -> tuple[int, ...]:
    return tuple(map(int, shape.split("x")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--shapes", nargs="+", default=SHAPES, metavar="BxCxHxW")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seconds", type=float, default=10, help="for each time in the table")
    parser.add_argument(
        "--peak",
        nargs=2,
        metavar=("FORM", "SHAPE"),
        help="print only the extra memory of one form",
    )
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.peak:
        print_peak(args.peak[0], numbers(args.peak[1]))
    else:
        table(args.shapes, args.threads, args.seconds)


if __name__ == "__main__":
    main()
