"""Each factor's effect over several designs: an aggregate, and Holm's correction over the designs."""

import dataclasses
import functools
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from scipy import stats

from reports import statistics
from reports.analysis.attribution import Attribution, by_name
from reports.analysis.effects import Effect
from reports.statistics import ALPHA, Interval

FEWEST_SEEDS = 5
"""The fewest seeds of each design, or unpaired runs of each level, for an interval of the mean over designs.

With fewer, the unit, which is taken as known, varies so much that the interval errs in up to 8% of studies.
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Aggregate:
    """A factor's effect over several designs, as rliable aggregates tasks.

    Attributes:
        name: The factor, and its level where it has several.
        designs: The numbers of the designs that have it.
        effect: The mean over designs of the effect in the reference's standard deviations, with a 95% t interval, the
            unit taken as known and with the degrees of freedom of the smallest design; infinite with fewer than
            `FEWEST_SEEDS`. None where a design has no effect in that unit.
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
    """Return the aggregate of each factor that several designs have."""
    found: dict[str, list[_Row]] = {}
    for number, answer in enumerate(answers):
        for name, effect in by_name(answer).items():
            found.setdefault(name, []).append(_Row(number, answer, effect))
    return [_aggregate(name, rows) for name, rows in found.items() if len(rows) > 1]


@dataclasses.dataclass(frozen=True, eq=False)
class _Row:
    """A factor's effect in a design."""

    design: int
    answer: Attribution
    effect: Effect

    @functools.cached_property
    def unit(self) -> float | None:
        """The reference's standard deviation; None where the effect has no size in it."""
        is_known = math.isfinite(self.effect.main.estimate)
        return (reference_sd(self.answer, self.effect) or None) if is_known else None

    @property
    def standardised(self) -> float | None:
        return self.effect.main.estimate / self.unit if self.unit else None

    @property
    def influences(self) -> Iterator[tuple[int, float]]:
        """Each seed, and its influence on the standardised effect."""
        main = self.effect.main
        for seed, difference in zip(main.seeds, main.differences, strict=True):
            yield self.answer.blocks.seeds[seed], (difference - main.estimate) / (main.size * (self.unit or math.nan))


def _aggregate(name: str, rows: Sequence[_Row]) -> Aggregate:
    return Aggregate(
        name=name,
        designs=tuple(row.design for row in rows),
        effect=_mean_over_designs(rows) if all(row.unit for row in rows) else None,
        standardised=tuple(row.standardised for row in rows),
        p_adjusted=tuple(statistics.holm([row.effect.mean.p for row in rows])),
        has_failures=any(row.effect.mean.has_failures for row in rows),
    )


def _mean_over_designs(rows: Sequence[_Row]) -> Interval:
    mean = float(np.mean([row.effect.main.estimate / (row.unit or math.nan) for row in rows]))
    size = min(row.effect.main.size for row in rows)
    if size < FEWEST_SEEDS:
        return Interval(mean, -math.inf, math.inf)
    variance = _variance_over_seeds(rows, size) if rows[0].answer.paired else _variance_over_runs(rows)
    error = math.sqrt(variance) / len(rows)
    half = float(stats.t.isf(ALPHA / 2, size - 1)) * error
    return Interval(mean, mean - half, mean + half)


def _variance_over_seeds(rows: Sequence[_Row], size: int) -> float:
    """Return the variance of the sum of effects.

    A seed's differences may be correlated between designs: its influences are summed over designs, then squared.
    """
    moved: defaultdict[int, float] = defaultdict(float)
    for row in rows:
        for seed, influence in row.influences:
            moved[seed] += influence
    return sum(each**2 for each in moved.values()) * size / (size - 1)


def _variance_over_runs(rows: Sequence[_Row]) -> float:
    """Return the variance of the sum of effects of unpaired runs."""
    return sum(((row.effect.main.error or math.inf) / (row.unit or math.nan)) ** 2 for row in rows)


def reference_sd(answer: Attribution, effect: Effect) -> float | None:
    """Return the standard deviation between seeds of single runs at the reference; None where they don't vary."""
    runs, _ = effect.contrast.sides(answer.blocks.outcomes)
    found = statistics.standard_deviation(runs.reshape(len(runs), -1))
    return found.value if found else None
