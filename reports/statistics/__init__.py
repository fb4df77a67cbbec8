"""Tests and intervals, as small pure functions on arrays. The seed is the unit: one number, or row, is a seed's.

- `signflip`: is there a difference? A permutation test, and the interval that is its inversion.
- `twosample`: the same of runs that nothing pairs.
- `equivalence`: is it within the equivalence margin? Two one-sided tests; the margin is given or estimated.
- `families`: several tests at once: Holm's p-values, and the intervals that agree with them.
- `skew`: a t test that corrects for skewness, as a check.
- `spread`: does one kind of difference vary more than another, and by how much at most?
- `failures`: do runs fail more often?
- `sizes`: how large a difference is, in rliable's units.
- `ratios`: what share one mean is of another.
- `variance`: what the variance consists of.
- `power`: what a study can see, and how many seeds would decide.
- `sequential`: the same tests, at interim analyses.
"""

from reports.statistics.basics import ALPHA, Array, Interval, mean_interval, median_interval, resampled_rows
from reports.statistics.equivalence import Margin, StandardDeviation, Test, Untested, p_equivalent, standard_deviation
from reports.statistics.failures import are_bounded, p_failures, p_failures_unpaired, rarest_visible
from reports.statistics.families import holm, holm_factors, holm_levels
from reports.statistics.power import (
    POWER,
    detectable,
    exaggeration,
    fewest_for,
    fewest_seeds,
    fewest_unpaired,
    power_different,
    power_equivalent,
)
from reports.statistics.ratios import ratio
from reports.statistics.signflip import RESAMPLES, SignFlip, sign_flip
from reports.statistics.sizes import Sizes, sizes
from reports.statistics.skew import p_johnson
from reports.statistics.spread import Ratio
from reports.statistics.twosample import TwoSample
from reports.statistics.variance import variance_shares

__all__ = [
    "ALPHA",
    "POWER",
    "RESAMPLES",
    "Array",
    "Interval",
    "Margin",
    "Ratio",
    "SignFlip",
    "Sizes",
    "StandardDeviation",
    "Test",
    "TwoSample",
    "Untested",
    "are_bounded",
    "detectable",
    "exaggeration",
    "fewest_for",
    "fewest_seeds",
    "fewest_unpaired",
    "holm",
    "holm_factors",
    "holm_levels",
    "mean_interval",
    "median_interval",
    "p_equivalent",
    "p_failures",
    "p_failures_unpaired",
    "p_johnson",
    "power_different",
    "power_equivalent",
    "rarest_visible",
    "ratio",
    "resampled_rows",
    "sign_flip",
    "sizes",
    "standard_deviation",
    "variance_shares",
]
