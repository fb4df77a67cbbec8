"""Warnings for a reader: about runs without an outcome, and about the statistics of an answer."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from reports import statistics
from reports.analysis.attribution import Attribution
from reports.analysis.blocks import Blocks, contrasts
from reports.analysis.effects import Effect
from reports.factors import Factor
from reports.sources.runs import LARGEST, as_numbers
from reports.statistics import TwoSample

FEW_UNPAIRED = 20
"""Runs a level below which permutations of the labels err more often than in 5%, where one level varies more."""


def of_runs(runs: pd.DataFrame, outcome: str, blocks: Blocks, paired: bool = True) -> list[str]:
    """Return warnings about runs without an outcome, equal outcomes and incomplete blocks."""
    warnings = []
    for status, group in runs[runs["status"] != "finished"].groupby("status"):
        first = group.iloc[0]
        reason = " ".join(str(first["error"] or "no reason is given").split())
        warnings.append(f"{_count(len(group), 'run')} {status}, such as {first['run']}: {reason}")
    finished = runs[runs["status"] == "finished"]
    lost = finished[~(as_numbers(finished[outcome]).abs() < LARGEST)]
    if len(lost):
        warnings.append(
            f"{_count(len(lost), 'finished run')} without a finite {outcome} below {LARGEST:g}, such as "
            f"{lost['run'].iloc[0]}: counted as failed"
        )
    if finished.empty:
        warnings.append(f"no run has finished with a {outcome}: nothing can be concluded")
    elif finished[outcome].nunique() == 1 and len(finished) > 1:
        warnings.append(f"every run has the same {outcome}: there is nothing to explain")
    return [*warnings, *(_incomplete(blocks) if paired else [])]


def of_columns(runs: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    """Return a warning for each column that isn't analysed, yet differs between arms as a factor does."""
    finished = runs[runs["status"] == "finished"]
    found = []
    for name in columns:
        values = finished.groupby("condition")[name]
        if len(values) < 2 or (values.nunique(dropna=False) > 1).any() or (values.size() < 2).all():
            continue
        levels = values.first()
        if levels.nunique(dropna=False) > 1:
            told = ", ".join(f"{level:g} in {arm}" for arm, level in levels.items())
            found.append(
                f"column {name} is the same in all runs of a condition and not between them ({told}): what it does "
                "can't be told from the effects; name it as a factor if it is one"
            )
    return found


def _incomplete(blocks: Blocks) -> list[str]:
    """Return a warning about seeds that lack an arm, or lack one in a precision in which they have another."""
    there = blocks.ended
    in_some_arms = np.any(there, axis=1) & ~np.all(there, axis=1)
    missing = np.any(in_some_arms, axis=1) | ~np.all(np.any(there, axis=2), axis=1)
    if not missing.any():
        return []
    seeds = ", ".join(str(blocks.seeds[index]) for index in np.flatnonzero(missing))
    noun = "seed" if missing.sum() == 1 else "seeds"
    return [
        f"incomplete blocks: a run is missing in {noun} {seeds}; a run enters an effect only beside its counterpart"
    ]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def of_answer(answer: Attribution) -> list[str]:
    """Return warnings about an answer's statistics."""
    found = []
    for factor in answer.factors:
        effects = answer.of(factor.name)
        if not effects and len(answer.arms) > 1:
            found.append(f"the {factor.name} effect can't be estimated: {_why_not(answer, factor)}")
        for effect in effects:
            found += _of_effect(effect)
            if effect.spread is None and answer.paired and answer.blocks.has_controls:
                found.append(
                    f"{factor.name} ({effect.level} against {factor.reference}): no seed has ULP controls of both "
                    "levels that change the outcome, so the spread is untested"
                )
    if answer.margin is None and answer.effects:
        why = "don't vary between seeds" if len(answer.blocks.seeds) > 1 else "are of one seed"
        found.append(f"no equivalence margin: the reference's runs {why}; give a margin")
    if answer.effects and answer.paired and not answer.blocks.has_controls:
        found.append("no ULP control: whether round-off alone makes runs vary as much is untested")
    found += _failed_controls(answer.blocks)
    different = [effect.main.size for effect in answer.effects if effect.main.is_different]
    if not answer.paired and min(different, default=FEW_UNPAIRED) < FEW_UNPAIRED:
        found.append(
            "permutations of unpaired runs are exact only for levels that vary alike: of simulated studies of fewer "
            f"than {FEW_UNPAIRED} skewed runs a level, up to 9% found a difference where one level only varied twice "
            "as much"
        )
    if answer.placebo is not None and answer.placebo.p_two_sided() <= statistics.ALPHA:
        found.append(
            f"the ULP control differs from zero by itself (p {answer.placebo.p_two_sided():.2g}), as in one study in "
            "twenty by chance: an effect of its size may be chance too"
        )
    for interaction in answer.interactions:
        if interaction.is_different:
            found.append(f"the {interaction.factor} effect isn't the same at each level of {interaction.other}")
    return found


