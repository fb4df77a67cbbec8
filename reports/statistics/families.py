"""Several tests at once: p-values corrected for their number, and the intervals that agree with them."""

from collections.abc import Sequence

import numpy as np

from reports.statistics.basics import ALPHA
from reports.statistics.signflip import SignFlip


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment of a family of p-values (Holm 1979).

    Not statsmodels' `multipletests`, which collects all of Python's garbage at each call: most of a report's time.
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return [float(value) for value in adjusted]


def compatible_levels(p_values: Sequence[float]) -> list[float]:
    """For each hypothesis of a family, the level alpha of its `compatible_interval`.

    Of m hypotheses, let Holm reject r: alpha / m where it rejects, and alpha / (m - r) where it retains, which is the
    level at which it stopped.
    """
    rejected = [p <= ALPHA for p in holm(p_values)]
    retained = len(rejected) - sum(rejected)
    return [ALPHA / (len(rejected) if reject else retained) for reject in rejected]


def compatible_interval(flip: SignFlip, level: float, rejected: bool) -> tuple[float, float]:
    """An interval that leaves zero out exactly where Holm rejects it; a family's have 95% all together.

    After Strassburger & Bretz (2008) and Guilbaud (2008): the test's own interval at the level that
    `compatible_levels` says; where Holm rejects zero and that interval reaches beyond it, it ends there, and that end,
    0.0, isn't part of it.
    """
    low, high = flip.interval(1 - level)
    if rejected and low <= 0 <= high:
        return (0.0, high) if flip.p_greater(0.0) < flip.p_less(0.0) else (low, 0.0)
    return low, high
