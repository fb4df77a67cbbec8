"""Tests and intervals, as small pure functions on arrays. The seed is the unit: an array has one number a seed."""

import bisect
import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.power import TTestPower

Array = NDArray[np.float64]

ALPHA = 0.05
POWER = 0.8
MOST_SEEDS = 10_000
FEWEST_DIFFERENT = 7
"""Two-sided sign flips of fewer seeds don't reach a p of 0.05 in a family of two."""
FEWEST_EQUIVALENT = 5
"""One-sided sign flips of fewer seeds don't reach a p of 0.05."""
EXACT_UP_TO = 20
"""Seeds up to which all sign flips are tried; beyond, `RESAMPLES` of them, drawn."""
RESAMPLES = 100_000


@dataclasses.dataclass(frozen=True)
class SignFlip:
    """What flipping signs says of the centre of paired differences.

    Under the hypothesis that the differences are symmetric about m, every pattern of signs of (difference - m) is
    equally likely. A flipped sum is at least the observed one exactly when the mean of the flipped differences is at
    most m (Hartigan 1969, typical values). So all tests and all intervals come from the sorted means of the subsets
    of differences that the patterns flip, and a test at any m agrees with the interval.
    """

    subset_means: Array
    """sorted; one for each pattern but the identity"""
    tolerance: float
    """means this close are ties, that rounding has split"""

    @property
    def patterns(self) -> int:
        """Sign patterns, the identity among them."""
        return len(self.subset_means) + 1

    def p_greater(self, centre: float) -> float:
        """One-sided p against "the centre is at most this"."""
        return (1 + int(np.searchsorted(self.subset_means, centre + self.tolerance, side="right"))) / self.patterns

    def p_less(self, centre: float) -> float:
        """One-sided p against "the centre is at least this"."""
        below = int(np.searchsorted(self.subset_means, centre - self.tolerance, side="left"))
        return (1 + len(self.subset_means) - below) / self.patterns

    def p_two_sided(self, centre: float = 0.0) -> float:
        """Two-sided p against "the centre is this"."""
        return min(1.0, 2 * min(self.p_greater(centre), self.p_less(centre)))

    def p_equivalent(self, margin: float) -> float:
        """Two one-sided tests, p against "the centre is `margin` or further from zero"."""
        return max(self.p_greater(-margin), self.p_less(margin))

    def interval(self, confidence: float = 1 - ALPHA) -> tuple[float, float]:
        """All centres that the two-sided test doesn't reject; infinite where there are too few seeds to reject any."""
        rank = math.floor((1 - confidence) / 2 * self.patterns + 1e-9)
        if rank == 0:
            return -math.inf, math.inf
        return float(self.subset_means[rank - 1]), float(self.subset_means[-rank])


def sign_flip(differences: Array, rng: np.random.Generator) -> SignFlip:
    """Try the sign flips of paired differences: all of them up to `EXACT_UP_TO` seeds, else `RESAMPLES` drawn by `rng`.

    **Arguments**: `differences`, `[seeds]`, finite. **Raises**: `ValueError` when there are none.
    """
    if len(differences) == 0 or not np.isfinite(differences).all():
        raise ValueError("sign flips need at least one difference, all finite")
    if len(differences) <= EXACT_UP_TO:
        sums, sizes = np.zeros(1), np.zeros(1)
        for difference in differences:
            sums = np.concatenate([sums, sums + difference])
            sizes = np.concatenate([sizes, sizes + 1])
        sums, sizes = sums[1:], sizes[1:]
    else:
        flipped = rng.random((RESAMPLES, len(differences))) < 0.5
        flipped = flipped[flipped.any(axis=1)]
        sums, sizes = flipped @ differences, flipped.sum(axis=1)
    return SignFlip(np.sort(sums / sizes), tolerance=1e-12 * float(np.abs(differences).max()))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment of a family of p-values (Holm 1979).

    Not statsmodels' `multipletests`, which collects all of Python's garbage at each call: most of a report's time.
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return [float(value) for value in adjusted]


