"""Comparisons of two of the thread's designs.

They show where amplification comes from, and whether the scale's learning speed explains the parameterization's effect.
"""

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from reports.analysis.attribution import Attribution, attribute, differences_of
from reports.analysis.design import Design
from reports.analysis.effects import Effect
from reports.analysis.mechanism import ULP, Gaps, rates
from reports.statistics import Array, Interval, ratio
from reports.thread import FACTORS

LAW = {"adam": 0.5, "sgd": 0.25}
"""By optimizer, the multiple of the raw scale's learning rate with which a std learns as a variance does.

With log std = raw scale / 2, its gradient is half as large, and a step in it counts half: a quarter in all. Adam
divides by the gradient's size, so that only the step's half is left.
"""
NEGLIGIBLE_EPSILON = 0.01
"""Adam's epsilon, over the typical size of the raw scale's gradient, up to which it may be neglected."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Amplification:
    """The growth of a gap, on each run's own rollouts and on shared ones.

    Attributes:
        own: The name of the design with own rollouts.
        shared: The name of the design with shared rollouts.
        comparison: The arms.
        precision: Of the runs.
        own_rate: Growth on own rollouts, in orders of magnitude an update.
        shared_rate: Growth on shared rollouts, which is the optimizer's alone.
        environment: The environment's share of the growth on own rollouts.
    """

    own: str
    shared: str
    comparison: str
    precision: str
    own_rate: Interval
    shared_rate: Interval
    environment: Interval


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compensation:
    """The prediction from the scale's learning speed, and its test.

    Attributes:
        plain: The name of the design without compensation.
        compensated: The name of the design with it.
        optimizer: Of both.
        law: The learning rate of the raw scale, as a multiple: see `LAW`.
        plain_effect: The parameterization's effect in the plain design.
        answer: For the compensated design.
        explained: The share of the plain design's effect that is gone; None where that isn't *different*.
        channels: In words, what compensation can't cancel and may act here.
    """

    plain: str
    compensated: str
    optimizer: str
    law: float
    plain_effect: Effect | None
    answer: Attribution
    explained: Interval | None
    channels: list[str]

    @property
    def effect(self) -> Effect | None:
        """The parameterization's effect with compensation: none, if the prediction holds."""
        return self.answer.effect("parameterization")


def amplifications(designs: Sequence[Design]) -> list[Amplification]:
    """Return the growth of gaps in designs that differ in `rollouts` alone, of arms that must agree and of controls."""
    found = []
    for own, shared in _counterparts(designs, "rollouts", "own", "shared"):
        by_arms = {(other.a, other.b, other.precision): other for other in shared.gaps}
        for comparison in own.gaps:
            other = by_arms.get((comparison.a, comparison.b, comparison.precision))
            if other is None or not _must_agree(own, comparison):
                continue
            rates_own, rates_shared = _common(comparison, other)
            if len(rates_own) and comparison.rate and other.rate:
                share = ratio(rates_own - rates_shared, rates_own)
                found.append(
                    Amplification(
                        own=own.name,
                        shared=shared.name,
                        comparison=f"{ULP}: {comparison.a}"
                        if comparison.is_control
                        else f"{comparison.a}, {comparison.b}",
                        precision=comparison.precision,
                        own_rate=comparison.rate,
                        shared_rate=other.rate,
                        environment=share,
                    )
                )
    return found


def _must_agree(design: Design, gaps: Gaps) -> bool:
    """Return whether two arms are the same mathematics, as an arm and its ULP control are."""
    levels = {arm.name: arm.levels for arm in design.answer.arms}
    may_differ = [factor.name for factor in design.answer.factors if not factor.must_agree]
    return all(levels[gaps.a][name] == levels[gaps.b][name] for name in may_differ)


def compensations(designs: Sequence[Design]) -> list[Compensation]:
    """Return the compensations in the thread's designs: those that differ in `compensated` alone, or by the law."""
    found = [
        _compensation(plain, compensated, compensated.answer)
        for plain, compensated in _counterparts(designs, "compensated", False, True)
    ]
    for plain, other in _counterparts(designs, "scale_lr_factor"):
        law = LAW.get(str(plain.hyperparameters.get("optimizer", "adam")))
        factor, changed = plain.hyperparameters["scale_lr_factor"], other.hyperparameters["scale_lr_factor"]
        if law is not None and factor and math.isclose(changed, law * factor):
            variance = plain.table[plain.table["parameterization"] == "variance"]
            std = other.table[other.table["parameterization"] == "std"]
            if len(variance) and len(std):
                arms = pd.concat([variance, std])
                found.append(_compensation(plain, other, attribute(arms, plain.outcome, FACTORS)))
    return found