def _failed_controls(blocks: Blocks) -> list[str]:
    """Return a warning about ULP controls that failed, by arm: a failure by one ULP is spread too."""
    if not blocks.failed_controls.any():
        return []
    ended = blocks.ended_controls
    told = ", ".join(
        f"{blocks.failed_controls[:, arm].sum()} of {ended[:, arm].sum()} of {name}"
        for arm, name in enumerate(each.name for each in blocks.arms)
        if ended[:, arm].any()
    )
    return [f"ULP controls failed, {told}: where their unperturbed runs didn't, no spread is bounded"]


def _why_not(answer: Attribution, factor: Factor) -> str:
    if len(factor.levels) < 2:
        return f"all runs are of one level, {factor.levels[0] if factor.levels else 'none'}"
    if not answer.blocks.ended.any():
        return "no unperturbed run (replicate 0) has ended, and effects are of those"
    if not any(contrast.factor is factor for contrast in contrasts(answer.blocks, answer.factors)):
        return "no two conditions differ in it alone"
    return "no seed has runs of both levels that ended; if seeds pair nothing, read the runs as unpaired"


def _of_effect(effect: Effect) -> list[str]:
    found, main, name = [], effect.main, effect.factor.name
    label = f"{name} ({effect.level} against {effect.factor.reference})"
    if not effect.mean.can_reject:
        what = "run" if isinstance(main.test, TwoSample) else "seed"
        found.append(f"{label}: with {_count(main.size, what)} no test can find a difference; {main.fewest} are needed")
    if where := effect.contrast.where:
        found.append(f"{label}: compared at {where} only, since elsewhere there are runs of one level alone")
    if effect.spread and effect.spread.uncovered:
        there = "; ".join(effect.spread.uncovered)
        found.append(f"{label}: no seed has ULP controls of both levels at {there}, so the spread is untested there")
    if effect.mean_conclusion == "different" and effect.mean.is_inside_margin and main.margin:
        kind = "estimated " if main.margin.sd else ""
        found.append(f"{label} is different, but by less than the {kind}equivalence margin")
    if effect.mean.differing and not main.is_different:
        levels = [
            simple.place + (f" {simple.estimate:+.3g}" if simple.ranked is None else ", in ranks")
            for simple in effect.mean.differing
        ]
        size = min(simple.size for simple in effect.mean.differing)
        unseen = f"{100 * statistics.rarest_visible(size):.2g}% of the runs"
        found.append(
            f"{label} isn't alike at all levels of other factors: it is different {'; '.join(levels)}. Collapses in "
            f"fewer than {unseen} may not have shown up there (95%, {size} seeds), and look the same"
        )
    skewed = main.p_skew
    if (
        skewed is not None
        and main.ranked is None
        and main.can_reject
        and (skewed <= main.level) != (main.p <= main.level)
    ):
        found.append(
            f"{label}: the skew-corrected p is {skewed:.2g}, on the other side of the level {main.level:.2g} than the "
            f"sign flips' {main.p:.2g}: its differences are skewed, and one of the tests errs"
        )
    return found
