"""What all statistics share."""

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]

ALPHA = 0.05
BLOCK = 2**18
"""Numbers that bootstrap samples and permutations draw at once: all of them would fill the memory."""


@dataclasses.dataclass(frozen=True)
class Interval:
    """An estimate and its 95% interval."""

    estimate: float
    low: float
    high: float


def resampled_rows(rng: np.random.Generator, seeds: int, resamples: int) -> Iterator[NDArray[np.int64]]:
    """Draw bootstrap samples of seeds, some at a time.

    Args:
        rng: Draws them.
        seeds: How many there are, and how many a sample has.
        resamples: How many samples to draw.

    Yields:
        The seeds of some samples, `[samples, seeds]`.
    """
    samples = max(1, BLOCK // seeds)
    for start in range(0, resamples, samples):
        yield rng.integers(seeds, size=(min(samples, resamples - start), seeds))


def mean_interval(values: Array, confidence: float = 1 - ALPHA) -> tuple[Array, Array, Array]:
    """Return the mean over seeds, and the ends of its t interval at each point of a curve.

    Args:
        values: `[seeds, points]`.
        confidence: Of the interval; with a single seed both ends are the mean.

    Returns:
        The mean, the lower and the upper end, `[points]` each.
    """
    mean = values.mean(axis=0)
    if len(values) < 2:
        return mean, mean, mean
    half = stats.t.ppf(0.5 + confidence / 2, len(values) - 1) * values.std(axis=0, ddof=1) / math.sqrt(len(values))
    return mean, mean - half, mean + half


def median_interval(values: Array) -> Interval:
    """Return the median over seeds, some of which may be infinite, and SciPy's exact interval by order statistics."""
    middle = float(np.quantile(values, 0.5, method="inverted_cdf"))
    found: Any = stats.quantile_test(values, q=0.0, p=0.5).confidence_interval(1 - ALPHA)
    low, high = float(found.low), float(found.high)
    return Interval(middle, -math.inf if math.isnan(low) else low, math.inf if math.isnan(high) else high)
