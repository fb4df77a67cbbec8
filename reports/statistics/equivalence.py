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
from collections.abc import Callable

import numpy as np
from scipy import special

from reports.statistics.basics import Array
from reports.statistics.signflip import SignFlip


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

    **Arguments**: `runs`, `[seeds, runs]`, of one condition in different precisions and replicates.
    """
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
    return Deviation(
        value=math.sqrt(variance),
        seeds=seeds,
        degrees=(seeds - 1) * columns**2 / float(((covariance / variance) ** 2).sum()),
        log_error=math.sqrt(float((pulls**2).sum()) / (seeds * (seeds - 1))),
        pulls=pulls,
    )


@dataclasses.dataclass(frozen=True)
class Margin:
    """The effect up to which two policies are as good as equal: given, or a multiple of a deviation."""

    value: float
    deviation: Deviation | None = None
    """what it is a multiple of; None where it is given, and exact"""

    def lower(self, alpha: float) -> float:
        """The largest number that it isn't below, but for a chance of alpha."""
        return self.value * (self.deviation.lower(alpha) / self.deviation.value if self.deviation else 1.0)


def p_equivalent(differences: Array, flip: SignFlip, margin: Margin, enough: float | None = None) -> float:
    """P against "the centre is as far from zero as the margin, or further": the larger of two one-sided tests'.

    **Arguments**: `differences`, `[seeds]`, of the same seeds as the margin, if that is estimated; `flip`, their sign
    flips; `enough`, a level: it is enough to find a p on the right side of it, which is sooner found.
    """
    if margin.deviation is None:
        return max(flip.p_greater(-margin.value), flip.p_less(margin.value))
    return max(
        _p_inside(differences, flip.p_less, margin, enough),
        _p_inside(-differences, lambda centre: flip.p_greater(-centre), margin, enough),
    )


def _p_inside(differences: Array, p_less: Callable[[float], float], margin: Margin, enough: float | None) -> float:
    """One-sided p against "the centre is the margin or more", the margin being estimated.

    At level alpha, let a be how far the centre's upper limit is above the estimate, and b how far the margin's lower is
    below the margin. Centre less margin has the upper limit estimate - margin + sqrt(a^2 + b^2 - 2 r a b), r being the
    correlation of both errors, and p is the level at which that limit is zero. The level of a centre is its `p_less`,
    so the centre is sought: as it rises, so do all terms.
    """
    estimate, correlation = float(differences.mean()), _adverse_correlation(differences, margin)
    low, high, p = estimate, margin.value, 1.0
    while high - low > 1e-6 * margin.value:
        middle = (low + high) / 2
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


def _adverse_correlation(differences: Array, margin: Margin) -> float:
    """The correlation of the errors of a mean difference and of the margin, or 0 where it is positive."""
    assert margin.deviation is not None
    pulls = margin.deviation.pulls
    if pulls is None:
        return 0.0
    centred = differences - differences.mean()
    scale = math.sqrt(float((centred**2).sum() * (pulls**2).sum()))
    return min(0.0, float(centred @ pulls) / scale) if scale else 0.0
