"""Do results made anew agree with those that ship?

python -m attn_lib.lab.agreement evidence      after `make evidence`
"""

import json
import sys
from pathlib import Path

from . import zoo
from .commands import command
from .statistics import interval


def agreement(new: list[dict], shipped: list[dict]) -> dict[str, tuple[float, float, float]]:
    """The accuracies of two comparisons, slot by slot.

    Args:
        new: runs, as `zoo.results(task)["runs"]` has them.
        shipped: the runs to compare with.

    Returns:
        for each slot of both: the mean of the new runs, and the mean and the half width of the 95 % interval of
        the shipped ones.
    """
    found = {}
    for slot in dict.fromkeys(run["slot"] for run in shipped):
        of = [
            [run["accuracy"] for run in runs if run["slot"] == slot] for runs in (new, shipped)
        ]
        if of[0]:
            found[slot] = (sum(of[0]) / len(of[0]), *interval(of[1]))
    return found


def main() -> None:
    parser = command(__doc__)
    parser.add_argument("folder", type=Path, help="where the new results are")
    apart = 0
    for path in sorted(parser.parse_args().folder.glob("compare_*.json")):
        new, shipped = (
            json.loads(file.read_text(encoding="utf-8"))
            for file in (path, zoo.WEIGHTS / path.name)
        )
        for slot, (mean, middle, half) in agreement(new["runs"], shipped["runs"]).items():
            inside = abs(mean - middle) <= half
            apart += not inside
            print(
                f"{path.stem:<28}{slot:<30}{mean:.3f}  shipped {middle:.3f} ± {half:.3f}"
                f"{'' if inside else '  OUTSIDE'}"
            )
    sys.exit(f"{apart} outside" if apart else 0)


if __name__ == "__main__":
    main()
