"""Speed and memory of every mechanism beside what others wrote, in one interleaved run.

    python benchmarks/mechanisms.py [--only cbam ...] [--threads 1 2] [--seconds 3] [--autocast] [--shapes 1x64x64x64 ...]

Prints one table for each number of threads: times, and how long ours takes in units of the fastest other form (the
ratio of neighbouring runs: what else the machine does disturbs both). With --memory, also what one forward and
backward pass adds to a process of its own.
"""

import argparse
import ctypes
import json
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from peers import FORMS, Copy, too_large
from torch import Tensor, nn

SHAPES = ("128x512x7x7", "32x256x14x14", "8x64x56x56")


DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def made(
    mechanism: str, form: str, shape: tuple[int, ...], device: str = "cpu"
) -> tuple[nn.Module, Tensor]:
    """The form with all that starts at 0 set to 1, or it would compute less."""
    torch.manual_seed(0)
    module = Copy() if form == "copy" else FORMS[mechanism][form](shape[1])
    for parameter in module.parameters():
        if not parameter.any():
            nn.init.ones_(parameter)
    return module.to(device), torch.randn(shape, device=device, requires_grad=True)


def forward(module: nn.Module, x: Tensor) -> None:
    with torch.no_grad():
        module.eval()(x)


def both(module: nn.Module, x: Tensor) -> None:
    module.train()(x).sum().backward()


WAYS = {"forward": forward, "forward + backward": both}


def timed(
    mechanism: str, step: Callable, shape: tuple[int, ...], seconds: float
) -> dict[str, np.ndarray]:
    """Seconds of each form's runs; the forms take turns, so that what disturbs one disturbs the others."""
    forms = [form for form in FORMS[mechanism] if not too_large(mechanism, form, shape)]
    forms.append("copy")
    subjects = {form: made(mechanism, form, shape, DEVICE) for form in forms}
    for module, x in subjects.values():
        step(module, x)
    times = {form: [] for form in forms}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times["ours"]) < 5:
        for form in forms:
            settle()
            start = time.perf_counter()
            step(*subjects[form])
            settle()
            times[form].append(time.perf_counter() - start)
        forms.append(forms.pop(0))  # who runs after whom matters: each in turn comes first
    return {form: np.array(runs) for form, runs in times.items()}


def keep_freed_memory() -> None:
    """Have glibc reuse what was freed: else whose tensors the kernel takes back, and must fill with zeros
    again, is chance, and it decides between two forms that do the same."""
    trim_threshold, mmap_threshold = -1, -3  # their numbers in malloc.h
    libc = ctypes.CDLL(None)
    for parameter in (trim_threshold, mmap_threshold):
        if not libc.mallopt(parameter, 2**30):
            raise OSError(f"mallopt refused parameter {parameter}")


def settle() -> None:
    """Wait for the GPU, which works on after a call has returned."""
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def resident(what: str) -> float:
    """MB of this process: now (VmRSS) or at its highest so far (VmHWM)."""
    return (
        int(
            re.search(
                rf"{what}:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8")
            )[1]
        )
        / 1e3
    )


def print_peak(mechanism: str, form: str, shape: tuple[int, ...]) -> None:
    """MB that the first pass over `shape` adds, to a process that has made a pass over a small map."""
    both(*made(mechanism, form, (2, shape[1], 16, 16)))
    subject = made(mechanism, form, shape)
    before = resident("VmRSS")
    both(*subject)
    print(round(resident("VmHWM") - before, 1))


def peak(mechanism: str, form: str, shape: str) -> float:
    command = [sys.executable, __file__, "--peak", mechanism, form, shape]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def cell(values: np.ndarray, digits: int = 1) -> str:
    low, middle, high = np.percentile(values, (25, 50, 75))
    return f"{middle:.{digits}f} ± {(high - low) / 2:.{digits}f}"