def _compensation(plain: Design, compensated: Design, answer: Attribution) -> Compensation:
    optimizer = str(plain.hyperparameters.get("optimizer", "adam"))
    before = plain.answer.effect("parameterization")
    explained = None
    if before and before.main.is_different:
        first, second = (differences_of(found, "parameterization") for found in (plain.answer, answer))
        seeds = sorted(first.keys() & second.keys())
        if seeds:
            whole = np.array([first[seed] for seed in seeds])
            explained = ratio(whole - np.array([second[seed] for seed in seeds]), whole)
    return Compensation(
        plain=plain.name,
        compensated=compensated.name,
        optimizer=optimizer,
        law=LAW.get(optimizer, math.nan),
        plain_effect=before,
        answer=answer,
        explained=explained,
        channels=list(_open_channels(plain.hyperparameters, compensated)),
    )


def _open_channels(hyperparameters: Mapping[str, Any], compensated: Design) -> Iterator[str]:
    """Yield what else than the scale's learning speed the parameterization may act by, in words."""
    limit = hyperparameters.get("max_grad_norm")
    if limit is not None:
        clip = f"the gradient-norm clip at {limit} is shared by the raw scale and the networks"
        norms = _told(compensated, "grad_norm")
        if not len(norms):
            yield f"{clip}: how often it acts isn't known"
        elif (share := float((norms > limit).mean())) > 0:
            yield f"{clip}: in {100 * share:.0f}% of updates the mean norm is above it"
    if hyperparameters.get("ent_coef"):
        yield f"the entropy bonus (ent_coef {hyperparameters['ent_coef']}) pulls on the raw scale by itself"
    epsilon = hyperparameters.get("adam_eps")
    if epsilon and hyperparameters.get("optimizer", "adam") == "adam":
        gradients = _told(compensated, "scale_grad_norm")
        if not len(gradients):
            yield f"Adam's epsilon ({epsilon}): whether it is small beside the raw scale's gradient isn't known"
        elif epsilon >= NEGLIGIBLE_EPSILON * (typical := float(np.median(gradients))):
            yield f"Adam's epsilon ({epsilon}) isn't small beside the raw scale's gradient, typically {typical:.2g}"
    if hyperparameters.get("initial_scale", 1.0) != 1.0:
        scale = hyperparameters["initial_scale"]
        yield f"the initial std differs: the scale begins at {scale}, as a variance or as a std"
    if hyperparameters.get("scale_transform", "exp") != "exp":
        transform = hyperparameters["scale_transform"]
        yield f"the law is the exponential's, and here the scale is the {transform} of the raw scale"
    if hyperparameters.get("state_dependent_scale"):
        yield "the scale depends on the state: a learning rate of its own doesn't reach the outputs it comes from"


def _told(design: Design, name: str) -> Array:
    """Return a column's finite values over all updates of all runs."""
    columns = [history[name] for history in design.histories.values() if name in history]
    values = np.concatenate(columns) if columns else np.array([])
    return np.asarray(values[np.isfinite(values)])


def _counterparts(
    designs: Sequence[Design], name: str, first: Any = None, second: Any = None
) -> Iterator[tuple[Design, Design]]:
    """Yield designs that agree in all hyperparameters but one, in which they have these values, or any two."""
    own = [design for design in designs if design.answer.is_thread]
    for a, b in itertools.permutations(own, 2):
        if name not in a.hyperparameters or a.hyperparameters[name] == b.hyperparameters[name]:
            continue
        if first is not None and (a.hyperparameters[name], b.hyperparameters[name]) != (first, second):
            continue
        if {**a.hyperparameters, name: None} == {**b.hyperparameters, name: None}:
            yield a, b


def _common(a: Gaps, b: Gaps) -> tuple[Array, Array]:
    """Return both growth rates of the seeds in which both are known."""
    first, second = dict(zip(a.seeds, rates(a.gaps), strict=True)), dict(zip(b.seeds, rates(b.gaps), strict=True))
    seeds = [seed for seed in first if math.isfinite(first[seed]) and math.isfinite(second.get(seed, math.nan))]
    return np.array([first[seed] for seed in seeds]), np.array([second[seed] for seed in seeds])
