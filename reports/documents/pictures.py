"""The figures of a design's report: which there are, and their data."""

import dataclasses
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from reports.analysis.attribution import Attribution
from reports.analysis.blocks import Contrast, mean_of_known
from reports.analysis.design import Design
from reports.analysis.dose import Dose
from reports.analysis.effects import Effect
from reports.analysis.mechanism import ULP, Gaps
from reports.documents import figures
from reports.documents.words import label, one_line
from reports.statistics import Array

Returns = tuple[Array, Array, Array]
"""Environment steps, and training returns of unperturbed and of perturbed runs: see `_returns`."""
SMOOTH = 5
"""Updates over which a curve of paired differences is averaged."""


def draw(design: Design, output: Path, index: int) -> dict[str, str]:
    """Draw a design's figures, as far as it has their data, and return their file names without suffix by kind.

    Args:
        design: The design.
        output: The folder to write to.
        index: The design's number, from 0, which is part of the names.
    """
    names = {}

    def path(name: str) -> Path:
        names[name] = f"{name}-{index + 1}"
        return output / names[name]

    answer, returns = design.answer, _returns(design)
    rows = list(_rows(answer, returns))
    if rows:
        margin = answer.margin.value if answer.margin and answer.margin.sd is None else None
        figures.first_page(rows, margin, design.outcome, path("first-page"))
    lines = list(_gap_lines(design))
    if lines:
        figures.divergence(lines, path("divergence"))
    strips = {arm.name: mean_of_known(answer.blocks.outcomes[:, i]) for i, arm in enumerate(answer.arms)}
    if any(np.isfinite(values).any() for values in strips.values()) and answer.paired:
        figures.outcome_strips(strips, design.outcome, path("outcomes"))
    equal = list(_equal_pairs(answer))
    if equal:
        figures.quantiles(equal, path("quantiles"))
    curves = {arm.name: curve for i, arm in enumerate(answer.arms) if (curve := _curve(returns, [i])) is not None}
    if curves:
        figures.learning_curves(curves, "episodic return", path("learning"))
    return names


def styles(effects: Sequence[Effect]) -> list[figures.Style]:
    """Return the effects' styles, by their order."""
    return [figures.STYLES[number % len(figures.STYLES)] for number in range(len(effects))]


def _rows(answer: Attribution, returns: Returns | None) -> Iterator[figures.Row]:
    for effect, style in zip(answer.effects, styles(answer.effects), strict=True):
        main = effect.main
        row = figures.Row(
            label=f"{label(effect, one_line)}\n{one_line(effect.level)} - {one_line(effect.factor.reference)}"
            + "\n(finished runs only)" * (main.ranked is not None),
            differences=main.differences,
            estimate=main.estimate,
            deciding=main.ci_adjusted,
            ninety=main.ci90,
            curve=_difference_curve(returns, effect.contrast) if answer.paired else None,
            style=style,
        )
        yield row
        if effect.mean.is_decided_elsewhere:
            decisive = effect.mean.decisive
            yield dataclasses.replace(
                row,
                label=f"{label(effect, one_line)}\n{one_line(decisive.place)}",
                differences=decisive.differences,
                estimate=decisive.estimate,
                deciding=decisive.ci_adjusted,
                ninety=decisive.ci90,
                curve=None,
            )
    test = answer.placebo
    if test is not None and answer.effects:
        yield figures.Row(
            label=f"{ULP}\nperturbed - not",
            differences=test.differences,
            estimate=test.estimate,
            deciding=test.interval(),
            ninety=test.interval(0.9),
            curve=_control_curve(returns),
            style=figures.CONTROL,
        )


def _returns(design: Design) -> Returns | None:
    """Return environment steps, and training returns of unperturbed and perturbed runs; None without histories.

    Returns:
        `[points]`, `[seeds, arms, precisions, points]`, and the same of each arm's first perturbed run; NaN where there
        is none, or no episode ended.
    """
    if not design.histories:
        return None
    blocks = design.answer.blocks
    first = next(iter(design.histories.values()))
    steps = first["global_step"]
    shape = (len(blocks.seeds), len(blocks.arms), len(blocks.precisions), len(steps))
    plain, perturbed = np.full(shape, np.nan), np.full(shape, np.nan)
    seeds = {seed: index for index, seed in enumerate(blocks.seeds)}
    arms = {arm.name: index for index, arm in enumerate(blocks.arms)}
    replicates = sorted(set(design.table["replicate"]) - {0})
    for row in design.finished.to_dict("records"):
        at = seeds[int(row["seed"])], arms[str(row["condition"])], blocks.precisions.index(str(row["precision"]))
        if row["replicate"] == 0:
            plain[at] = design.histories[row["run"]]["episodic_return"]
        elif row["replicate"] == replicates[0]:
            perturbed[at] = design.histories[row["run"]]["episodic_return"]
    return steps, plain, perturbed