def table(mechanisms: list[str], shapes: list[str], seconds: float) -> list[dict]:
    """Times in ms, a row for each mechanism, shape and direction; then the geometric means of the ratios.

    The fastest other is somebody else's; "plain", our own writing of the equation, stands in where nobody else
    has it, and does not count in the means. "ours / copy" counts plain copies of the features: a gate has to
    read them twice and write them once.
    """
    print("Times in ms and their ratio: median ± half the distance between quartiles.\n")
    print(
        "| mechanism | shape | measured | ours | fastest other | ours / it | ours / copy | the rest |"
    )
    print("|---" * 8 + "|")
    rows = []
    for mechanism in mechanisms:
        for shape in shapes:
            for name, step in WAYS.items():
                times = timed(mechanism, step, numbers(shape), seconds)
                ours, copy = times.pop("ours"), times.pop("copy")
                first, *rest = sorted(
                    times, key=lambda form: (form == "plain", np.median(times[form]))
                )
                ratio = ours / times[first]
                others = ", ".join(
                    f"{form} {1e3 * np.median(times[form]):.1f}" for form in rest
                )
                print(
                    f"| {mechanism} | {shape} | {name} | {cell(1e3 * ours)} | "
                    f"{first} {cell(1e3 * times[first])} | {cell(ratio, 2)} | {np.median(ours / copy):.1f} | {others} |",
                    flush=True,
                )
                quartiles = [round(value, 3) for value in np.percentile(ratio, (25, 50, 75))]
                rows.append(
                    {
                        "mechanism": mechanism,
                        "shape": shape,
                        "measured": name,
                        "threads": torch.get_num_threads(),
                        "fastest_other": first,
                        "counts": first != "plain",
                        "ratio": quartiles,
                        "copies": round(float(np.median(ours / copy)), 2),
                    }
                )
    print("\nGeometric means of ours / fastest other.\n")
    print("| mechanism | forward | forward + backward |\n|---|---|---|")
    for name in [*mechanisms, "all"]:
        of = [row for row in rows if row["counts"] and name in (row["mechanism"], "all")]
        if of:
            ways = (mean([r["ratio"][1] for r in of if r["measured"] == way]) for way in WAYS)
            print(f"| {name} | {' | '.join(f'{way:.2f}' for way in ways)} |")
    return rows


def memory(mechanisms: list[str], shapes: list[str]) -> list[dict]:
    """MB that each form adds, a row for each mechanism and shape."""
    print("\nMB that one forward and backward pass adds to a process of its own.\n")
    print("| mechanism | shape | ours | others |\n|---|---|---|---|")
    rows = []
    for mechanism in mechanisms:
        for shape in shapes:
            forms = [
                form
                for form in FORMS[mechanism]
                if not too_large(mechanism, form, numbers(shape))
            ]
            added = {form: peak(mechanism, form, shape) for form in forms}
            rows.append({"mechanism": mechanism, "shape": shape, "megabytes": added})
            ours, *rest = (f"{form} {value:.0f}" for form, value in added.items())
            print(f"| {mechanism} | {shape} | {ours} | {', '.join(rest)} |", flush=True)
    return rows


def mean(ratios: list[float]) -> float:
    return float(np.exp(np.mean(np.log(ratios))))


def processor() -> str:
    return re.search(
        r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8")
    )[1]


def numbers(shape: str) -> tuple[int, ...]:
    return tuple(map(int, shape.split("x")))


def keep(result: dict, file: Path | None) -> None:
    if file:
        file.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--only",
        nargs="+",
        default=list(FORMS),
        choices=FORMS,
        metavar="MECHANISM",
        help="which",
    )
    parser.add_argument(
        "--shapes", nargs="+", default=SHAPES, metavar="BxCxHxW", help="of the features"
    )
    parser.add_argument(
        "--threads",
        type=int,
        nargs="+",
        default=(1, torch.get_num_threads()),
        help="of PyTorch",
    )
    parser.add_argument("--autocast", action="store_true", help="in bfloat16")
    parser.add_argument("--seconds", type=float, default=3, help="for each row of the table")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the ratios there too")
    parser.add_argument("--memory", action="store_true", help="measure memory too")
    parser.add_argument(
        "--peak",
        nargs=3,
        metavar=("MECHANISM", "FORM", "SHAPE"),
        help="print only the extra memory of one form",
    )
    args = parser.parse_args()
    if args.peak:
        mechanism, form, shape = args.peak
        print_peak(mechanism, form, numbers(shape))
        return
    keep_freed_memory()
    machine = f"{platform.machine()}, {processor()}"
    if DEVICE == "cuda":
        machine += f", {torch.cuda.get_device_name()}"
    precision = "autocast to bfloat16" if args.autocast else "float32"
    print(f"{machine}, torch {torch.__version__}, {precision}")
    rows = []
    for threads in args.threads:
        torch.set_num_threads(threads)
        print(f"\n{threads} threads\n")
        with torch.autocast(DEVICE, torch.bfloat16, enabled=args.autocast):
            rows += table(args.only, args.shapes, args.seconds)
    result = {
        "machine": machine,
        "torch": torch.__version__,
        "precision": precision,
        "date": time.strftime("%Y-%m-%d"),
        "rows": rows,
    }
    keep(result, args.json)  # memory takes as long again, and may be stopped
    if args.memory:
        result["memory"] = memory(args.only, args.shapes)
        keep(result, args.json)


if __name__ == "__main__":
    main()
