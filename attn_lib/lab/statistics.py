"""What a few seeds can say, and what weights depend on."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.stats
from jaxtyping import Float, Shaped
from torch import Tensor


def interval(values: list[float]) -> tuple[float, float]:
    """The mean over seeds and the half-width of its 95 % confidence interval (Student's t)."""
    mean, error = float(np.mean(values)), scipy.stats.sem(values)
    return mean, float(error * scipy.stats.t.ppf(0.975, len(values) - 1))


@dataclass(frozen=True)
class Difference:
    """What a mechanism adds, over runs that share their seeds.

    Attributes:
        mean: of the differences.
        half_width: of the 95 % confidence interval of that mean.
        p: of the paired t-test, two-sided.
        p_holm: the same, corrected for having tried all the mechanisms.
        seeds: how many pairs there are.
    """

    mean: float
    half_width: float
    p: float
    p_holm: float
    seeds: int


def differences(
    runs: list[dict], measure: str = "accuracy", base: str = "none"
) -> dict[str, Difference]:
    """Each slot's runs against those of `base`, seed by seed.

    The test is Student's t for pairs: the smallest p that Wilcoxon's signed ranks can give to five pairs is
    1/16. It takes the differences for normal, which five seeds cannot show.

    Args:
        runs: of one comparison, as `zoo.results(task)["runs"]` has them.
        measure: the key of the number to compare.
        base: the slot to compare with.

    Returns:
        by slot, those that share at least two seeds with `base`.

    Raises:
        ValueError: there is no run of `base`.
    """
    scores: dict[str, dict[int, float]] = {}
    for run in runs:
        scores.setdefault(run["slot"], {})[run["seed"]] = run[measure]
    if base not in scores:
        raise ValueError(f"no runs of {base!r}; there are {', '.join(scores)}")
    of_base = scores.pop(base)
    pairs = {
        slot: np.array([score - of_base[seed] for seed, score in of.items() if seed in of_base])
        for slot, of in scores.items()
    }
    pairs = {slot: gains for slot, gains in pairs.items() if len(gains) > 1}
    tests = {  # where all pairs are equal, t is 0 / 0
        slot: float(scipy.stats.ttest_1samp(gains, 0).pvalue) if gains.any() else 1.0
        for slot, gains in pairs.items()
    }
    corrected = holm(tests)
    return {
        slot: Difference(*interval(list(gains)), tests[slot], corrected[slot], len(gains))
        for slot, gains in pairs.items()
    }


def comparison_table(
    runs: list[dict], names: Mapping[str, str], base: str = "none", seeds: bool = False
) -> list[list[str]]:
    """A table of what slots score and how they differ from `base`, in percent and percentage points.

    ± is half of a 95 % confidence interval; p is that of the paired t-test, corrected by Holm for the slots of
    this table.

    Args:
        runs: as in `differences`.
        names: by slot, what to call it; slots without a name are left out.
        base: the slot to compare with.
        seeds: whether to end with the score of each seed.

    Returns:
        rows of words, a head first, as `show_table` takes them.

    Raises:
        ValueError: there is no run of `base`, or of a slot in `names`.
    """
    runs = [run for run in runs if run["slot"] in {base, *names}]
    there = {run["slot"] for run in runs}
    if missing := [slot for slot in names if slot not in there]:
        raise ValueError(f"no runs of {missing}; there are {sorted(there)}")
    gains = differences(runs, base=base)
    head = ["network", "parameters", "accuracy, %", f"against {names.get(base, base)}", "p"]
    rows = [head + ["each seed"] * seeds]
    for slot, name in names.items():
        own = sorted((r for r in runs if r["slot"] == slot), key=lambda run: run["seed"])
        mean, half = interval([100 * run["accuracy"] for run in own])
        more, p = "", ""
        if gain := gains.get(slot):
            more = f"{100 * gain.mean:+.1f} ± {100 * gain.half_width:.1f}"
            p = f"{gain.p_holm:.3f}" if gain.p_holm >= 0.001 else "< 0.001"
        row = [name, f"{own[0]['parameters']:,}", f"{mean:.1f} ± {half:.1f}", more, p]
        rows.append(row + ["  ".join(f"{100 * run['accuracy']:.1f}" for run in own)] * seeds)
    return rows


def holm(tests: dict[str, float]) -> dict[str, float]:
    """Holm's step-down correction: the smallest of k values times k, the next times k - 1, never falling.

    Source: Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of
    Statistics 6, 1979.
    """
    corrected, highest = {}, 0.0
    for rank, name in enumerate(sorted(tests, key=lambda name: tests[name])):
        highest = max(highest, min(1.0, (len(tests) - rank) * tests[name]))
        corrected[name] = highest
    return corrected


def explained(values: Float[Tensor, "b c"], groups: Shaped[Tensor, " b"]) -> float:
    """How much of what varies over images lies between groups of them: the correlation ratio, η².

    The variance of the groups' means over that of all values, both summed over columns. It says nothing of how
    much varies.

    Args:
        values: such as the gates of c channels for b images.
        groups: what the images are counted by, such as their labels.

    Returns:
        0 where the groups are alike, or nothing varies, and 1 where each group is of one value.
    """
    away = values - values.mean(0)
    total = away.square().sum().item()
    own = [away[groups == group] for group in groups.unique()]
    between = sum(len(part) * part.mean(0).square().sum().item() for part in own)
    return between / total if total else 0.0
