"""What all statistics share."""

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]

ALPHA = 0.05


@dataclasses.dataclass(frozen=True)
class Interval:
    """An estimate and its 95% interval."""

    estimate: float
    low: float
    high: float


def mean_interval(values: Array, confidence: float = 1 - ALPHA) -> tuple[Array, Array, Array]:
    """Mean over seeds and its t interval, pointwise, for curves: `[seeds, points]` to three `[points]`."""
    mean = values.mean(axis=0)
    if len(values) < 2:
        return mean, mean, mean
    half = stats.t.ppf(0.5 + confidence / 2, len(values) - 1) * values.std(axis=0, ddof=1) / math.sqrt(len(values))
    return mean, mean - half, mean + half


def median_interval(values: Array) -> Interval:
    """The median over seeds, some of which may be infinite, and the exact interval that order statistics give it:
    the narrowest symmetric one that a binomial of a half leaves out with 5% at most, else of all numbers.
    """
    ordered = np.sort(values)
    count = len(ordered)
    rank = int(stats.binom.ppf(ALPHA / 2, count, 0.5))
    middle = float(np.quantile(ordered, 0.5, method="inverted_cdf"))
    if rank == 0 or stats.binom.cdf(rank - 1, count, 0.5) > ALPHA / 2:
        return Interval(middle, -math.inf, math.inf)
    return Interval(middle, float(ordered[rank - 1]), float(ordered[count - rank]))
