"""How many seeds would decide, if the truth is what the data seem to say. By t tests, whose power is known in a formula
and is close to the sign flips' own (`study calibrate` compares them).
"""

import bisect
import math
from collections.abc import Callable

from scipy import stats
from statsmodels.stats.power import TTestPower

from reports.statistics.basics import ALPHA, Array
from reports.statistics.equivalence import Margin

POWER = 0.8
MOST_SEEDS = 10_000
FEWEST_EQUIVALENT = 5
"""One-sided sign flips of fewer seeds don't reach a p of 0.05."""


def seeds_needed(differences: Array, margin: Margin | None, level: float = ALPHA) -> int | None:
    """Return the seeds that would decide with a chance of `POWER`, if mean and deviation are what they seem.

    Args:
        differences: Of the seeds that there are, `[seeds]`.
        margin: The equivalence margin, where there is one.
        level: At which a test of difference is judged.

    Returns:
        More than there are; None if `MOST_SEEDS` don't suffice, or these data can't tell.
    """
    if len(differences) < 2 or differences.std() == 0.0:
        return None
    return size_needed(
        float(differences.mean()),
        float(differences.std(ddof=1)),
        margin,
        level,
        more_than=len(differences),
        fewest=fewest_for(level),
    )


def size_needed(
    mean: float, deviation: float, margin: Margin | None, level: float, *, more_than: int, fewest: int
) -> int | None:
    """Return the size of sample that would decide with a chance of `POWER`; None if `MOST_SEEDS` don't suffice.

    Args:
        mean: What the effect is.
        deviation: Of a difference; of unpaired runs, the standard error of the estimate times the root of their number.
        margin: The equivalence margin, where there is one.
        level: At which a test of difference is judged.
        more_than: How many there are.
        fewest: With fewer, no test can find a difference.
    """
    return fewest_seeds(
        lambda size: (
            size >= fewest
            and (
                power_different(mean, deviation, size, level) >= POWER
                or (margin is not None and power_equivalent(mean, deviation, margin, size) >= POWER)
            )
        ),
        more_than=more_than,
    )


def fewest_seeds(decides: Callable[[int], bool], more_than: int = 1) -> int | None:
    """The fewest with which `decides`, which more never undo; None if `MOST_SEEDS` don't suffice."""
    candidates = range(more_than + 1, MOST_SEEDS + 1)
    place = bisect.bisect_left(candidates, True, key=decides)
    return candidates[place] if place < len(candidates) else None


def power_different(mean: float, deviation: float, seeds: int, alpha: float = ALPHA) -> float:
    """Chance that a paired t test shows a difference; 0 with so few seeds that sign flips can't."""
    return _t_test_power(abs(mean) / deviation, seeds, alpha, "two-sided") if seeds >= fewest_for(alpha) else 0.0


def power_equivalent(mean: float, deviation: float, margin: Margin, seeds: int) -> float:
    """Chance that two one-sided t tests place it inside a margin, at least: the sum of both powers less 1.

    Where the margin is estimated, its error joins the effect's as `p_equivalent` joins them.
    """
    mean = abs(mean)
    if margin.value <= mean or seeds < FEWEST_EQUIVALENT:
        return 0.0
    if margin.deviation is None:
        inside = [_t_test_power((margin.value + end) / deviation, seeds, ALPHA, "larger") for end in (mean, -mean)]
        return max(0.0, sum(inside) - 1)
    error, known = deviation / math.sqrt(seeds), margin.deviation.with_seeds(seeds)
    missing = margin.value * (1 - known.lower(ALPHA) / known.value)
    needed = math.hypot(float(stats.t.isf(ALPHA, seeds - 1)) * error, missing)
    scatter = math.hypot(error, margin.value * known.log_error / 2)
    inside = [float(stats.norm.cdf((margin.value + end - needed) / scatter)) for end in (mean, -mean)]
    return max(0.0, sum(inside) - 1)


def fewest_for(level: float) -> int:
    """Return the fewest seeds of which two-sided sign flips reach a p of `level`: their smallest p is 2 / 2^seeds."""
    return math.ceil(math.log2(2 / level) - 1e-9)


def fewest_unpaired(level: float) -> int:
    """Return the fewest runs of each of two samples whose labels' permutations reach a two-sided p of `level`."""
    return next(runs for runs in range(1, MOST_SEEDS) if 2 / math.comb(2 * runs, runs) <= level)


def detectable(error: float, size: int, level: float) -> float:
    """Return the effect that a two-sided test at `level` finds with a chance of `POWER`.

    Args:
        error: The standard error of the estimate.
        size: How many seeds it is of.
        level: At which the test is judged.
    """
    degrees = max(1, size - 1)
    return error * (float(stats.t.isf(level / 2, degrees)) + float(stats.t.ppf(POWER, degrees)))


def exaggeration(size: int, level: float, share: float = 0.5) -> float:
    """Return how many times too large estimates are on average, among those that a test at `level` finds different.

    Args:
        size: How many seeds there are.
        level: At which the test is judged.
        share: The true effect, as a share of the smallest estimate that is found different.

    Source: Gelman & Carlin (2014), type M errors, for a normal estimate.
    """
    critical = float(stats.t.isf(level / 2, max(1, size - 1)))
    truth = share * critical
    above, below = stats.norm.sf(critical - truth), stats.norm.cdf(-critical - truth)
    mean = truth * (above - below) + stats.norm.pdf(critical - truth) + stats.norm.pdf(critical + truth)
    return float(mean / (above + below) / truth)


def _t_test_power(effect: float, seeds: int, alpha: float, alternative: str) -> float:
    # From here on the power is 1 but for a hundredth at most, and the library's formula may say NaN.
    if effect * math.sqrt(seeds) > 4 + float(stats.t.isf(alpha / 2, seeds - 1)):
        return 1.0
    return float(TTestPower().power(effect, seeds, alpha, alternative=alternative))
