"""What several designs say together of each factor: an aggregate over designs, and Holm's correction over them."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from reports import statistics
from reports.analysis.attribution import Attribution, by_name
from reports.analysis.effects import Effect
from reports.statistics import ALPHA, Array, Interval, TwoSample, resampled_rows

RESAMPLES = 2000
SEED = 0
"""Of the generator that resamples seeds."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Aggregate:
    """A factor's effect over several designs, as rliable aggregates tasks.

    Attributes:
        name: The factor, and its level where it has several.
        designs: The numbers of the designs that have it.
        effect: The mean over designs of the effect in the reference's standard deviations, with a 95% interval of a
            stratified bootstrap: seeds are resampled whole, in each design by itself; where they pair nothing, the runs
            of each level. None where a design has no effect in that unit.
        standardised: The effect in each design, in that unit; None where no run finished at one level, or the
            reference's runs don't vary.
        p_adjusted: In each design, by Holm over designs.
        has_failures: Whether runs failed in any: the effects are then of those that finished, and p is of ranks.
    """

    name: str
    designs: tuple[int, ...]
    effect: Interval | None
    standardised: tuple[float | None, ...]
    p_adjusted: tuple[float, ...]
    has_failures: bool


def aggregate(answers: Sequence[Attribution]) -> list[Aggregate]:
    """Aggregate each factor that several designs have."""
    found: dict[str, list[tuple[int, Effect, float | None]]] = {}
    for number, answer in enumerate(answers):
        for name, effect in by_name(answer).items():
            unit = reference_deviation(answer, effect) if math.isfinite(effect.main.estimate) else None
            found.setdefault(name, []).append((number, effect, unit or None))
    return [_aggregate(name, rows) for name, rows in found.items() if len(rows) > 1]


def _aggregate(name: str, rows: Sequence[tuple[int, Effect, float | None]]) -> Aggregate:
    measured = [(effect, unit) for _, effect, unit in rows if unit]
    return Aggregate(
        name=name,
        designs=tuple(number for number, _, _ in rows),
        effect=_mean_over_designs(measured) if len(measured) == len(rows) else None,
        standardised=tuple(effect.main.estimate / unit if unit else None for _, effect, unit in rows),
        p_adjusted=tuple(statistics.holm([effect.main.p_adjusted for _, effect, _ in rows])),
        has_failures=any(effect.mean.has_failures for _, effect, _ in rows),
    )


def _mean_over_designs(rows: Sequence[tuple[Effect, float]]) -> Interval:
    rng = np.random.default_rng(SEED)
    resampled = np.mean([_resampled_estimates(effect, rng) / unit for effect, unit in rows], axis=0)
    low, high = np.quantile(resampled, (ALPHA / 2, 1 - ALPHA / 2))
    return Interval(float(np.mean([effect.main.estimate / unit for effect, unit in rows])), float(low), float(high))


def _resampled_estimates(effect: Effect, rng: np.random.Generator) -> Array:
    """`[RESAMPLES]`."""
    test = effect.main.test
    if isinstance(test, TwoSample):
        both = [(_resampled_means(reference, rng), _resampled_means(level, rng)) for reference, level in test.strata]
        return np.asarray(np.mean([level - reference for reference, level in both], axis=0))
    return _resampled_means(effect.main.differences, rng)


def _resampled_means(values: Array, rng: np.random.Generator) -> Array:
    return np.concatenate([values[rows].mean(axis=1) for rows in resampled_rows(rng, len(values), RESAMPLES)])


def reference_deviation(answer: Attribution, effect: Effect) -> float | None:
    """Return the standard deviation between seeds of single runs at the reference; None where they don't vary."""
    runs, _ = effect.contrast.sides(answer.blocks.outcomes)
    found = statistics.deviation(runs.reshape(len(runs), -1))
    return found.value if found else None