def _difference_curve(returns: Returns | None, contrast: Contrast) -> figures.Curve | None:
    if returns is None:
        return None
    steps, plain, _ = returns
    return _smoothed(steps, _mean(contrast.differences(plain)))


def _control_curve(returns: Returns | None) -> figures.Curve | None:
    if returns is None:
        return None
    steps, plain, perturbed = returns
    return _smoothed(steps, _mean(perturbed - plain))


def _curve(returns: Returns | None, arms: list[int]) -> figures.Curve | None:
    if returns is None:
        return None
    steps, plain, _ = returns
    values = _mean(plain[:, arms])
    known = np.isfinite(values).any(axis=1)
    return (steps, values[known]) if known.any() else None


def _mean(values: Array) -> Array:
    """Return the mean over all axes but seeds and points: `[seeds, ..., points]` to `[seeds, points]`, without NaN."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of what is NaN throughout
        return np.asarray(np.nanmean(values.reshape(len(values), -1, values.shape[-1]), axis=1))


def _smoothed(steps: Array, values: Array) -> figures.Curve | None:
    """Return a moving average over `SMOOTH` updates, of the seeds that have every update; None with fewer than two."""
    whole = values[np.isfinite(values).all(axis=1)]
    if len(whole) < 2 or whole.shape[1] < SMOOTH:
        return None
    kernel = np.ones(SMOOTH) / SMOOTH
    half = SMOOTH // 2
    return steps[half:-half], np.array([np.convolve(row, kernel, "valid") for row in whole])


def _gap_lines(design: Design) -> Iterator[figures.GapLine]:
    """Yield the gaps of each effect's pair of arms nearest to the reference, and of the reference's ULP control."""
    answer = design.answer
    names = [arm.name for arm in answer.arms]
    for effect, style in zip(answer.effects, styles(answer.effects), strict=True):
        stratum = effect.contrast.strata[0]
        pair = {names[stratum.reference[0]], names[stratum.level[0]]}
        found = [gaps for gaps in design.gaps if {gaps.a, gaps.b} == pair and (gaps.gaps > 0).any()]
        if found:
            yield _line(label(effect, str), found, effect.mechanism.bits, style)
    control = [gaps for gaps in design.gaps if gaps.is_control and gaps.a == names[0] and (gaps.gaps > 0).any()]
    if control:
        yield _line(ULP, control, np.array([]), figures.CONTROL)


def _line(name: str, found: Sequence[Gaps], bits: Array, style: figures.Style) -> figures.GapLine:
    return figures.GapLine(label=name, gaps={gaps.precision: gaps.gaps for gaps in found}, bits=bits, style=style)


def _equal_pairs(answer: Attribution) -> Iterator[tuple[str, figures.Style, Array, Array]]:
    """Yield the differences of levels that must agree, and the responses to a one-ULP perturbation, both sorted."""
    responses = answer.blocks.responses
    for effect, style in zip(answer.effects, styles(answer.effects), strict=True):
        if effect.factor.must_agree and answer.paired:
            differences = effect.contrast.differences(answer.blocks.outcomes)
            control = np.concatenate([side.ravel() for side in effect.contrast.sides(responses)])
            differences, control = (np.sort(x[np.isfinite(x)]) for x in (differences.ravel(), control))
            if len(differences) > 1 and len(control) > 1:
                yield label(effect, str), style, differences, control


def draw_doses(doses: Sequence[Dose], outcome: str, output: Path) -> str | None:
    """Draw the responses to doses, and return the figure's file name without suffix; None with too few doses."""
    sized = [dose for dose in doses if dose.size is not None]
    if len({dose.size for dose in sized}) < 3:
        return None
    curves = [
        figures.DoseCurve(
            label=runs,
            sizes=np.array([dose.size for dose in own], dtype=float),
            onsets=np.array([(dose.onset.estimate, dose.onset.low, dose.onset.high) for dose in own]),
            sds=np.array([(dose.sd.estimate, dose.sd.low, dose.sd.high) for dose in own]),
            is_precision=np.array([dose.precision != "float64" for dose in own]),
        )
        for runs, own in ((name, [dose for dose in sized if dose.runs == name]) for name in _names(sized))
    ]
    figures.doses(curves, outcome, output / "dose")
    return "dose"


def _names(doses: Sequence[Dose]) -> list[str]:
    return list(dict.fromkeys(dose.runs for dose in doses))
