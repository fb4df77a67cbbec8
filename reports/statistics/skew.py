"""A t test that corrects for skewness, beside the sign flips, which take differences to be symmetric."""

import math

import numpy as np
from scipy import stats

from reports.statistics.basics import Array


def p_johnson(differences: Array) -> float | None:
    """Return the two-sided p of Johnson's modified t test against "the mean is zero".

    Sign flips are exact for differences that are symmetric about their mean. Where they are skewed, the mean and the
    estimate of its error are correlated, and Johnson's statistic corrects for that up to the third moment.

    Args:
        differences: Of pairs, `[seeds]`.

    Returns:
        The p, of a t distribution with `seeds - 1` degrees of freedom; None with fewer than 3 seeds or no variance.

    Source: Johnson (1978), "Modified t tests and confidence intervals for asymmetrical populations", equation 2.5. The
    corrected mean isn't monotonic in the mean: beyond its extremum, it keeps its value there.
    """
    count = len(differences)
    if count < 3 or not float(differences.var(ddof=1)) > 0:
        return None
    # The statistic has no unit: scaled so, no power of a large number overflows.
    differences = differences / np.abs(differences).max()
    mean, variance = float(differences.mean()), float(differences.var(ddof=1))
    third = float(((differences - mean) ** 3).mean())
    curvature = third / (3 * variance**2)
    # The correction is a parabola in the mean. Beyond its vertex a larger mean would be less significant.
    if 1 + 2 * curvature * mean < 0:
        mean = -1 / (2 * curvature)
    corrected = mean + third / (6 * variance * count) + curvature * mean**2
    return float(2 * stats.t.sf(abs(corrected) / math.sqrt(variance / count), count - 1))
