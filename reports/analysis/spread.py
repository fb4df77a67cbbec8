"""Spread: whether runs vary more at a level than at the reference, measured by the ULP control.

There are two comparisons. *Sensitivity*: each level's own response to a one-ULP perturbation, level against reference.
*Pairs*: single runs' differences between the two, against the responses of either level. Both are of those seeds,
strata and precisions in which all of that is known. The spread is *larger* where the responses differ. Where only pairs
vary more than the responses, *seeds differ*: a seed's result differs between levels, though runs may vary as much at
both. The spread is *bounded* only by upper limits of the spread of pairs, against both levels' own responses.
"""

import dataclasses
import functools
import math
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np

from reports import statistics
from reports.analysis.blocks import Blocks, Contrast, Flags, Stratum, mean_of_known
from reports.analysis.conclusions import SpreadConclusion
from reports.statistics import ALPHA, Array, Ratio

BOUND = 1.25
"""The spread of pairs is bounded where it is shown to be less than this multiple of a one-ULP perturbation's."""
OTHER_ULPS = "one ULP is another change in each number format"
"""Why the responses of number formats are described, and not tested against each other."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spread:
    """The spread of runs at a level and at its reference.

    Attributes:
        sensitivity: The level's response to a one-ULP perturbation over the reference's.
        reference: The spread of pairs over the reference's response.
        level: The spread of pairs over the level's response.
        either: The spread of pairs over that of both responses together.
        p_pairs: Of the test that pairs vary more than both responses, by Holm over all tests of spread of the design.
        p_sensitivity: Of the test that the responses differ, likewise.
        lost: The number of responses that aren't known, since either the perturbed or the unperturbed run failed.
        uncovered: The parts in which pairs are known, but no seed has ULP controls of both levels.
        is_tested: Whether one ULP is the same change at both levels; not of two number formats. Rounding to bfloat16,
            say, hides one ULP of a weight in float32, so that the response says little of how runs vary.
    """

    sensitivity: Ratio
    reference: Ratio
    level: Ratio
    either: Ratio
    p_pairs: float
    p_sensitivity: float
    lost: int = 0
    uncovered: tuple[str, ...] = ()
    is_tested: bool = True

    @functools.cached_property
    def conclusion(self) -> SpreadConclusion:
        """The conclusion on the spread. A test that doesn't reject bounds nothing, nor do the finished runs alone."""
        if not self.is_tested:
            return "untested"
        if self.p_sensitivity <= ALPHA:
            return "larger"
        if self.p_pairs <= ALPHA:
            return "seeds differ"
        if self.lost or self.uncovered:
            return "undecided"
        return "bounded" if self.p_bounded <= ALPHA else "undecided"

    @functools.cached_property
    def p_bounded(self) -> float:
        """The p against "pairs vary at least `BOUND` times as much as one of the levels' own responses"."""
        return max(self.reference.p_below(BOUND), self.level.p_below(BOUND))


def judge_spreads(blocks: Blocks, contrasts: Sequence[Contrast], resamples: int) -> list[Spread | None]:
    """Return each contrast's spread, the tests Holm-corrected together; None without ULP controls at both levels."""
    found = [_measure(blocks, contrast, resamples) for contrast in contrasts]
    tested = [spread for spread in found if spread and spread.is_tested]
    adjusted = iter(statistics.holm([p for spread in tested for p in (spread.p_pairs, spread.p_sensitivity)]))
    return [
        dataclasses.replace(spread, p_pairs=next(adjusted), p_sensitivity=next(adjusted))
        if spread and spread.is_tested
        else spread
        for spread in found
    ]


def _measure(blocks: Blocks, contrast: Contrast, resamples: int) -> Spread | None:
    """Return a contrast's spread, not yet corrected; None without ULP controls at both levels of any pair of runs."""
    responses = (_response_squares(blocks, contrast, side) for side in ("reference", "level"))
    squares = np.stack([*responses, _pair_squares(blocks, contrast)])
    known: Flags = np.all(np.isfinite(squares), axis=0)
    if not known.any() or not squares[:2, known].any():
        return None
    seeds = np.any(known, axis=(1, 2))
    reference, level, pairs = (mean_of_known(np.where(known, each, np.nan))[seeds] for each in squares)
    sensitivity, either = Ratio(level, reference, resamples), Ratio(pairs, (reference + level) / 2, resamples)
    return Spread(
        sensitivity=sensitivity,
        reference=Ratio(pairs, reference, resamples),
        level=Ratio(pairs, level, resamples),
        either=either,
        p_pairs=either.p_larger,
        p_sensitivity=sensitivity.p_unequal,
        lost=sum(int(side.sum()) for side in contrast.sides(_lost_responses(blocks))),
        uncovered=tuple(_uncovered(contrast, np.isfinite(squares[2]), known)),
        is_tested=not contrast.factor.has_number_formats,
    )


