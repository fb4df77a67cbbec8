"""Failures: whether runs fail more often at a level than at the reference."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from reports import statistics
from reports.analysis.blocks import Blocks, Contrast
from reports.analysis.conclusions import FailureConclusion
from reports.statistics import ALPHA, Array


@dataclasses.dataclass(frozen=True, kw_only=True)
class Failures:
    """Failed runs at both levels.

    Attributes:
        reference: How many unperturbed runs at the reference failed, of how many that ended.
        level: The same at the level.
        p: Against "runs fail as often"; None where none failed.
        p_adjusted: By Holm, over the design's factors.
        are_same: Whether exactly the same seeds failed, as often.
        is_bounded: Whether the failure rates are shown to differ by little.
    """

    reference: tuple[int, int]
    level: tuple[int, int]
    p: float | None
    p_adjusted: float | None
    are_same: bool
    is_bounded: bool

    @property
    def conclusion(self) -> FailureConclusion:
        """What was seen and tested."""
        if self.p_adjusted is None:
            return "none"
        if self.are_same:
            return "same"
        if self.p_adjusted <= ALPHA:
            return "different"
        return "bounded" if self.is_bounded else "undecided"

    @property
    def may_differ(self) -> bool:
        """Whether it isn't shown that runs fail about as often: then nothing may be called equivalent."""
        return self.conclusion in ("different", "undecided")


def judge_failures(blocks: Blocks, contrasts: Sequence[Contrast], paired: bool) -> list[Failures]:
    """Count and test the failed runs of each contrast, by Holm over those in which any failed."""
    found = [_count(blocks, contrast, paired) for contrast in contrasts]
    tested = [failures.p for failures in found if failures.p is not None]
    adjusted = iter(statistics.holm(tested))
    return [
        failures if failures.p is None else dataclasses.replace(failures, p_adjusted=next(adjusted))
        for failures in found
    ]


def _count(blocks: Blocks, contrast: Contrast, paired: bool) -> Failures:
    ended = np.isfinite(blocks.outcomes) | blocks.failed
    shares = np.where(ended, blocks.failed.astype(float), np.nan)
    sides = contrast.sides(shares)
    runs = tuple((int(np.nansum(side)), int(np.isfinite(side).sum())) for side in sides)
    seeds = tuple(_seeds_with_failures(side) for side in sides)
    p, are_same = None, False
    if runs[0][0] or runs[1][0]:
        by_seed = contrast.by_seed(shares, contrast.whole)
        known = by_seed[np.isfinite(by_seed)]
        are_same = paired and len(known) > 0 and not known.any()
        p = statistics.p_failures(known) if paired else statistics.p_failures_unpaired(*runs)
    return Failures(
        reference=runs[0],
        level=runs[1],
        p=p,
        p_adjusted=p,
        are_same=are_same,
        is_bounded=statistics.are_bounded(*(seeds if paired else runs)),
    )


def _seeds_with_failures(side: Array) -> tuple[int, int]:
    """How many seeds have a failed run, of how many that have any."""
    flat = side.reshape(len(side), -1)
    some = np.isfinite(flat).any(axis=1)
    return int((np.nansum(flat, axis=1) > 0).sum()), int(some.sum())
