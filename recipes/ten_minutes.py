"""A small ResNet without a mechanism and with it, from the same seeds: what does it add, and is that more than luck?

NOT RUN on a GPU: ten minutes is an estimate. A test takes its first steps.

    python recipes/ten_minutes.py efficient_channel data
    python recipes/ten_minutes.py cbam data --after "layer[34].*.bn2" --seeds 5

The same command goes on where it was stopped. CIFAR-100 is downloaded into the folder; it wants torchvision.
"""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from accelerate import Accelerator
from resnet50 import CLASSES, Recipe, build, pictures

from attn_lib import available, insert
from attn_lib.lab.commands import add_folder, command
from attn_lib.lab.runs import collect, machine
from attn_lib.lab.scoring import accuracy
from attn_lib.lab.statistics import differences
from attn_lib.lab.training import fit

BATCH = 128


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = command(__doc__)
    parser.add_argument("mechanism", choices=available(), help="what to add")
    parser.add_argument("folder", type=Path, help="where the pictures are")
    parser.add_argument(
        "--data", choices=("cifar100", "random"), default="cifar100", help="which"
    )
    parser.add_argument("--network", default="resnet18", help="a ResNet of torchvision")
    parser.add_argument(
        "--after", default="layer?.*.bn2", help="its place; of a ResNet-50, bn3"
    )
    parser.add_argument("--epochs", type=int, default=10, help="passes over the pictures")
    parser.add_argument("--seeds", type=int, default=2, help="pairs of networks")
    parser.add_argument("--batch-size", type=int, default=BATCH, help="pictures a step")
    parser.add_argument("--workers", type=int, default=2, help="processes that read")
    add_folder(parser, "--out", default=".")
    return parser.parse_args(arguments)


def precision() -> str:
    """bfloat16 where the GPU has it, else float16; on a processor, float32."""
    if not torch.cuda.is_available():
        return "no"
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"


def train(args: argparse.Namespace, slot: str, seed: int) -> dict:
    """One network. Those of one seed begin alike, but for what is inserted, and see the same pictures."""
    training, test = (pictures(args.data, args.folder, part) for part in (True, False))
    torch.manual_seed(seed)
    plain = Recipe("none", network=args.network)
    model = build(plain, CLASSES[args.data], small=True, without=True)
    if slot != "none":
        insert(model, slot, args.after)
    run = f"{args.data}_{args.network}_{slot}_{seed}.checkpoint"
    fit(
        model,
        training,
        steps=args.epochs * (len(training) // args.batch_size),
        batch_size=args.batch_size,
        seed=seed,
        workers=args.workers,
        accelerator=Accelerator(mixed_precision=precision()),
        checkpoint=args.out / run,
    )
    size = sum(p.numel() for p in model.parameters())
    right = accuracy(model, test, 256, args.workers)
    return {"accuracy": right, "parameters": size} | machine()


def told(runs: list[dict], mechanism: str) -> str:
    """Each pair, and what they say together: the mean difference with its 95 % interval."""
    lines = []
    pairs = zip(
        *([r for r in runs if r["slot"] == s] for s in ("none", mechanism)), strict=True
    )
    for without, added in pairs:
        a, b = 100 * without["accuracy"], 100 * added["accuracy"]
        lines.append(f"seed {added['seed']}: {a:.2f} % without, {b:.2f} % with, {b - a:+.2f}")
    if gain := differences(runs).get(mechanism):
        mean, half = 100 * gain.mean, 100 * gain.half_width
        lines.append(f"{mechanism} adds {mean:+.2f} ± {half:.2f} points ({gain.seeds} pairs)")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> dict:
    """Train what is missing.

    Returns:
        what the file of results holds.
    """
    args = parse(arguments)
    asked = ("mechanism", "data", "network", "after", "epochs", "batch_size")
    results = collect(
        args.out / f"{args.data}_{args.network}_{args.mechanism}.json",
        {name: getattr(args, name) for name in asked},
        ("none", args.mechanism),
        args.seeds,
        partial(train, args),
        called="slot",
    )
    print(told(results["runs"], args.mechanism))
    return results


if __name__ == "__main__":
    main()
