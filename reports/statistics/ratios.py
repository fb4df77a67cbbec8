"""Ratios of two means, paired by seed."""

import math

import numpy as np
from scipy import stats

from reports.statistics.basics import ALPHA, Array, Interval


def ratio(part: Array, whole: Array) -> Interval:
    """Return the mean of `part` over the mean of `whole`, with Fieller's interval (1954).

    The interval is all ratios r for which a t test doesn't reject that part - r whole has the mean zero. It is infinite
    where the test doesn't reject that the whole is zero, so that any ratio is possible.

    Args:
        part: The numerator, `[seeds]`.
        whole: The denominator, of the same seeds, `[seeds]`.
    """
    x, y, seeds = float(part.mean()), float(whole.mean()), len(part)
    estimate = x / y if y else math.nan
    if seeds < 2:
        return Interval(estimate, -math.inf, math.inf)
    covariance = np.cov(part, whole) / seeds
    t = float(stats.t.isf(ALPHA / 2, seeds - 1)) ** 2
    # (x - r y)^2 <= t (var x - 2 r cov + r^2 var y), as a r^2 - 2 b r + c <= 0.
    a, b, c = y**2 - t * covariance[1, 1], x * y - t * covariance[0, 1], x**2 - t * covariance[0, 0]
    if a <= 0:
        return Interval(estimate, -math.inf, math.inf)
    half = math.sqrt(max(0.0, b**2 - a * c))
    return Interval(estimate, float((b - half) / a), float((b + half) / a))
