"""How large a difference is, in the units that readers of the field know. Point estimates with bootstrap intervals."""

import dataclasses
import math
import warnings
from collections.abc import Callable

import numpy as np
from scipy import stats

from reports.statistics.basics import ALPHA, Array, Interval

RESAMPLES = 2000
"""As rliable's own default."""


@dataclasses.dataclass(frozen=True)
class Sizes:
    """What one effect amounts to."""

    mean: Interval
    """the mean difference, with a BCa bootstrap interval (Efron 1987): a cross-check on the sign flips' own"""
    standardised: Interval | None
    """the same over the deviation between seeds of single runs of the reference (Glass's delta); None without one"""
    probability: Interval
    """of improvement: that a run of b has a larger outcome than one of a, of any seeds (Agarwal et al. 2021)"""
    iqm: Interval
    """the difference of interquartile means (Agarwal et al. 2021)"""


def sizes(a: Array, b: Array, reference: Array, rng: np.random.Generator) -> Sizes:
    """What the difference between b and a amounts to. Seeds are resampled whole: what belongs to a seed stays together.

    **Arguments**: `a` and `b`, `[seeds]`, each seed's mean at one level of a factor; `reference`, `[seeds, runs]`,
    single runs, `[seeds, 0]` if there are none.
    """
    seeds = len(a)
    rows = rng.integers(seeds, size=(RESAMPLES, seeds))
    difference = b - a

    def interval(estimate: float, resampled: Array) -> Interval:
        finite = resampled[np.isfinite(resampled)]
        low, high = np.quantile(finite, (ALPHA / 2, 1 - ALPHA / 2)) if len(finite) else (math.nan, math.nan)
        return Interval(estimate, float(low), float(high))

    standardised = None
    if reference.shape[1] and (spread := float(_deviations(reference[None])[0])) > 0:
        with np.errstate(divide="ignore", invalid="ignore"):
            resampled = difference[rows].mean(axis=1) / _deviations(reference[rows])
        standardised = interval(float(difference.mean()) / spread, resampled)
    return Sizes(
        mean=bca(difference, rng),
        standardised=standardised,
        probability=interval(
            float(probability_of_improvement(a[None], b[None])[0]), probability_of_improvement(a[rows], b[rows])
        ),
        iqm=stratified_bootstrap(np.stack([a, b], axis=1)[:, None], _difference_of_iqm, rng),
    )


def iqm(values: Array) -> Array:
    """Interquartile mean over the last axis: what is left of it without the lowest and the highest quarter."""
    return np.asarray(stats.trim_mean(values, 0.25, axis=-1))


def _difference_of_iqm(strata: Array) -> Array:
    """`[resamples, seeds, strata, a and b]` to `[resamples]`: over all runs of all strata, as rliable has it."""
    runs = strata.reshape(len(strata), -1, 2)
    return np.asarray(iqm(runs[:, :, 1]) - iqm(runs[:, :, 0]))


def probability_of_improvement(a: Array, b: Array) -> Array:
    """Share of all pairs of seeds in which b is larger, ties half: `[resamples, seeds]` twice to `[resamples]`."""
    larger = (b[:, :, None] > a[:, None, :]).mean(axis=(1, 2))
    ties: Array = (b[:, :, None] == a[:, None, :]).mean(axis=(1, 2))
    return np.asarray(larger + ties / 2)


def stratified_bootstrap(
    strata: Array, statistic: Callable[[Array], Array], rng: np.random.Generator, resamples: int = RESAMPLES
) -> Interval:
    """A statistic with its percentile interval, seeds resampled in each stratum by itself (rliable's bootstrap).

    **Arguments**: `strata`, `[seeds, strata, ...]`; what is on further axes stays together; `statistic`, from
    `[resamples, seeds, strata, ...]` to `[resamples]`.
    """
    seeds, columns = strata.shape[:2]
    rows = rng.integers(seeds, size=(resamples, seeds, columns))
    resampled = statistic(strata[rows, np.arange(columns)])
    low, high = np.quantile(resampled, (ALPHA / 2, 1 - ALPHA / 2))
    return Interval(float(statistic(strata[None])[0]), float(low), float(high))


def bca(values: Array, rng: np.random.Generator) -> Interval:
    """The mean with SciPy's bias-corrected and accelerated bootstrap interval; NaN where it has none."""
    mean = float(values.mean())
    if len(values) < 3 or np.ptp(values) <= 1e-12 * abs(mean):
        return Interval(mean, math.nan, math.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        found = stats.bootstrap((values,), np.mean, n_resamples=RESAMPLES, method="BCa", rng=rng).confidence_interval
    return Interval(mean, float(found.low), float(found.high))


def _deviations(reference: Array) -> Array:
    """`[resamples, seeds, runs]` to `[resamples]`: the deviation between seeds, pooled over runs."""
    if reference.shape[1] < 2:
        return np.zeros(len(reference))
    return np.asarray(np.sqrt(reference.var(axis=1, ddof=1).mean(axis=1)))
