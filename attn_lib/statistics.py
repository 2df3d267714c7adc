"""What a few seeds can say, and what weights depend on."""

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
    tests = {
        slot: float(scipy.stats.ttest_1samp(gains, 0).pvalue) for slot, gains in pairs.items()
    }
    corrected = holm(tests)
    return {
        slot: Difference(*interval(list(gains)), tests[slot], corrected[slot], len(gains))
        for slot, gains in pairs.items()
    }


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
