"""Spread: whether one kind of difference varies more than another, and by how much at most.

All comparisons are of squared differences, seed by seed, and of their means: under the hypothesis that two kinds of
differences are exchangeable within seeds, the sign of the difference of their squares may be flipped.
"""

import dataclasses
import functools
import math

import numpy as np

from reports.statistics.basics import ALPHA, Array, resampled_rows
from reports.statistics.signflip import RESAMPLES, SignFlip, sign_flip

BOOTSTRAPS = 2000
SEED = 0
"""Of the generator that resamples seeds."""


@dataclasses.dataclass(frozen=True)
class Ratio:
    """The root mean square of one kind of difference over that of another.

    Attributes:
        squares: Each seed's mean squared difference, `[seeds]`.
        base: The same of the other kind, of the same seeds.
        resamples: Sign flips to draw where there are too many to try all.
    """

    squares: Array
    base: Array
    resamples: int = RESAMPLES

    @property
    def size(self) -> int:
        """The number of seeds."""
        return len(self.squares)

    @functools.cached_property
    def estimate(self) -> float:
        """The ratio; NaN where the base is zero."""
        base = float(self.base.mean())
        return math.sqrt(float(self.squares.mean()) / base) if base > 0 else math.nan

    @functools.cached_property
    def _equal(self) -> SignFlip:
        return sign_flip(self.squares - self.base, self.resamples)

    @property
    def p_larger(self) -> float:
        """One-sided p against "the ratio is at most 1"."""
        return self._equal.p_greater(0.0)

    @property
    def p_unequal(self) -> float:
        """Two-sided p against "the ratio is 1"."""
        return self._equal.p_two_sided()

    def p_below(self, bound: float) -> float:
        """Return the one-sided p against "the ratio is at least the bound"."""
        return sign_flip(self.squares - bound**2 * self.base, self.resamples).p_less(0.0)

    @functools.cached_property
    def ci(self) -> tuple[float, float]:
        """95% interval by a percentile bootstrap that resamples seeds whole; unbounded where there are too few."""
        blocks = resampled_rows(np.random.default_rng(SEED), self.size, BOOTSTRAPS)
        squares, base = np.concatenate(
            [(self.squares[rows].mean(axis=1), self.base[rows].mean(axis=1)) for rows in blocks], axis=1
        )
        if self.size < 2 or not base.min() > 0:
            return 0.0, math.inf
        low, high = np.quantile(np.sqrt(squares / base), (ALPHA / 2, 1 - ALPHA / 2))
        return float(low), float(high)
