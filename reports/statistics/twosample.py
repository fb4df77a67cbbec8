"""Is there a difference between runs that nothing pairs? Permutations of their labels, and Welch's intervals."""

import dataclasses
import functools
import math
from collections.abc import Iterator, Sequence

import numpy as np
from scipy import stats

from reports.statistics.basics import ALPHA, BLOCK, Array

RESAMPLES = 10_000
SEED = 0
"""Of the generator that draws permutations."""

Stratum = tuple[Array, Array]
"""Outcomes at the reference and at the level, `[runs]` each."""


@dataclasses.dataclass(frozen=True)
class TwoSample:
    """The difference of two levels' means, averaged over strata.

    Attributes:
        strata: In each of them, both levels' outcomes.
    """

    strata: Sequence[Stratum]

    @property
    def size(self) -> int:
        """Runs at the level that has fewer."""
        return min(sum(len(side) for side in sides) for sides in zip(*self.strata, strict=True))

    @functools.cached_property
    def estimate(self) -> float:
        """The mean over strata of the level's mean less the reference's."""
        return float(np.mean([level.mean() - reference.mean() for reference, level in self.strata]))

    @property
    def error(self) -> float | None:
        """The estimate's standard error; None where a level has a single run in some stratum."""
        error, _ = self._error
        return None if math.isnan(error) else error

    @functools.cached_property
    def _error(self) -> tuple[float, float]:
        """Standard error and degrees of freedom (Welch 1938, Satterthwaite 1946)."""
        parts = [
            (float(side.var(ddof=1)) / len(side) / len(self.strata) ** 2, len(side) - 1)
            for stratum in self.strata
            for side in stratum
            if len(side) > 1
        ]
        variance = sum(part for part, _ in parts)
        if len(parts) < 2 * len(self.strata) or not variance > 0:
            return math.nan, math.nan
        return math.sqrt(variance), variance**2 / sum(part**2 / degrees for part, degrees in parts)

    @functools.cached_property
    def _p_permuted(self) -> float:
        """Two-sided, of the studentised difference under permutations of the labels within strata (Janssen 1997)."""
        error, _ = self._error
        if math.isnan(error):
            is_constant = all(len(side) > 1 for stratum in self.strata for side in stratum)
            return self.smallest_p if is_constant and self.estimate != 0.0 else 1.0
        rng = np.random.default_rng(SEED)
        by_stratum = [np.concatenate([*_permuted(rng, *stratum)], axis=1) for stratum in self.strata]
        estimates, variances = np.sum(by_stratum, axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            drawn = np.abs(estimates) / np.sqrt(variances)
        observed = abs(self.estimate) / error
        return float((1 + (drawn >= observed * (1 - 1e-9)).sum()) / (1 + RESAMPLES))

    def p_greater(self, centre: float) -> float:
        """Return Welch's one-sided p against "the difference is at most this"."""
        error, degrees = self._error
        return 1.0 if math.isnan(error) else float(stats.t.sf((self.estimate - centre) / error, degrees))

    def p_less(self, centre: float) -> float:
        """Return Welch's one-sided p against "the difference is at least this"."""
        error, degrees = self._error
        return 1.0 if math.isnan(error) else float(stats.t.cdf((self.estimate - centre) / error, degrees))

    def p_two_sided(self, centre: float = 0.0) -> float:
        """Return the p against "the difference is this": of permutations for zero, else Welch's."""
        return self._p_permuted if centre == 0.0 else min(1.0, 2 * min(self.p_greater(centre), self.p_less(centre)))

    def interval(self, confidence: float = 1 - ALPHA) -> tuple[float, float]:
        """Return Welch's interval; infinite where a level has a single run in some stratum."""
        error, degrees = self._error
        if math.isnan(error):
            return -math.inf, math.inf
        half = error * float(stats.t.isf((1 - confidence) / 2, degrees))
        return self.estimate - half, self.estimate + half

    @property
    def smallest_p(self) -> float:
        """The smallest two-sided p that so many runs can have."""
        ways = math.prod(math.comb(len(a) + len(b), len(a)) for a, b in self.strata)
        return max(2 / ways, 1 / (1 + RESAMPLES))


def _permuted(rng: np.random.Generator, reference: Array, level: Array) -> Iterator[Array]:
    """Permute the labels of a stratum's runs, and yield the difference of the means and its variance, `[2, some]`."""
    pooled = np.concatenate([reference, level])
    rows = max(1, BLOCK // len(pooled))
    for start in range(0, RESAMPLES, rows):
        runs = np.broadcast_to(pooled, (min(rows, RESAMPLES - start), len(pooled)))
        shuffled = rng.permuted(runs, axis=1)
        sides = shuffled[:, : len(reference)], shuffled[:, len(reference) :]
        difference = sides[1].mean(axis=1) - sides[0].mean(axis=1)
        yield np.stack([difference, sum(side.var(axis=1, ddof=1) / side.shape[1] for side in sides)])
