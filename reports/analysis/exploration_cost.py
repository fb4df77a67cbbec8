"""Training return or policy: how much of a difference in training return is the exploration cost. The thread's."""

import dataclasses

import pandas as pd

from reports.analysis.attribution import attribute
from reports.analysis.mean import Estimate
from reports.sources.runs import as_numbers
from reports.statistics import Interval, ratio
from reports.thread import FACTORS

DETERMINISTIC = "eval_return"
TRAINING = ("final_return", "auc_return")
"""Outcomes of whoever acts, noise and all."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExplorationCost:
    """What the parameterization does to a training return, in two parts."""

    total: Estimate
    policy: Estimate
    """what it does to the deterministic policy's return"""
    noise: Estimate
    """the rest: to the training return less the deterministic policy's"""
    share: Interval | None
    """noise over total; None where the total isn't `different`"""


def measure_exploration_cost(runs: pd.DataFrame, outcome: str) -> ExplorationCost | None:
    """Split the parameterization's effect; None where the outcome is no training return, or there is no effect.

    **Arguments**: `runs`, of one design, finished or not.
    """
    if outcome not in TRAINING or DETERMINISTIC not in runs:
        return None
    table = runs.assign(**{DETERMINISTIC: as_numbers(runs[DETERMINISTIC]).astype(float)})
    both = table[DETERMINISTIC].notna() & table[outcome].notna()
    table[outcome] = table[outcome].where(both)
    table[DETERMINISTIC] = table[DETERMINISTIC].where(both)
    table["noise"] = table[outcome] - table[DETERMINISTIC]
    effects = [attribute(table, name, FACTORS).effect("parameterization") for name in (outcome, DETERMINISTIC, "noise")]
    if any(effect is None for effect in effects):
        return None
    total, policy, noise = (effect.main for effect in effects if effect is not None)
    share = ratio(noise.differences, total.differences) if total.is_different else None
    return ExplorationCost(total=total, policy=policy, noise=noise, share=share)
