"""Interim analyses with alpha spending: training more seeds until effects are decided.

A group-sequential test (Lan and DeMets 1983): the error that a study may make is spent as a function of the share of
seeds, here alpha * share**2 (Kim and DeMets 1987). What an analysis may spend gives the p-value that it must reach,
its nominal level, from the joint distribution of the analyses' statistics: Brownian motion, seen at the shares. The
p-values compared with it are the report's own, of sign flips: the significance-level approach (Jennison and Turnbull
2000, chapter 3.8). Inverted, they give repeated confidence intervals (Jennison and Turnbull 1989), which cover the
truth at all analyses together.

The family of effects is Holm's: what an effect that is found different no longer needs goes to the others (Maurer and
Bretz 2013). Equivalence is two one-sided tests, each spending alpha over the study.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from typing import Literal, Protocol

import numpy as np
from scipy import optimize, stats

from reports.statistics import ALPHA, Array

Decision = Literal["different", "equivalent", "undecided"]
Spending = Callable[[float, float], float]
"""The part of alpha that is spent, by the share of all seeds that has been analysed and alpha."""


class Flips(Protocol):
    """A test of paired differences, as `reports.statistics.sign_flip` makes it."""

    def p_greater(self, centre: float) -> float:
        """Return the one-sided p against "the difference is at most `centre`"."""
        ...

    def p_less(self, centre: float) -> float:
        """Return the one-sided p against "the difference is at least `centre`"."""
        ...

    def interval(self, confidence: float) -> tuple[float, float]:
        """Return the ends of all differences that the two-sided test doesn't reject."""
        ...


GRID = 801
"""Points on which a density is integrated."""
FUTURES = 400
"""Continuations of a study that are drawn to estimate how many seeds it will need."""


def power_spending(share: float, alpha: float) -> float:
    """Return the alpha spent by Kim and DeMets' power family with exponent 2: little early, but not nothing."""
    return alpha * share**2


@functools.lru_cache(maxsize=256)
def nominal_levels(shares: tuple[float, ...], alpha: float, spending: Spending = power_spending) -> tuple[float, ...]:
    """Return the one-sided p-value that each analysis must reach, so that all together err with probability `alpha`.

    By the recursion of Armitage, McPherson and Rowe (1969): the density of the sum among studies that continue.

    Args:
        shares: The share of all seeds at each analysis, rising to at most 1.
        alpha: The one-sided error of all analyses together.
        spending: The part of alpha that is spent by a share of the seeds.
    """
    levels: list[float] = []
    points, density, before, spent = np.zeros(1), np.ones(1), 0.0, 0.0
    for share in shares:
        step = math.sqrt(share - before)
        may_spend = max(spending(share, alpha) - spent, 0.0)
        spent += may_spend

        may_end = functools.partial(_crossing, points=points, density=density, step=step)
        reach = 9 * math.sqrt(share)
        bound = reach
        if may_end(reach) < may_spend:
            bound = optimize.brentq(functools.partial(_excess, may_end, may_spend), -reach, reach)
        levels.append(float(stats.norm.sf(bound / math.sqrt(share))))
        grid, weight = np.linspace(-reach, bound, GRID, retstep=True)
        trapezoid = np.full(GRID, float(weight))
        trapezoid[[0, -1]] /= 2
        density = (density @ stats.norm.pdf((grid[None, :] - points[:, None]) / step) / step) * trapezoid
        points, before = grid, share
    return tuple(levels)


def _crossing(bound: float, points: Array, density: Array, step: float) -> float:
    """Return the probability that a sum with this density is beyond the bound after another step."""
    return float(density @ stats.norm.sf((bound - points) / step))


def _excess(probability: Callable[[float], float], wanted: float, bound: float) -> float:
    return probability(bound) - wanted


@dataclasses.dataclass(frozen=True, kw_only=True)
class Schedule:
    """The numbers of seeds at which to analyse, fixed before the data.

    Attributes:
        analyses: The number of seeds at each analysis; the last is the budget.
        alpha: The error of all analyses together.
    """

    analyses: tuple[int, ...]
    alpha: float = ALPHA

    @property
    def budget(self) -> int:
        """The largest number of seeds."""
        return self.analyses[-1]

    def level(self, index: int, alpha: float) -> float:
        """Return the one-sided p-value that analysis `index` must reach, for a one-sided error of `alpha` in all."""
        return nominal_levels(tuple(seeds / self.budget for seeds in self.analyses), alpha)[index]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finding:
    """What an analysis found of one effect.

    Attributes:
        estimate: The mean difference.
        interval: The repeated interval: 95% over all analyses together, before Holm's correction, as the report's.
        decision: The decision of this analysis, or of an earlier one: no later analysis changes it.
        decided_at: The number of seeds at the analysis that decided; None where none has.
    """

    estimate: float
    interval: tuple[float, float]
    decision: Decision
    decided_at: int | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class InterimAnalysis:
    """One analysis of a study: the number of seeds, and what it found of each effect."""

    seeds: int
    findings: dict[str, Finding]

    @property
    def is_decided(self) -> bool:
        """Whether every effect is decided."""
        return all(finding.decision != "undecided" for finding in self.findings.values())


