"""Spread: whether runs vary more at a level than at the reference, measured by the ULP control.

Two comparisons. *Sensitivity*: each level's own response to a one-ULP perturbation, level against reference. *Pairs*:
single runs' differences between the two, against what a one-ULP perturbation does to either level. The spread is
*bounded* only by upper limits of the latter, against both levels' own responses; it is *larger* where one of the two
tests finds it so, after Holm's correction.
"""

import dataclasses
import functools
import math
from collections.abc import Sequence

import numpy as np

from reports import statistics
from reports.analysis.blocks import Blocks, Contrast, Flags, Stratum, mean_of_known
from reports.analysis.conclusions import SpreadConclusion
from reports.statistics import ALPHA, Array, Ratio

BOUND = 1.25
"""The spread of pairs is bounded where it is shown to be less than this many times a one-ULP perturbation's."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spread:
    """How much runs vary at a level and at its reference.

    Attributes:
        sensitivity: The level's response to a one-ULP perturbation over the reference's.
        reference: The spread of pairs over the reference's response.
        level: The spread of pairs over the level's response.
        either: The spread of pairs over that of both responses together.
        p_values: Of the tests that pairs vary more than both responses, and that the responses differ, by Holm over
            all such tests of the design.
        lost: Responses that aren't known, since a run failed that was perturbed, or its unperturbed one.
    """

    sensitivity: Ratio
    reference: Ratio
    level: Ratio
    either: Ratio
    p_values: tuple[float, float]
    lost: int = 0

    @functools.cached_property
    def conclusion(self) -> SpreadConclusion:
        """What the tests say; a test that doesn't reject bounds nothing, nor do responses of the survivors alone."""
        if min(self.p_values) <= ALPHA:
            return "larger"
        if self.lost:
            return "undecided"
        limits = (self.reference.p_below(BOUND), self.level.p_below(BOUND))
        return "bounded" if max(limits) <= ALPHA else "undecided"


def judge_spreads(blocks: Blocks, contrasts: Sequence[Contrast], resamples: int) -> list[Spread | None]:
    """Return each contrast's spread, the tests Holm-corrected together; None without ULP controls at both levels."""
    found = [_measure(blocks, contrast, resamples) for contrast in contrasts]
    tested = [p for spread in found if spread for p in spread.p_values]
    adjusted = iter(statistics.holm(tested))
    return [
        dataclasses.replace(spread, p_values=(next(adjusted), next(adjusted))) if spread else None for spread in found
    ]


def _measure(blocks: Blocks, contrast: Contrast, resamples: int) -> Spread | None:
    """A contrast's spread, not yet corrected; None without ULP controls at both levels in any seed."""
    reference, level = (mean_of_known(side**2) for side in contrast.sides(blocks.responses))
    pairs = _pair_squares(blocks, contrast)
    known = np.isfinite(reference) & np.isfinite(level) & np.isfinite(pairs)
    if not known.any() or not (reference[known].any() or level[known].any()):
        return None
    reference, level, pairs = reference[known], level[known], pairs[known]
    sensitivity, either = Ratio(level, reference, resamples), Ratio(pairs, (reference + level) / 2, resamples)
    return Spread(
        sensitivity=sensitivity,
        reference=Ratio(pairs, reference, resamples),
        level=Ratio(pairs, level, resamples),
        either=either,
        p_values=(either.p_larger, sensitivity.p_unequal),
        lost=sum(int(side.sum()) for side in contrast.sides(_lost_responses(blocks))),
    )


def _lost_responses(blocks: Blocks) -> Flags:
    """Where one run of a perturbed and its unperturbed one failed, and not the other."""
    return np.asarray(blocks.ended_controls & (blocks.failed_controls != blocks.failed[..., None]))


def _pair_squares(blocks: Blocks, contrast: Contrast) -> Array:
    """Each seed's mean squared difference of single runs, `[seeds]`.

    About its mean in each stratum and precision, so that the mean's effect is no spread; and as large as if that mean
    had been known.
    """
    differences = np.concatenate([_run_differences(blocks.outcomes, stratum) for stratum in contrast.strata], axis=1)
    known = np.isfinite(differences)
    counts = known.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.where(known, differences, 0.0).sum(axis=0) / counts
        centred = (differences - means) * np.sqrt(counts / np.maximum(counts - 1, 1))
    return mean_of_known(centred**2)


def _run_differences(outcomes: Array, stratum: Stratum) -> Array:
    """Between all arms at the level and all at the reference: `[seeds, pairs, precisions]`."""
    pairs = [outcomes[:, level] - outcomes[:, reference] for level in stratum.level for reference in stratum.reference]
    return np.stack(pairs, axis=1)


def placebo(blocks: Blocks, resamples: int = statistics.RESAMPLES) -> statistics.SignFlip | None:
    """Return the ULP control analysed as if it were an effect: the mean response of each seed; None without any."""
    responses = mean_of_known(blocks.responses)
    known = responses[np.isfinite(responses)]
    return statistics.sign_flip(known, resamples) if len(known) else None


@dataclasses.dataclass(frozen=True)
class PrecisionSensitivity:
    """What round-off does in two precisions.

    Attributes:
        precisions: Their names.
        ulp_sd: The standard deviation that round-off alone gives a single run in each.
        ratio: The first over the second.
    """

    precisions: tuple[str, str]
    ulp_sd: tuple[float, float]
    ratio: Ratio


def precision_sensitivity(blocks: Blocks, resamples: int = statistics.RESAMPLES) -> PrecisionSensitivity | None:
    """Compare the responses in the first precision with those in the last, by seed; None without two."""
    if len(blocks.precisions) < 2:
        return None
    first, last = (mean_of_known(blocks.responses[:, :, index] ** 2) for index in (0, -1))
    known = np.isfinite(first) & np.isfinite(last)
    if not known.any():
        return None
    first, last = first[known], last[known]
    return PrecisionSensitivity(
        (blocks.precisions[0], blocks.precisions[-1]),
        (math.sqrt(first.mean() / 2), math.sqrt(last.mean() / 2)),
        Ratio(first, last, resamples),
    )
