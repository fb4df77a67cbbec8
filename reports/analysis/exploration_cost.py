"""The exploration cost: the part of a difference in training return that comes from acting with noise.

It is of the thread's parameterization.
"""

import dataclasses

import pandas as pd

from reports.analysis.attribution import attribute
from reports.analysis.mean import Estimate
from reports.sources.runs import as_numbers
from reports.statistics import Interval, ratio
from reports.thread import FACTORS

DETERMINISTIC = "eval_return"
TRAINING = ("final_return", "auc_return")
"""Outcomes of the policy that acts, with its noise."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExplorationCost:
    """The parameterization's effect on a training return, in two parts.

    Attributes:
        total: The effect on the training return.
        policy: The effect on the deterministic policy's return.
        noise: The effect on the training return less the deterministic policy's.
        share: Noise over total; None where the total isn't *different*.
    """

    total: Estimate
    policy: Estimate
    noise: Estimate
    share: Interval | None


def measure_exploration_cost(runs: pd.DataFrame, outcome: str) -> ExplorationCost | None:
    """Return the parameterization's effect on a training return in two parts; None where either is missing.

    Args:
        runs: Of one design, finished or not.
        outcome: The outcome.
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
