"""Is it as good as none? Two one-sided tests inside a margin, which is given, or estimated and then not exact itself.

A margin that is a multiple of a deviation, and estimated from the very data, is a random number: placed where the truth
is, the usual two one-sided tests call far more than 5% equivalent. Bioequivalence knows this as *reference-scaled*
equivalence, and the remedy used here is its own: the confidence limits of effect and margin are joined into one for
their difference (Howe 1974; Hyslop, Hsuan & Holder 2000, for the FDA's scaled criterion; Zou & Donner 2008 and Newcombe
2011, as MOVER, the method of variance estimates recovery). The two errors are correlated where the runs that make an
effect small make the margin large: their correlation, estimated, joins in, but only where it widens the limit.
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
        """How many seeds, or runs of a level, there are."""
        ...

    @property
    def estimate(self) -> float:
        """The difference."""
        ...

    @property
    def smallest_p(self) -> float:
        """The smallest two-sided p that so many can have."""
        ...

    def p_greater(self, centre: float) -> float:
        """One-sided p against "the difference is at most this"."""
        ...

    def p_less(self, centre: float) -> float:
        """One-sided p against "the difference is at least this"."""
        ...

    def p_two_sided(self, centre: float = 0.0) -> float:
        """Two-sided p against "the difference is this"."""
        ...

    def interval(self, confidence: float = ...) -> tuple[float, float]:
        """All differences that the two-sided test doesn't reject."""
        ...


class Untested:
    """A test of no runs at all, which finds nothing and excludes nothing."""

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
class Deviation:
    """A standard deviation between seeds, of runs that may share them, and how well it is known."""

    value: float
    seeds: int
    degrees: float
    """of freedom: more than seeds - 1 where a seed has several runs that don't say the same"""
    log_error: float
    """standard error of the logarithm of its square, whatever the tails"""
    pulls: Array | None = dataclasses.field(default=None, compare=False)
    """`[seeds]`, how far each seed pulls that logarithm up; None where it isn't told"""

    def lower(self, alpha: float) -> float:
        """The largest number that it isn't below, but for a chance of alpha.

        The lower of two limits. Chi-squared's holds for normal tails and lighter ones; but with heavy tails, as returns
        have them, it may fail three times as often as it says. Layard's (1973), from the logarithm's error with a t
        quantile, takes the tails as they are; but it fails where few seeds are alike, as returns can be, too.
        """
        if alpha >= 0.5:
            return self.value
        chi_squared = math.sqrt(self.degrees / float(special.chdtri(self.degrees, alpha)))
        layard = math.exp(self.log_error * float(special.stdtrit(self.seeds - 1, alpha)) / 2)
        return self.value * min(1.0, chi_squared, layard)

    def with_seeds(self, seeds: int) -> "Deviation":
        """The same, known from so many seeds."""
        return dataclasses.replace(
            self,
            seeds=seeds,
            degrees=self.degrees * (seeds - 1) / (self.seeds - 1),
            log_error=self.log_error * math.sqrt(self.seeds / seeds),
            pulls=None,
        )


def deviation(runs: Array) -> Deviation | None:
    """The deviation between seeds of single runs, pooled over columns; None where they have none.

    Degrees of freedom are Satterthwaite's, (n - 1) tr(S)^2 / tr(S^2) with S the columns' covariance (Box 1954).

    **Arguments**: `runs`, `[seeds, runs]`, of one condition in different precisions; where some are NaN, a seed counts
    with its first that isn't, about the mean of those in its column.
    """
    some = np.asarray(np.isfinite(runs).any(axis=1))
    if not np.isfinite(runs).all():
        runs = _one_each(runs[some])
    seeds, columns = runs.shape
    if seeds < 2 or columns == 0:
        return None
    # From the first seed on, equal runs have no deviation, where the rounding of their mean would give them one.
    centred = runs - runs[0]
    centred -= centred.mean(axis=0)
    covariance = centred.T @ centred / (seeds - 1)
    variance = float(np.trace(covariance)) / columns
    if variance == 0.0:
        return None
    pulls = (centred**2).mean(axis=1) / variance * seeds / (seeds - 1) - 1
    by_seed = np.zeros(len(some))
    by_seed[some] = pulls
    return Deviation(
        value=math.sqrt(variance),
        seeds=seeds,
        degrees=(seeds - 1) * columns**2 / float(((covariance / variance) ** 2).sum()),
        log_error=math.sqrt(float((pulls**2).sum()) / (seeds * (seeds - 1))),
        pulls=by_seed,
    )


