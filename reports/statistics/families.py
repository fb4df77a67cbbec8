"""Several tests at once: p-values corrected for their number, and the intervals that agree with them."""

from collections.abc import Sequence

import numpy as np

from reports.statistics.basics import ALPHA


def holm(p_values: Sequence[float]) -> list[float]:
    """Return a family of p-values, adjusted by Holm's step-down procedure (Holm 1979).

    Not statsmodels' `multipletests`, which collects all of Python's garbage at each call: most of a report's time.
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return [float(value) for value in adjusted]


def holm_factors(p_values: Sequence[float]) -> list[int]:
    """Return by what Holm's procedure multiplies each p-value of a family: the number of those that it is among."""
    order = np.argsort(np.asarray(p_values, dtype=float), kind="stable")
    return [len(p_values) - int(step) for step in np.argsort(order)]


def holm_levels(p_values: Sequence[float], alpha: float = ALPHA) -> list[float]:
    """Return the level at which Holm's procedure judges each hypothesis of a family, for an error of `alpha` in all.

    Of m p-values, the smallest is judged at alpha / m, the next at alpha / (m - 1), and so on; where that stops, all
    that are left are judged at the same level.

    The test's own interval at that level leaves zero out exactly where Holm rejects it (Serlin 1993, "Holm on the
    range"). The chance that any interval of the family does so wrongly is at most `alpha`. The intervals are not
    simultaneous: their joint coverage may be lower.
    """
    p, count = np.asarray(p_values, dtype=float), len(p_values)
    levels = np.empty(count)
    stopped = None
    for step, index in enumerate(np.argsort(p, kind="stable")):
        level = alpha / (count - step)
        if stopped is None and p[index] > level:
            stopped = level
        levels[index] = stopped or level
    return [float(level) for level in levels]