def _uncovered(contrast: Contrast, pairs: Flags, known: Flags) -> Iterator[str]:
    """Yield the names of the parts of a contrast with pairs of runs and no responses to compare them with."""
    for part in contrast.cells or contrast.parts:
        at = np.ix_(range(len(pairs)), part.strata, part.precisions)
        if pairs[at].any() and not known[at].any():
            yield part.name


def _lost_responses(blocks: Blocks) -> Flags:
    """Return which perturbed runs failed, or not, unlike their unperturbed ones, as `controls` of the blocks."""
    return np.asarray(blocks.ended_controls & (blocks.failed_controls != blocks.failed[..., None]))


def _response_squares(blocks: Blocks, contrast: Contrast, side: Literal["reference", "level"]) -> Array:
    """Return the mean squared response to one ULP at one side of a contrast, `[seeds, strata, precisions]`."""
    squares = (blocks.responses[:, list(getattr(stratum, side))] ** 2 for stratum in contrast.strata)
    return np.stack([_mean_by_precision(each.transpose(0, 2, 1, 3)) for each in squares], axis=1)


def _pair_squares(blocks: Blocks, contrast: Contrast) -> Array:
    """Return the mean squared difference of single runs, `[seeds, strata, precisions]`.

    Differences are centred on their mean over seeds, so that the mean's effect is no spread, with Bessel's correction.
    """
    found = []
    for stratum in contrast.strata:
        differences = _run_differences(blocks.outcomes, stratum)
        known = np.isfinite(differences)
        counts = known.sum(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            means = np.where(known, differences, 0.0).sum(axis=0) / counts
            centred = (differences - means) * np.sqrt(counts / np.maximum(counts - 1, 1))
        found.append(_mean_by_precision(centred**2))
    return np.stack(found, axis=1)


def _run_differences(outcomes: Array, stratum: Stratum) -> Array:
    """Return the differences of all arms at the level and all at the reference: `[seeds, precisions, pairs]`."""
    pairs = [outcomes[:, level] - outcomes[:, reference] for level in stratum.level for reference in stratum.reference]
    return np.stack(pairs, axis=2)


def _mean_by_precision(values: Array) -> Array:
    """Return the mean of what isn't NaN: `[seeds, precisions, ...]` to `[seeds, precisions]`."""
    return np.stack([mean_of_known(values[:, index]) for index in range(values.shape[1])], axis=1)


def placebo(blocks: Blocks, resamples: int = statistics.RESAMPLES) -> statistics.SignFlip | None:
    """Return the ULP control analysed as if it were an effect: the mean response of each seed; None without any."""
    responses = mean_of_known(blocks.responses)
    known = responses[np.isfinite(responses)]
    return statistics.sign_flip(known, resamples) if len(known) else None


@dataclasses.dataclass(frozen=True)
class PrecisionSensitivity:
    """The effect of round-off in two precisions.

    Attributes:
        precisions: Their names.
        ulp_sd: The standard deviation that round-off alone gives a single run in each.
        ratio: The first over the second.
    """

    precisions: tuple[str, str]
    ulp_sd: tuple[float, float]
    ratio: Ratio


def precision_sensitivity(blocks: Blocks, resamples: int = statistics.RESAMPLES) -> PrecisionSensitivity | None:
    """Return the responses in the first precision against those in the last, of arms and seeds that have both.

    None without two precisions.
    """
    if len(blocks.precisions) < 2:
        return None
    by_arm = np.stack([_mean_by_precision(blocks.responses[:, :, index] ** 2) for index in (0, -1)])
    known = np.all(np.isfinite(by_arm), axis=0)
    if not known.any():
        return None
    first, last = (mean_of_known(np.where(known, each, np.nan))[np.any(known, axis=1)] for each in by_arm)
    return PrecisionSensitivity(
        (blocks.precisions[0], blocks.precisions[-1]),
        (math.sqrt(first.mean() / 2), math.sqrt(last.mean() / 2)),
        Ratio(first, last, resamples),
    )
