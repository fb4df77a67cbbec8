"""Sign flips of paired differences: exact p-values of the difference, and the intervals that they invert to.

Under the hypothesis that the differences are symmetric about m, every pattern of signs of (difference - m) is equally
likely. A flipped sum is at least the observed one exactly when the mean of the flipped differences is at most m
(Hartigan 1969, typical values). So all tests and all intervals come from the means of the subsets of differences that
the patterns flip, and a test at any m agrees with the interval.
"""

import dataclasses
import functools
import math
from typing import Protocol

import numpy as np

from reports.statistics.basics import ALPHA, Array

EXACT_UP_TO = 20
"""Seeds up to which all sign flips are tried; beyond, `RESAMPLES` of them, drawn."""
RESAMPLES = 100_000
SEED = 0
"""Of the generator that draws them."""


class SubsetMeans(Protocol):
    """The means of subsets of differences, the empty one left out, in order."""

    size: int

    def at_most(self, centre: float) -> int:
        """Return the number of means that are at most `centre`."""

    def nth(self, rank: int) -> float:
        """Return the mean of this rank, counted from 1."""


@dataclasses.dataclass(frozen=True)
class SignFlip:
    """A test of the centre of paired differences by sign flips.

    Attributes:
        differences: The paired differences, `[seeds]`.
        subset_means: One for each pattern of signs but the identity, which flips none.
        tolerance: Means this close are ties that rounding has split.
    """

    differences: Array
    subset_means: SubsetMeans
    tolerance: float

    @property
    def size(self) -> int:
        """The number of seeds."""
        return len(self.differences)

    @functools.cached_property
    def estimate(self) -> float:
        """The mean difference."""
        return float(self.differences.mean())

    @property
    def smallest_p(self) -> float:
        """The smallest two-sided p that this number of seeds can have."""
        return min(1.0, 2 / self.patterns)

    @property
    def patterns(self) -> int:
        """The number of sign patterns, the identity among them."""
        return self.subset_means.size + 1

    def p_greater(self, centre: float) -> float:
        """Return the one-sided p against "the difference is at most `centre`"."""
        return (1 + self.subset_means.at_most(centre + self.tolerance)) / self.patterns

    def p_less(self, centre: float) -> float:
        """Return the one-sided p against "the difference is at least `centre`"."""
        below = self.subset_means.at_most(math.nextafter(centre - self.tolerance, -math.inf))
        return (self.patterns - below) / self.patterns

    def p_two_sided(self, centre: float = 0.0) -> float:
        """Return the two-sided p against "the difference is `centre`"."""
        return min(1.0, 2 * min(self.p_greater(centre), self.p_less(centre)))

    def interval(self, confidence: float = 1 - ALPHA) -> tuple[float, float]:
        """Return the ends of all differences that the two-sided test doesn't reject; infinite with too few seeds."""
        rank = math.floor((1 - confidence) / 2 * self.patterns + 1e-9)
        if rank == 0:
            return -math.inf, math.inf
        return self.subset_means.nth(rank), self.subset_means.nth(self.subset_means.size + 1 - rank)


def sign_flip(differences: Array, resamples: int = RESAMPLES) -> SignFlip:
    """Return the sign-flip test of paired differences.

    Args:
        differences: `[seeds]`, finite.
        resamples: The number of patterns to draw above `EXACT_UP_TO` seeds; up to these, all are tried.

    Raises:
        ValueError: There are no differences, or one isn't finite.
    """
    if len(differences) == 0 or not np.isfinite(differences).all():
        raise ValueError("sign flips need at least one difference, all finite")
    exact = len(differences) <= EXACT_UP_TO
    subset_means: SubsetMeans = _All(differences) if exact else _Drawn(differences, resamples)
    return SignFlip(differences, subset_means, tolerance=1e-12 * float(np.abs(differences).max()))


class _All:
    """The means of all subsets.

    Those with a mean of at most m are those whose sum of (difference - m) isn't positive, and a sum is one of the first
    half's subsets and one of the second's: so 2^n are counted in 2^(n/2) (Horowitz & Sahni 1974).
    """

    def __init__(self, differences: Array) -> None:
        self.size = 2 ** len(differences) - 1
        half = len(differences) // 2
        self._first, self._second = _subsets(differences[:half]), _subsets(differences[half:])
        self._ends = float(differences.min()), float(differences.max())

    def at_most(self, centre: float) -> int:
        (sums, sizes), (other_sums, other_sizes) = self._first, self._second
        others = other_sums - centre * other_sizes
        room = centre * sizes - sums
        others.sort()
        room.sort()  # for speed
        return int(others.searchsorted(room, side="right").sum()) - 1

    def nth(self, rank: int) -> float:
        low, high = self._ends
        if self.at_most(low) >= rank:
            return low
        # Until no number lies between: then `high` is the mean itself, but for rounding.
        while low < (middle := low + (high - low) / 2) < high:
            low, high = (low, middle) if self.at_most(middle) >= rank else (middle, high)
        return high


class _Drawn:
    """The means of subsets drawn at random, sorted.

    The subsets are always the same ones, so that the same data have the same p-value. Of each eight differences, a
    byte says which are in a subset, and their sum is one of 256: BLAS, whose rounding depends on the processor, has no
    part in it.
    """

    def __init__(self, differences: Array, resamples: int) -> None:
        rng = np.random.default_rng(SEED)
        sums, sizes = np.zeros(resamples), np.zeros(resamples)
        for start in range(0, len(differences), 8):
            few = differences[start : start + 8]
            members = rng.integers(2 ** len(few), size=resamples, dtype=np.uint8)
            sums += _sums(few)[members]
            sizes += _sizes(len(few))[members]
        self._sorted = np.sort(sums[sizes > 0] / sizes[sizes > 0])
        self.size = len(self._sorted)

    def at_most(self, centre: float) -> int:
        return int(np.searchsorted(self._sorted, centre, side="right"))

    def nth(self, rank: int) -> float:
        return float(self._sorted[rank - 1])


def _subsets(values: Array) -> tuple[Array, Array]:
    """Return the sum and the size of each subset, the empty one first."""
    return _sums(values), _sizes(len(values))


def _sums(values: Array) -> Array:
    """Return the sum of each subset: that of number n has the values whose bits are set in n."""
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums, sums + value])
    return sums


@functools.cache
def _sizes(count: int) -> Array:
    """Return the size of each subset of some values."""
    sizes = _sums(np.ones(count))
    sizes.flags.writeable = False
    return sizes
