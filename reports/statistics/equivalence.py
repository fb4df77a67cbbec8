"""Equivalence within a margin: two one-sided tests, whose margin is given, or estimated and then not exact itself.

A margin that is a multiple of a standard deviation, and estimated from the same data, is a random number. Of effects at
the true margin, the usual two one-sided tests call far more than 5% equivalent. Bioequivalence calls this
*reference-scaled* equivalence, and its remedy is used here: the confidence limits of effect and margin are joined into
one for their difference (Howe 1974; Hyslop, Hsuan & Holder 2000, for the FDA's scaled criterion; Zou & Donner 2008 and
Newcombe 2011, as MOVER, the method of variance estimates recovery). The two errors are correlated where the runs that
make an effect small make the margin large: their estimated correlation is used, but only where it widens the limit.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import special

from reports.statistics.basics import Array


class Test(Protocol):
    """A test of one difference, as `sign_flip` and `TwoSample` are."""

    @property
    def size(self) -> int:
        """The number of seeds, or of a level's runs."""
        ...

    @property
    def estimate(self) -> float:
        """The difference."""
        ...

    @property
    def smallest_p(self) -> float:
        """The smallest two-sided p that a test of this size can have."""
        ...

    def p_greater(self, centre: float) -> float:
        """Return the one-sided p against "the difference is at most `centre`"."""
        ...

    def p_less(self, centre: float) -> float:
        """Return the one-sided p against "the difference is at least `centre`"."""
        ...

    def p_two_sided(self, centre: float = 0.0) -> float:
        """Return the two-sided p against "the difference is `centre`"."""
        ...

    def interval(self, confidence: float = ...) -> tuple[float, float]:
        """Return the ends of all differences that the two-sided test doesn't reject."""
        ...


class Untested:
    """A test without any runs, which rejects nothing."""

    size = 0
    estimate = math.nan
    smallest_p = 1.0

    def p_greater(self, centre: float) -> float:  # noqa: ARG002
        """Return 1."""
        return 1.0

    p_less = p_greater

    def p_two_sided(self, centre: float = 0.0) -> float:  # noqa: ARG002
        """Return 1."""
        return 1.0

    def interval(self, confidence: float = 0.0) -> tuple[float, float]:  # noqa: ARG002
        """Return all numbers."""
        return -math.inf, math.inf


@dataclasses.dataclass(frozen=True)
class StandardDeviation:
    """A standard deviation between seeds, estimated from runs that may share them.

    Attributes:
        value: The estimate.
        seeds: The number of seeds.
        degrees: Degrees of freedom: more than `seeds - 1` where a seed has several runs that differ.
        log_error: The standard error of the logarithm of the variance, for any tails.
        pulls: The influence of each seed on that logarithm, `[seeds]`; None where it isn't known.
    """

    value: float
    seeds: int
    degrees: float
    log_error: float
    pulls: Array | None = dataclasses.field(default=None, compare=False)

    def lower(self, alpha: float) -> float:
        """Return a lower confidence limit, above which the truth is but for a chance of `alpha`.

        It is the lower of two limits. Chi-squared's holds for normal tails and lighter ones; with heavy tails, as
        returns have them, it may fail three times as often as stated. Layard's (1973), from the logarithm's error with
        a t quantile, allows for the tails; but it fails where few seeds are alike, which occurs in returns too.
        """
        if alpha >= 0.5:
            return self.value
        chi_squared = math.sqrt(self.degrees / float(special.chdtri(self.degrees, alpha)))
        layard = math.exp(self.log_error * float(special.stdtrit(self.seeds - 1, alpha)) / 2)
        return self.value * min(1.0, chi_squared, layard)

    def with_seeds(self, seeds: int) -> "StandardDeviation":
        """Return the same estimate as if it were from another number of seeds."""
        return dataclasses.replace(
            self,
            seeds=seeds,
            degrees=self.degrees * (seeds - 1) / (self.seeds - 1),
            log_error=self.log_error * math.sqrt(self.seeds / seeds),
            pulls=None,
        )


def standard_deviation(runs: Array) -> StandardDeviation | None:
    """Return the standard deviation between seeds of single runs, pooled over columns.

    Degrees of freedom are Satterthwaite's, (n - 1) tr(S)^2 / tr(S^2) with S the columns' covariance (Box 1954).

    Args:
        runs: Outcomes of one condition, `[seeds, runs]`, such as in different precisions. Where some are NaN, each
            seed counts with its first that isn't, about the mean of those in its column.

    Returns:
        None where runs don't vary between seeds, or there are fewer than two seeds.
    """
    some = np.asarray(np.isfinite(runs).any(axis=1))
    if not np.isfinite(runs).all():
        runs = _one_each(runs[some])
    seeds, columns = runs.shape
    if seeds < 2 or columns == 0:
        return None
    # Centred on the first seed, equal runs have the variance zero; the rounding of their mean would give them another.
    centred = runs - runs[0]
    centred -= centred.mean(axis=0)
    covariance = centred.T @ centred / (seeds - 1)
    variance = float(np.trace(covariance)) / columns
    if variance == 0.0:
        return None
    pulls = (centred**2).mean(axis=1) / variance * seeds / (seeds - 1) - 1
    by_seed = np.zeros(len(some))
    by_seed[some] = pulls
    return StandardDeviation(
        value=math.sqrt(variance),
        seeds=seeds,
        degrees=(seeds - 1) * columns**2 / float(((covariance / variance) ** 2).sum()),
        log_error=math.sqrt(float((pulls**2).sum()) / (seeds * (seeds - 1))),
        pulls=by_seed,
    )


