"""What all statistics share."""

import dataclasses
import math
from typing import Any

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
    """Return the median over seeds, some of which may be infinite, and SciPy's exact interval by order statistics."""
    middle = float(np.quantile(values, 0.5, method="inverted_cdf"))
    found: Any = stats.quantile_test(values, q=0.0, p=0.5).confidence_interval(1 - ALPHA)
    low, high = float(found.low), float(found.high)
    return Interval(middle, -math.inf if math.isnan(low) else low, math.inf if math.isnan(high) else high)
