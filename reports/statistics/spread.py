"""Whether one kind of difference scatters more than another."""

import dataclasses
import functools
import math

import numpy as np

from reports.statistics.basics import ALPHA, Array
from reports.statistics.signflip import RESAMPLES, sign_flip

BOOTSTRAPS = 2000


@dataclasses.dataclass(frozen=True)
class SpreadTest:
    """Whether a pair's differences scatter more than the control's."""

    pair_squares: Array
    """each seed's mean squared difference, `[seeds]`"""
    control_squares: Array
    p: float
    """one-sided, against "not more than the control's" """

    @property
    def spread(self) -> float:
        """Root mean square of the pair's differences."""
        return math.sqrt(self.pair_squares.mean())

    @property
    def control_spread(self) -> float:
        """The same of the control's."""
        return math.sqrt(self.control_squares.mean())

    @functools.cached_property
    def ratio_ci(self) -> tuple[float, float]:
        """95%, of spread over control_spread: seeds resampled whole. What a test that doesn't reject leaves open."""
        seeds = len(self.pair_squares)
        rows = np.random.default_rng(0).integers(seeds, size=(BOOTSTRAPS, seeds))
        control = self.control_squares[rows].mean(axis=1)
        if seeds < 2 or not control.min() > 0:
            return 0.0, math.inf
        low, high = np.quantile(
            np.sqrt(self.pair_squares[rows].mean(axis=1) / control), (ALPHA / 2, 1 - ALPHA / 2)
        )  # fmt: skip
        return float(low), float(high)


def compare_spread(pair: Array, control: Array, resamples: int = RESAMPLES) -> SpreadTest:
    """Compare the scatter of a pair's differences with the control's, by swapping the two within seeds.

    Under the hypothesis that all four runs of a block (both conditions, each with and without the one-ulp nudge) are
    exchangeable, a seed's differences between conditions and those between replicates can be swapped. The swap changes
    the sign of the difference of their mean squares, so it is a sign flip, and one-sided.

    **Arguments**: `pair`, `[seeds, ...]`, differences between conditions, about zero or centred; `control`,
    `[seeds, ...]`, differences between replicates.
    """
    pair_squares, control_squares = ((values.reshape(len(values), -1) ** 2).mean(1) for values in (pair, control))
    flip = sign_flip(pair_squares - control_squares, resamples)
    return SpreadTest(pair_squares, control_squares, p=flip.p_greater(0.0))