def _one_each(runs: Array) -> Array:
    """Return the first known run of each seed, less its column's mean: `[seeds, runs]` with NaN to `[seeds, 1]`."""
    known = ~np.isnan(runs)
    counts = known.sum(axis=0)
    centred = runs - np.where(known, runs, 0.0).sum(axis=0) / np.maximum(counts, 1)
    return np.asarray(centred[np.arange(len(runs)), known.argmax(axis=1)][:, None])


@dataclasses.dataclass(frozen=True)
class Margin:
    """The equivalence margin: given, or a multiple of a standard deviation.

    Attributes:
        value: The margin, in the outcome's unit.
        sd: The standard deviation of which it is a multiple; None where it is given, and exact.
    """

    value: float
    sd: StandardDeviation | None = None

    def lower(self, alpha: float) -> float:
        """Return a lower confidence limit, above which the true margin is but for a chance of `alpha`."""
        return self.value * (self.sd.lower(alpha) / self.sd.value if self.sd else 1.0)


def p_equivalent(
    test: Test, margin: Margin, rows: NDArray[np.intp] | None = None, enough: float | None = None
) -> float:
    """Return the p against "the difference is as far from zero as the margin, or further".

    It is the larger of two one-sided tests'.

    Args:
        test: Of the difference.
        margin: The equivalence margin.
        rows: Which of the margin's seeds the test's differences are of, if the margin is estimated from the same runs.
        enough: A level: the p that is returned need only be on the right side of it, which takes less time.
    """
    if margin.sd is None:
        return max(test.p_greater(-margin.value), test.p_less(margin.value))
    shared = _shared_error(test, margin, rows)
    return max(
        _p_inside(test.estimate, test.p_less, margin, min(0.0, shared), enough),
        _p_inside(-test.estimate, lambda centre: test.p_greater(-centre), margin, min(0.0, -shared), enough),
    )


def _p_inside(
    estimate: float, p_less: Callable[[float], float], margin: Margin, correlation: float, enough: float | None
) -> float:
    """Return the one-sided p against "the centre is the margin or more", for an estimated margin.

    At level alpha, let a be how far the centre's upper limit is above the estimate, and b how far the margin's lower is
    below the margin. Centre less margin has the upper limit estimate - margin + sqrt(a^2 + b^2 - 2 r a b), r being the
    correlation of both errors, and p is the level at which that limit is zero. The level of a centre is its `p_less`,
    so the centre is sought: as it rises, so do all terms.
    """
    low, high, p = estimate, margin.value, 1.0
    # Until they are close, or no number lies between.
    while high - low > 1e-6 * margin.value and low < (middle := (low + high) / 2) < high:
        level = p_less(middle)
        above, below = middle - estimate, margin.value - margin.lower(level)
        if above**2 + below**2 - 2 * correlation * above * below < (margin.value - estimate) ** 2:
            low, p = middle, level
            if enough is not None and level <= enough:
                return level
        else:
            high = middle
            if enough is not None and level > enough:
                return 1.0
    return p


def _shared_error(test: Test, margin: Margin, rows: NDArray[np.intp] | None) -> float:
    """Return the correlation of the errors of a mean difference and of the margin; 0 where their seeds are others."""
    assert margin.sd is not None
    strata: Sequence[tuple[Array, Array]] = getattr(test, "strata", ())
    if strata:
        return _shared_by_runs(strata, margin.sd)
    differences: Array | None = getattr(test, "differences", None)
    pulls = margin.sd.pulls
    if pulls is None or differences is None:
        return 0.0
    pulls = pulls if rows is None else pulls[rows]
    return _correlation(differences, pulls) if len(pulls) == len(differences) else 0.0


def _shared_by_runs(strata: Sequence[tuple[Array, Array]], sd: StandardDeviation) -> float:
    """Return that correlation for unpaired runs, where the margin is of the reference's runs of the only stratum.

    What a reference's run adds to its level's variance is the square of what it takes off the difference.
    """
    ((reference, level), *others) = strata
    if others or len(reference) != sd.seeds or min(len(reference), len(level)) < 2:
        return 0.0
    variances = [float(side.var(ddof=1)) / len(side) for side in (reference, level)]
    if not variances[0] > 0:
        return 0.0
    return -_correlation(reference, (reference - reference.mean()) ** 2) * math.sqrt(variances[0] / sum(variances))


def _correlation(first: Array, second: Array) -> float:
    """Return Pearson's correlation; 0 where one of both is constant."""
    first, second = first - first.mean(), second - second.mean()
    scale = math.sqrt(float((first**2).sum() * (second**2).sum()))
    return float(first @ second) / scale if scale else 0.0