def _one_each(runs: Array) -> Array:
    """One run a seed, about its column's mean: `[seeds, runs]`, some NaN but none throughout, to `[seeds, 1]`."""
    known = ~np.isnan(runs)
    counts = known.sum(axis=0)
    centred = runs - np.where(known, runs, 0.0).sum(axis=0) / np.maximum(counts, 1)
    return np.asarray(centred[np.arange(len(runs)), known.argmax(axis=1)][:, None])


@dataclasses.dataclass(frozen=True)
class Margin:
    """The equivalence margin: given, or a multiple of a standard deviation."""

    value: float
    deviation: Deviation | None = None
    """what it is a multiple of; None where it is given, and exact"""

    def lower(self, alpha: float) -> float:
        """The largest number that it isn't below, but for a chance of alpha."""
        return self.value * (self.deviation.lower(alpha) / self.deviation.value if self.deviation else 1.0)


def p_equivalent(
    test: Test, margin: Margin, rows: NDArray[np.intp] | None = None, enough: float | None = None
) -> float:
    """Return the p against "the difference is as far from zero as the margin, or further".

    It is the larger of two one-sided tests'.

    Args:
        test: Of the difference.
        margin: The equivalence margin.
        rows: Which of the margin's seeds the test's differences are of, if the margin is estimated from the same runs.
        enough: A level: it is enough to find a p on the right side of it, which is sooner found.
    """
    if margin.deviation is None:
        return max(test.p_greater(-margin.value), test.p_less(margin.value))
    shared = _shared_error(test, margin, rows)
    return max(
        _p_inside(test.estimate, test.p_less, margin, min(0.0, shared), enough),
        _p_inside(-test.estimate, lambda centre: test.p_greater(-centre), margin, min(0.0, -shared), enough),
    )


def _p_inside(
    estimate: float, p_less: Callable[[float], float], margin: Margin, correlation: float, enough: float | None
) -> float:
    """One-sided p against "the centre is the margin or more", the margin being estimated.

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
    """The correlation of the errors of a mean difference and of the margin; 0 where they are of other seeds."""
    assert margin.deviation is not None
    strata: Sequence[tuple[Array, Array]] = getattr(test, "strata", ())
    if strata:
        return _shared_by_runs(strata, margin.deviation)
    differences: Array | None = getattr(test, "differences", None)
    pulls = margin.deviation.pulls
    if pulls is None or differences is None:
        return 0.0
    pulls = pulls if rows is None else pulls[rows]
    return _correlation(differences, pulls) if len(pulls) == len(differences) else 0.0


def _shared_by_runs(strata: Sequence[tuple[Array, Array]], deviation: Deviation) -> float:
    """The same of runs that nothing pairs, where the margin may be of the reference's runs of the only stratum.

    What a reference's run adds to its level's variance is the square of what it takes off the difference.
    """
    ((reference, level), *others) = strata
    if others or len(reference) != deviation.seeds or min(len(reference), len(level)) < 2:
        return 0.0
    variances = [float(side.var(ddof=1)) / len(side) for side in (reference, level)]
    if not variances[0] > 0:
        return 0.0
    return -_correlation(reference, (reference - reference.mean()) ** 2) * math.sqrt(variances[0] / sum(variances))


def _correlation(first: Array, second: Array) -> float:
    """Pearson's; 0 where one of both is constant."""
    first, second = first - first.mean(), second - second.mean()
    scale = math.sqrt(float((first**2).sum() * (second**2).sum()))
    return float(first @ second) / scale if scale else 0.0
