"""Power: how many seeds would decide, if the true mean and standard deviation are those that were estimated.

The power is that of t tests, which has a formula and is close to that of sign flips.
"""

import bisect
import math
from collections.abc import Callable
from typing import Literal

from scipy import stats

from reports.statistics.basics import ALPHA
from reports.statistics.equivalence import Margin

POWER = 0.8
MOST_SEEDS = 10_000
FEWEST_EQUIVALENT = 5
"""One-sided sign flips of fewer seeds don't reach a p of 0.05."""


def fewest_seeds(decides: Callable[[int], bool], more_than: int = 1) -> int | None:
    """Return the smallest number above `more_than` for which `decides` is true; None if `MOST_SEEDS` don't suffice.

    Args:
        decides: True from some number of seeds on.
        more_than: The answer is larger.
    """
    candidates = range(more_than + 1, MOST_SEEDS + 1)
    index = bisect.bisect_left(candidates, True, key=decides)
    return candidates[index] if index < len(candidates) else None


def power_different(mean: float, sd: float, seeds: int, alpha: float = ALPHA) -> float:
    """Return the chance that a paired t test shows a difference; 0 where sign flips of so few seeds can't."""
    return _t_test_power(abs(mean) / sd, seeds, alpha, sides=2) if seeds >= fewest_for(alpha) else 0.0


def power_equivalent(mean: float, sd: float, margin: Margin, seeds: int) -> float:
    """Return a lower bound of the chance that two one-sided t tests show equivalence: the sum of both powers less 1.

    Where the margin is estimated, its error and the effect's are combined as in `p_equivalent`.
    """
    mean = abs(mean)
    if margin.value <= mean or seeds < FEWEST_EQUIVALENT:
        return 0.0
    if margin.sd is None:
        inside = [_t_test_power((margin.value + end) / sd, seeds, ALPHA, sides=1) for end in (mean, -mean)]
        return max(0.0, sum(inside) - 1)
    error, known = sd / math.sqrt(seeds), margin.sd.with_seeds(seeds)
    missing = margin.value * (1 - known.lower(ALPHA) / known.value)
    needed = math.hypot(float(stats.t.isf(ALPHA, seeds - 1)) * error, missing)
    spread = math.hypot(error, margin.value * known.log_error / 2)
    inside = [float(stats.norm.cdf((margin.value + end - needed) / spread)) for end in (mean, -mean)]
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
        size: The number of seeds.
        level: The level of the test.
    """
    degrees = max(1, size - 1)
    return error * (float(stats.t.isf(level / 2, degrees)) + float(stats.t.ppf(POWER, degrees)))


def exaggeration(size: int, level: float, share: float = 0.5) -> float:
    """Return the factor by which estimates are too large on average, among those that a test at `level` rejects.

    Args:
        size: The number of seeds.
        level: The level of the test.
        share: The true effect, as a share of the smallest estimate that is found different.

    Source: Gelman & Carlin (2014), type M errors, for a normal estimate.
    """
    critical = float(stats.t.isf(level / 2, max(1, size - 1)))
    truth = share * critical
    above, below = stats.norm.sf(critical - truth), stats.norm.cdf(-critical - truth)
    mean = truth * (above - below) + stats.norm.pdf(critical - truth) + stats.norm.pdf(critical + truth)
    return float(mean / (above + below) / truth)


def _t_test_power(effect: float, seeds: int, alpha: float, sides: Literal[1, 2]) -> float:
    """Return the power of a t test: not statsmodels', which is NaN for some effects at small levels."""
    degrees, centre = seeds - 1, effect * math.sqrt(seeds)
    critical = float(stats.t.isf(alpha / sides, degrees))
    above, below = (float(stats.nct.sf(critical, degrees, sign * centre)) for sign in (1, -1))
    return above + below if sides == 2 else above
