"""Failures: whether runs fail more often at one level than at another."""

import math

import numpy as np
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep

from reports.statistics.basics import ALPHA, Array
from reports.statistics.signflip import sign_flip

MOST = 0.05
"""A difference of failure rates up to which they count as equal."""


def p_failures(differences: Array) -> float:
    """Return the p of sign flips of the differences of failure shares within seeds, `[seeds]`.

    Seeds without a difference are left out, since a flip changes nothing there: the rest is seldom too many to try all.
    """
    differing = differences[differences != 0]
    return sign_flip(differing).p_two_sided() if len(differing) else 1.0


def p_failures_unpaired(reference: tuple[int, int], level: tuple[int, int]) -> float:
    """Return the p of Fisher's exact test. Each argument is the number of failed runs, and that of all."""
    table = np.array([[failed, count - failed] for failed, count in (reference, level)])
    return float(stats.fisher_exact(table).pvalue)


def are_bounded(reference: tuple[int, int], level: tuple[int, int]) -> bool:
    """Return whether the failure rates differ by less than `MOST`, by Newcombe's 95% interval (1998).

    Args:
        reference: The number of seeds with a failed run, and that of all.
        level: The same at the other level.
    """
    if not reference[1] or not level[1]:
        return False
    low, high = confint_proportions_2indep(*level, *reference, method="newcomb", compare="diff", alpha=ALPHA)
    return bool(np.isfinite(low) and low > -MOST and high < MOST)


def rarest_visible(seeds: int) -> float:
    """Return the rate of failures that this number of seeds shows at least once with 95% (the rule of three)."""
    return 1 - math.pow(ALPHA, 1 / seeds) if seeds else 1.0
