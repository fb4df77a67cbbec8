"""What `reports` offers to notebooks. The package imports it when one of its names is first used."""

import math
from typing import get_args

from reports.analysis.attribution import Attribution
from reports.analysis.blocks import Goal
from reports.analysis.design import Design, Question
from reports.analysis.effects import Effect
from reports.analysis.study import answer_designs
from reports.errors import UnreadableSourceError
from reports.factors import Factor
from reports.sources import Mapping, Reading, read
from reports.sources.reading import names_of
from reports.sources.runs import Runs

__all__ = [
    "Attribution",
    "Design",
    "Effect",
    "Factor",
    "Mapping",
    "Reading",
    "Runs",
    "UnreadableSourceError",
    "attribute",
    "read",
]


def attribute(
    runs: Runs,
    outcome: str | None = None,
    *,
    margin: float | None = None,
    goal: Goal = "maximize",
    also: tuple[str, ...] = (),
) -> list[Design]:
    """Return the answer for each design of some runs: what differs, by which mechanism, and how sure that is.

    Args:
        runs: As `read` returns them.
        outcome: The primary outcome, a column; by default final_return, or the only outcome that there is.
        margin: The equivalence margin; by default half the standard deviation of the reference's runs between seeds.
        goal: Whether large outcomes are good: a failed run counts as the worst.
        also: Other outcomes, a family of their own.

    Raises:
        UnreadableSourceError: An outcome isn't there, or two runs are the same.
        ValueError: The margin isn't positive and finite, or the goal is neither "maximize" nor "minimize".
    """
    if margin is not None and not 0 < margin < math.inf:
        raise ValueError(f"margin must be positive and finite, not {margin}")
    if goal not in get_args(Goal):
        raise ValueError(f"goal must be 'maximize' or 'minimize', not {goal!r}")
    return answer_designs(
        runs, Question(outcome=outcome or runs.usual_outcome, others=names_of(also), margin=margin, goal=goal)
    )