def seeds_needed(differences: Array, margin: float | None) -> int | None:
    """Seeds that would decide, with power 0.8, if the mean and the deviation of the differences are what they seem.

    The fewest that show a difference by a paired t test, or equivalence by two one-sided ones (whose joint power is at
    least the sum of both less 1): more than there are, and no fewer than `FEWEST_DIFFERENT` or `FEWEST_EQUIVALENT`,
    with which sign flips can reach a p-value that small. None if `MOST_SEEDS` don't suffice, or these data can't tell.
    """
    if len(differences) < 2 or differences.std() == 0.0:
        return None
    mean, deviation = abs(float(differences.mean())), float(differences.std(ddof=1))

    def t_test_power(effect: float, seeds: int, alternative: str) -> float:
        # From here on the power is 1 but for a hundredth at most, and the library's formula may say NaN.
        if effect * math.sqrt(seeds) > 6:
            return 1.0
        return float(TTestPower().power(effect, seeds, ALPHA, alternative=alternative))

    def decides(seeds: int) -> bool:
        if seeds >= FEWEST_DIFFERENT and t_test_power(mean / deviation, seeds, "two-sided") >= POWER:
            return True
        if margin is None or margin <= mean or seeds < FEWEST_EQUIVALENT:
            return False
        inside = [t_test_power((margin + end) / deviation, seeds, "larger") for end in (mean, -mean)]
        return sum(inside) - 1 >= POWER

    candidates = range(len(differences) + 1, MOST_SEEDS + 1)
    place = bisect.bisect_left(candidates, True, key=decides)
    return candidates[place] if place < len(candidates) else None


def pooled_deviation(groups: Sequence[Array]) -> float | None:
    """Standard deviation within groups, pooled by degrees of freedom. None if no group has two members."""
    # From its first member on, a group of equals has no deviation, where the rounding of their mean would give it one.
    groups = [group - group[0] for group in groups if len(group) > 1]
    if not groups:
        return None
    squares = sum(float(((group - group.mean()) ** 2).sum()) for group in groups)
    return math.sqrt(squares / sum(len(group) - 1 for group in groups))


@dataclasses.dataclass(frozen=True)
class SpreadTest:
    """Whether a pair's differences scatter more than the control's."""

    spread: float
    """root mean square of the pair's differences"""
    control_spread: float
    p: float
    """one-sided, against "not more than the control's" """


def compare_spread(pair: Array, control: Array, rng: np.random.Generator) -> SpreadTest:
    """Compare the scatter of a pair's differences with the control's, by swapping the two within seeds.

    Under the hypothesis that all four runs of a block (both conditions, each with and without the one-ulp nudge) are
    exchangeable, a seed's differences between conditions and those between replicates can be swapped. The swap changes
    the sign of the difference of their mean squares, so it is a sign flip, and one-sided.

    **Arguments**: `pair`, `[seeds, ...]`, differences between conditions, about zero or centred; `control`,
    `[seeds, ...]`, differences between replicates.
    """
    pair_squares, control_squares = ((values.reshape(len(values), -1) ** 2).mean(1) for values in (pair, control))
    return SpreadTest(
        spread=math.sqrt(pair_squares.mean()),
        control_spread=math.sqrt(control_squares.mean()),
        p=sign_flip(pair_squares - control_squares, rng).p_greater(0.0),
    )


def mean_interval(values: Array, confidence: float = 1 - ALPHA) -> tuple[Array, Array, Array]:
    """Mean over seeds and its t interval, pointwise, for curves: `[seeds, points]` to three `[points]`."""
    mean = values.mean(axis=0)
    if len(values) < 2:
        return mean, mean, mean
    half = stats.t.ppf(0.5 + confidence / 2, len(values) - 1) * values.std(axis=0, ddof=1) / math.sqrt(len(values))
    return mean, mean - half, mean + half
