"""What several designs say together of each factor: an aggregate over designs, and Holm's correction over them."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from reports import statistics
from reports.analysis.attribution import Attribution, by_name
from reports.analysis.effects import Effect
from reports.statistics import ALPHA, Array, Interval

RESAMPLES = 2000
SEED = 0
"""Of the generator that resamples seeds."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Aggregate:
    """A factor's effect over several designs, as rliable aggregates tasks.

    Attributes:
        name: The factor, and its level where it has several.
        designs: The numbers of the designs in which it could be estimated.
        effect: The mean over designs of the effect in the reference's standard deviations, with a 95% interval of a
            stratified bootstrap: seeds are resampled whole, in each design by itself.
        standardised: The effect in each design, in that unit.
        p_adjusted: In each design, by Holm over designs.
    """

    name: str
    designs: tuple[int, ...]
    effect: Interval
    standardised: tuple[float, ...]
    p_adjusted: tuple[float, ...]


def aggregate(answers: Sequence[Attribution]) -> list[Aggregate]:
    """Aggregate each factor that several designs have. Designs whose reference doesn't vary have no unit: left out."""
    found: dict[str, list[tuple[int, Effect, float]]] = {}
    for number, answer in enumerate(answers):
        for name, effect in by_name(answer).items():
            unit = reference_deviation(answer, effect)
            if unit and len(effect.main.differences):
                found.setdefault(name, []).append((number, effect, unit))
    return [_aggregate(name, rows) for name, rows in found.items() if len(rows) > 1]


def _aggregate(name: str, rows: Sequence[tuple[int, Effect, float]]) -> Aggregate:
    rng = np.random.default_rng(SEED)
    strata = [effect.main.differences / unit for _, effect, unit in rows]
    resampled = np.mean([_resampled_means(differences, rng) for differences in strata], axis=0)
    low, high = np.quantile(resampled, (ALPHA / 2, 1 - ALPHA / 2))
    means = [float(differences.mean()) for differences in strata]
    return Aggregate(
        name=name,
        designs=tuple(number for number, _, _ in rows),
        effect=Interval(float(np.mean(means)), float(low), float(high)),
        standardised=tuple(means),
        p_adjusted=tuple(statistics.holm([effect.main.p_adjusted for _, effect, _ in rows])),
    )


def _resampled_means(differences: Array, rng: np.random.Generator) -> Array:
    rows = rng.integers(len(differences), size=(RESAMPLES, len(differences)))
    return np.asarray(differences[rows].mean(axis=1))


def reference_deviation(answer: Attribution, effect: Effect) -> float | None:
    """Return the standard deviation between seeds of single runs at the reference; None where they don't vary."""
    runs, _ = effect.contrast.sides(answer.blocks.outcomes)
    found = statistics.deviation(runs.reshape(len(runs), -1))
    return found.value if found else None
