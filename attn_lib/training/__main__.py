import argparse
from pathlib import Path

from .. import zoo
from .comparison import HOSTS, compare
from .tasks import TASKS


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m attn_lib.training")
    commands = parser.add_subparsers(dest="command", required=True)
    comparing = commands.add_parser("compare", help="train and score; a killed run goes on")
    comparing.add_argument("task", choices=TASKS)
    comparing.add_argument("slots", nargs="*", default=list(HOSTS), help="all of them, if none")
    comparing.add_argument("--seeds", type=int, default=5, help="how many")
    comparing.add_argument("--steps", type=int, help="of training, if not the task's own")
    comparing.add_argument("--folder", type=Path, default=zoo.WEIGHTS)
    args = parser.parse_args()
    compare(args.task, args.slots, args.seeds, steps=args.steps, folder=args.folder)


if __name__ == "__main__":
    main()
