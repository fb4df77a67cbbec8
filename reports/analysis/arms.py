"""Each arm by itself: its runs, its mean, and what a one-ULP perturbation does to it."""

import dataclasses
import math

import numpy as np

from reports.analysis.blocks import Blocks, mean_of_known
from reports.statistics import mean_interval


@dataclasses.dataclass(frozen=True, kw_only=True)
class ArmSummary:
    """One arm's unperturbed runs.

    Attributes:
        name: The condition.
        runs: The number of runs that ended.
        failed: The number of these that failed.
        mean: Over seeds, of runs that finished; None without any.
        ci: Its 95% t interval over seeds; infinite with a single one.
        ulp_sd: The standard deviation that round-off alone gives a single run: the root mean square response to a
            one-ULP perturbation, over the square root of 2; None without a control.
    """

    name: str
    runs: int
    failed: int
    mean: float | None
    ci: tuple[float, float]
    ulp_sd: float | None


def summarise_arms(blocks: Blocks) -> list[ArmSummary]:
    """Return each arm's summary, in order."""
    return [_summarise(blocks, number) for number in range(len(blocks.arms))]


def _summarise(blocks: Blocks, number: int) -> ArmSummary:
    runs, failed = blocks.outcomes[:, number], blocks.failed[:, number]
    by_seed = mean_of_known(runs)
    known = by_seed[np.isfinite(by_seed)]
    mean, ci = None, (-math.inf, math.inf)
    if len(known):
        middle, low, high = (float(end[0]) for end in mean_interval(known[:, None]))
        mean, ci = middle, (low, high) if len(known) > 1 else ci
    return ArmSummary(
        name=blocks.arms[number].name,
        runs=int(np.isfinite(runs).sum() + failed.sum()),
        failed=int(failed.sum()),
        mean=mean,
        ci=ci,
        ulp_sd=ulp_sd(blocks, [number]),
    )


def ulp_sd(blocks: Blocks, arms: list[int]) -> float | None:
    """Return the standard deviation that round-off alone gives a single run of some arms; None without a control."""
    squares = mean_of_known(blocks.responses[:, arms] ** 2)
    known = squares[np.isfinite(squares)]
    return math.sqrt(float(known.mean()) / 2) if len(known) else None