def analyse_interim(
    differences: Mapping[str, Array],
    margin: float | None,
    schedule: Schedule,
    test: Callable[[Array], Flips],
    agrees: Callable[[str, int, float], bool] = lambda _name, _seeds, _level: True,
) -> list[InterimAnalysis]:
    """Return the analyses of a study, up to the one that decides it, or to the last for which there are seeds.

    Args:
        differences: By effect, `[seeds]`, in the order in which seeds were to be run; NaN for an incomplete block.
        margin: The equivalence margin, fixed before the data; None where nothing can be called equivalent.
        schedule: When to analyse.
        test: Makes a test of paired differences.
        agrees: Called with an effect that is within the margin on average, the number of seeds, and the level: whether
            all else that has to be shown of an equivalent effect is shown too.
    """
    analyses: list[InterimAnalysis] = []
    decided: dict[str, tuple[Decision, int]] = {}
    available = min((len(values) for values in differences.values()), default=0)
    for index, seeds in enumerate(schedule.analyses):
        if seeds > available or len(decided) == len(differences):
            break
        known = {name: values[:seeds][np.isfinite(values[:seeds])] for name, values in differences.items()}
        if not all(map(len, known.values())):
            continue
        flips = {name: test(values) for name, values in known.items()}
        p_values = {name: 2 * min(flip.p_greater(0.0), flip.p_less(0.0)) for name, flip in flips.items()}
        for name in _different(p_values, decided, schedule, index):
            decided[name] = ("different", seeds)
        for name, flip in flips.items():
            level = schedule.level(index, schedule.alpha)
            inside = margin is not None and max(flip.p_greater(-margin), flip.p_less(margin)) <= level
            if name not in decided and inside and agrees(name, seeds, level):
                decided[name] = ("equivalent", seeds)
        confidence = 1 - 2 * schedule.level(index, schedule.alpha / 2)
        findings = {
            name: Finding(
                estimate=float(known[name].mean()),
                interval=flip.interval(confidence),
                decision=decided[name][0] if name in decided else "undecided",
                decided_at=decided[name][1] if name in decided else None,
            )
            for name, flip in flips.items()
        }
        analyses.append(InterimAnalysis(seeds=seeds, findings=findings))
    return analyses


def _different(
    p_values: Mapping[str, float], decided: Mapping[str, tuple[Decision, int]], schedule: Schedule, index: int
) -> list[str]:
    """Return the effects that are different at this analysis, by Holm: each that is leaves its alpha to the others."""
    found: list[str] = []
    while True:
        rejected = len(found) + sum(decision == "different" for decision, _ in decided.values())
        level = 2 * schedule.level(index, schedule.alpha / 2 / max(1, len(p_values) - rejected))
        more = [name for name, p in p_values.items() if p <= level and name not in decided and name not in found]
        if not more:
            return found
        found += more


def seeds_to_go(
    differences: Array, margin: float | None, schedule: Schedule, seen: int, others: int, rng: np.random.Generator
) -> tuple[int | None, float]:
    """Return the number of further seeds that an undecided effect is likely to need, if the estimates are true.

    Futures are drawn from the normal distribution with the estimated mean and standard deviation, and tested by t, at
    Bonferroni's share of alpha.

    Args:
        differences: Those that are known, `[seeds]`.
        margin: The equivalence margin, where there is one.
        schedule: When to analyse.
        seen: The number of seeds at the last analysis.
        others: The number of undecided effects that share alpha with this one.
        rng: Draws the futures.

    Returns:
        The median over those futures that are decided within the budget, or None, and their share of all.
    """
    ahead = [(index, seeds) for index, seeds in enumerate(schedule.analyses) if seeds > seen]
    sd = float(differences.std(ddof=1)) if len(differences) > 1 else 0.0
    if not ahead or sd == 0.0:
        return None, 0.0
    drawn = rng.normal(differences.mean(), sd, size=(FUTURES, schedule.budget - seen))
    futures = np.concatenate([np.broadcast_to(differences, (FUTURES, len(differences))), drawn], axis=1)
    needed = np.full(FUTURES, np.inf)
    for index, seeds in ahead:
        known = futures[:, : len(differences) + seeds - seen]
        mean, freedom = known.mean(axis=1), known.shape[1] - 1
        error = known.std(axis=1, ddof=1) / math.sqrt(known.shape[1])
        alpha = schedule.alpha / 2 / (1 + others)
        decides = stats.t.sf(np.abs(mean) / error, freedom) <= schedule.level(index, alpha)
        if margin is not None:
            inside = stats.t.sf((margin - np.abs(mean)) / error, freedom)
            decides |= inside <= schedule.level(index, schedule.alpha)
        needed[decides & np.isinf(needed)] = seeds - seen
    finite = needed[np.isfinite(needed)]
    return (int(np.median(finite)) if len(finite) else None), len(finite) / FUTURES
