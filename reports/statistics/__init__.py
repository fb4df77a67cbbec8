"""Tests and intervals, as small pure functions on arrays. The seed is the unit: one number, or row, is a seed's.

- `signflip`: is there a difference? A permutation test, and the interval that is its inversion.
- `equivalence`: is it as good as none? Two one-sided tests, inside a margin that is given or estimated.
- `families`: several tests at once: Holm's p-values, and the intervals that agree with them.
- `sizes`: how large it is, in the units that readers of the field know.
- `ratios`: what share one mean is of another.
- `spread`: does one kind of difference scatter more than another?
- `variance`: what the variance consists of.
- `power`: how many seeds would decide.
- `sequential`: the verdict, looked at again and again while seeds come in.
"""

from reports.statistics.basics import ALPHA, Array, Interval, mean_interval, median_interval
from reports.statistics.equivalence import Deviation, Margin, deviation, p_equivalent
from reports.statistics.families import holm, holm_levels
from reports.statistics.power import POWER, fewest_seeds, power_different, power_equivalent, seeds_needed
from reports.statistics.ratios import ratio
from reports.statistics.signflip import RESAMPLES, SignFlip, sign_flip
from reports.statistics.sizes import Sizes, sizes
from reports.statistics.spread import SpreadTest, compare_spread
from reports.statistics.variance import Shares, mixed_model_shares, variance_shares

__all__ = [
    "ALPHA",
    "POWER",
    "RESAMPLES",
    "Array",
    "Deviation",
    "Interval",
    "Margin",
    "Shares",
    "SignFlip",
    "Sizes",
    "SpreadTest",
    "compare_spread",
    "deviation",
    "fewest_seeds",
    "holm",
    "holm_levels",
    "mean_interval",
    "median_interval",
    "mixed_model_shares",
    "p_equivalent",
    "power_different",
    "power_equivalent",
    "ratio",
    "seeds_needed",
    "sign_flip",
    "sizes",
    "variance_shares",
]
