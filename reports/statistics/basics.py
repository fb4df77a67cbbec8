"""What all statistics share."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]

ALPHA = 0.05


def mean_interval(values: Array, confidence: float = 1 - ALPHA) -> tuple[Array, Array, Array]:
    """Mean over seeds and its t interval, pointwise, for curves: `[seeds, points]` to three `[points]`."""
    mean = values.mean(axis=0)
    if len(values) < 2:
        return mean, mean, mean
    half = stats.t.ppf(0.5 + confidence / 2, len(values) - 1) * values.std(axis=0, ddof=1) / math.sqrt(len(values))
    return mean, mean - half, mean + half
