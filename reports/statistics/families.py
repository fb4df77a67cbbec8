"""Several tests at once: p-values corrected for their number, and the intervals that agree with them."""

from collections.abc import Sequence

import numpy as np

from reports.statistics.basics import ALPHA


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment of a family of p-values (Holm 1979).

    Not statsmodels' `multipletests`, which collects all of Python's garbage at each call: most of a report's time.
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return [float(value) for value in adjusted]


def holm_levels(p_values: Sequence[float], alpha: float = ALPHA) -> list[float]:
    """For each hypothesis of a family, the level at which Holm judged it, for an error of `alpha` in all.

    Of m p-values, the smallest is judged at alpha / m, the next at alpha / (m - 1), and so on; where that stops, all
    that are left are judged at the same.

    The test's own interval at that level leaves zero out exactly where Holm rejects it (Serlin 1993, "Holm on the
    range"). That any of a family's does so wrongly has a chance of `alpha` at most; that each has its truth in it at
    once is not promised.
    """
    p, count = np.asarray(p_values, dtype=float), len(p_values)
    levels = np.empty(count)
    stopped = None
    for step, place in enumerate(np.argsort(p, kind="stable")):
        level = alpha / (count - step)
        if stopped is None and p[place] > level:
            stopped = level
        levels[place] = stopped or level
    return [float(level) for level in levels]
