"""Effect sizes, as rliable defines them, on single runs. They decide nothing."""

import dataclasses
import math

import numpy as np
from scipy import stats

from reports.statistics.basics import ALPHA, Array, Interval, resampled_rows

BOOTSTRAP_SAMPLES = 2000
"""As rliable's own default."""


@dataclasses.dataclass(frozen=True)
class Sizes:
    """The sizes of one effect, each with its 95% percentile bootstrap interval.

    Attributes:
        standardised: The mean difference over the standard sd of the reference's single runs between seeds
            (Glass's delta); None where the reference's runs don't vary.
        probability: That a run at the level has a larger outcome than one at the reference, of any two seeds, averaged
            over strata (Agarwal et al. 2021, probability of improvement).
        iqm: The difference of the interquartile means over all runs (Agarwal et al. 2021).
    """

    standardised: Interval | None
    probability: Interval
    iqm: Interval


def sizes(reference: Array, level: Array, rng: np.random.Generator) -> Sizes:
    """Return the sizes of the difference of two levels. Seeds are resampled whole: a seed's runs stay together.

    Args:
        reference: Single runs at the reference, `[seeds, strata]`: strata are what rliable calls tasks.
        level: Those at the level, of the same shape; seeds are paired.
        rng: Draws the bootstrap samples.
    """
    varies = len(reference) > 1 and float(reference.var(axis=0, ddof=1).mean()) > 0
    statistics = (*(glass_delta,) * varies, probability_of_improvement, difference_of_iqm)
    blocks = [
        [statistic(reference[rows], level[rows]) for statistic in statistics]
        for rows in resampled_rows(rng, len(reference), BOOTSTRAP_SAMPLES)
    ]
    *standardised, probability, iqm = [
        _interval(float(statistic(reference[None], level[None])[0]), np.concatenate(resampled))
        for statistic, resampled in zip(statistics, zip(*blocks, strict=True), strict=True)
    ]
    return Sizes(standardised=standardised[0] if varies else None, probability=probability, iqm=iqm)


def _interval(estimate: float, resampled: Array) -> Interval:
    finite = resampled[np.isfinite(resampled)]
    low, high = np.quantile(finite, (ALPHA / 2, 1 - ALPHA / 2)) if len(finite) else (math.nan, math.nan)
    return Interval(estimate, float(low), float(high))


def glass_delta(reference: Array, level: Array) -> Array:
    """Return the mean difference over the reference's standard deviation, pooled over strata (Glass's delta).

    Args:
        reference: `[resamples, seeds, strata]`.
        level: The same shape.

    Returns:
        `[resamples]`, not finite where the reference doesn't vary.
    """
    sd = np.sqrt(reference.var(axis=1, ddof=1).mean(axis=1))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((level - reference).mean(axis=(1, 2)) / sd)


def difference_of_iqm(reference: Array, level: Array) -> Array:
    """Return the difference of the interquartile means over all runs of all strata (Agarwal et al. 2021).

    Args:
        reference: `[resamples, seeds, strata]`.
        level: The same shape.

    Returns:
        `[resamples]`.
    """
    means = [stats.trim_mean(runs.reshape(len(runs), -1), 0.25, axis=1) for runs in (reference, level)]
    return np.asarray(means[1] - means[0])


def probability_of_improvement(reference: Array, level: Array) -> Array:
    """Return Mann and Whitney's U over its maximum, averaged over strata (Agarwal et al. 2021).

    Args:
        reference: `[resamples, seeds, strata]`.
        level: The same shape.

    Returns:
        `[resamples]`.
    """
    wins = stats.mannwhitneyu(level, reference, axis=1, method="asymptotic").statistic
    return np.asarray(wins / (reference.shape[1] * level.shape[1])).mean(axis=1)  # type: ignore[no-any-return]
