"""Failures: whether runs fail more often at a level than at the reference."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from reports import statistics
from reports.analysis.blocks import Blocks, Contrast, Part
from reports.analysis.conclusions import FailureConclusion
from reports.statistics import ALPHA, Array


@dataclasses.dataclass(frozen=True, kw_only=True)
class Failures:
    """Failed runs at both levels.

    Attributes:
        reference: The number of unperturbed runs at the reference that failed, and that ended.
        level: The same at the level.
        p: Against "runs fail as often"; None where none failed. Of a must-agree factor, one half of the level is for
            all runs, the other is shared by the levels of the other factors, the precisions and the cells.
        p_adjusted: By Holm, over the design's factors.
        are_same: Whether of every two runs that are compared both failed, or none.
        is_bounded: Whether the failure rates are shown to differ by little, at each of these too.
    """

    reference: tuple[int, int]
    level: tuple[int, int]
    p: float | None
    p_adjusted: float | None
    are_same: bool
    is_bounded: bool

    @property
    def conclusion(self) -> FailureConclusion:
        """The conclusion on failures."""
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


def has_failures(blocks: Blocks, contrast: Contrast, part: Part | None = None) -> bool:
    """Return whether any run failed that the contrast, or a part of it, compares."""
    return blocks.has_failures and any(side.any() for side in contrast.sides(blocks.failed, part))


def may_differ(blocks: Blocks, contrast: Contrast, part: Part, paired: bool) -> bool:
    """Return whether it isn't shown that runs of a part fail about as often at both levels."""
    if not has_failures(blocks, contrast, part):
        return False
    shares = blocks.failures
    return not (_are_same(shares, contrast, part, paired) or _is_bounded(shares, contrast, part, paired))


def judge_failures(blocks: Blocks, contrasts: Sequence[Contrast], paired: bool) -> list[Failures]:
    """Return the failed runs of each contrast, tested by Holm over those in which any failed."""
    found = [_count(blocks, contrast, paired) for contrast in contrasts]
    tested = [failures.p for failures in found if failures.p is not None]
    adjusted = iter(statistics.holm(tested))
    return [
        failures if failures.p is None else dataclasses.replace(failures, p_adjusted=next(adjusted))
        for failures in found
    ]


def _count(blocks: Blocks, contrast: Contrast, paired: bool) -> Failures:
    shares = blocks.failures
    runs = [_count_runs(side) for side in contrast.sides(shares)]
    if not (runs[0][0] or runs[1][0]):
        return Failures(reference=runs[0], level=runs[1], p=None, p_adjusted=None, are_same=True, is_bounded=True)
    parts = (*contrast.parts, *contrast.cells) if contrast.factor.must_agree else ()
    p = _p(shares, contrast, contrast.whole, paired)
    if parts:
        p = min(1.0, 2 * min(p, *statistics.holm([_p(shares, contrast, part, paired) for part in parts])))
    return Failures(
        reference=runs[0],
        level=runs[1],
        p=p,
        p_adjusted=p,
        are_same=_are_same(shares, contrast, contrast.whole, paired),
        is_bounded=all(_is_bounded(shares, contrast, part, paired) for part in (contrast.whole, *parts)),
    )


def _are_same(shares: Array, contrast: Contrast, part: Part, paired: bool) -> bool:
    """Return whether of every two runs that are compared both failed, or none."""
    differences = contrast.differences(shares, part)
    return paired and not differences[np.isfinite(differences)].any()


def _p(shares: Array, contrast: Contrast, part: Part, paired: bool) -> float:
    if not paired:
        return statistics.p_failures_unpaired(*(_count_runs(side) for side in contrast.sides(shares, part)))
    by_seed = contrast.by_seed(shares, part)
    return statistics.p_failures(by_seed[np.isfinite(by_seed)])


def _is_bounded(shares: Array, contrast: Contrast, part: Part, paired: bool) -> bool:
    count = _count_seeds if paired else _count_runs
    return statistics.are_bounded(*(count(side) for side in contrast.sides(shares, part)))


def _count_runs(side: Array) -> tuple[int, int]:
    """Return the number of runs that failed, and of all."""
    return int(np.nansum(side)), int(np.isfinite(side).sum())


def _count_seeds(side: Array) -> tuple[int, int]:
    """Return the number of seeds with a failed run, and of those with any run."""
    flat = side.reshape(len(side), -1)
    some = np.isfinite(flat).any(axis=1)
    return int((np.nansum(flat, axis=1) > 0).sum()), int(some.sum())
