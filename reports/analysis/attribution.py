"""The answer for the runs of one design: for each factor three axes, never mixed, and what they say together."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from reports import statistics, thread
from reports.analysis import conclusions
from reports.analysis.blocks import Arm, Blocks, Contrast, Goal, Stratum, arm_pairs, contrasts, factors_of, make_blocks
from reports.analysis.conclusions import MeanConclusion, Verdict
from reports.analysis.failures import Failures, judge_failures
from reports.analysis.interactions import Interaction, judge_interactions
from reports.analysis.mean import Case, Estimate, Mean, judge_means
from reports.analysis.mechanism import UNTESTED, Mechanism
from reports.analysis.spread import PrecisionSensitivity, Spread, judge_spreads, placebo, precision_sensitivity
from reports.factors import Factor
from reports.statistics import Array, Margin, SignFlip

MARGIN = 0.5
"""The default equivalence margin, in standard deviations between seeds of the reference's single runs."""
SEED = 0
"""Of the generator that draws bootstrap samples."""

ReadMechanism = Callable[[Contrast, Sequence[Arm]], Mechanism]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Effect:
    """What one level of a factor does, against the reference: three axes and the conclusion.

    Attributes:
        contrast: The factor, the level, and where they are compared.
        mechanism: Whether the computation is the same.
        mean: Whether the outcome's mean changes.
        spread: Whether runs vary more; None where no ULP control tells.
        failures: Whether runs fail more often.
    """

    contrast: Contrast
    mechanism: Mechanism
    mean: Mean
    spread: Spread | None
    failures: Failures

    @property
    def factor(self) -> Factor:
        """The factor."""
        return self.contrast.factor

    @property
    def level(self) -> str:
        """The level that is compared with the factor's reference."""
        return self.contrast.level

    @property
    def main(self) -> Estimate:
        """The main effect on the mean."""
        return self.mean.main

    @functools.cached_property
    def mean_conclusion(self) -> MeanConclusion:
        """What the mean does; nothing is equivalent while failures may differ."""
        return self.mean.conclusion(self.failures.may_differ)

    @property
    def spread_conclusion(self) -> conclusions.SpreadConclusion:
        """What the spread does."""
        return self.spread.conclusion if self.spread else "untested"

    @functools.cached_property
    def conclusion(self) -> str:
        """All axes together, as `conclusions.conclude` joins them."""
        return conclusions.conclude(
            self.mechanism.reading,
            self.mean_conclusion,
            self.spread_conclusion,
            self.failures.conclusion,
            self.mechanism.onset,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pair:
    """Two arms.

    Attributes:
        difference: In the mean, b minus a.
        factor: The factor in which alone they differ; "both", or "several", where it isn't one.
        explained_by: A factor, "both", "round-off", "no effect", or "undecided".
    """

    difference: Estimate
    factor: str
    explained_by: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Attribution:
    """The answer for one design.

    Attributes:
        blocks: The outcomes by seed.
        factors: With the levels that there are.
        margin: The equivalence margin.
        effects: Of each factor, each level against the reference.
        warnings: What a reader must know.
        paired: Whether runs of the same seed belong together.
        resamples: Sign flips to draw where there are too many to try all.
    """

    blocks: Blocks
    factors: tuple[Factor, ...]
    margin: Margin | None
    effects: tuple[Effect, ...]
    warnings: list[str]
    paired: bool
    resamples: int = statistics.RESAMPLES

    @property
    def arms(self) -> tuple[Arm, ...]:
        """The conditions, the reference first."""
        return self.blocks.arms

    @property
    def is_thread(self) -> bool:
        """Whether the factors are the thread's, so that its verdict applies."""
        return bool(self.factors) and {factor.name for factor in self.factors} <= {f.name for f in thread.FACTORS}

    @property
    def seeds(self) -> list[int]:
        """The seeds that enter any effect."""
        used = {int(seed) for effect in self.effects for seed in effect.main.seeds}
        return [self.blocks.seeds[index] for index in sorted(used)]

    def of(self, factor: str) -> list[Effect]:
        """The effects of a factor, a level each."""
        return [effect for effect in self.effects if effect.factor.name == factor]

    def effect(self, factor: str) -> Effect | None:
        """The effect of a factor's first level; None where there is none."""
        return next(iter(self.of(factor)), None)

    @functools.cached_property
    def verdict(self) -> Verdict | None:
        """In the thread's design, which of its factors makes the difference; None in any other."""
        if not self.is_thread:
            return None
        different = [effect.factor.name for effect in self.effects if effect.mean_conclusion == "different"]
        if len(different) == 2:
            return "both"
        if different:
            return different[0]  # type: ignore[return-value]
        if not self.effects or any(effect.mean_conclusion == "undecided" for effect in self.effects):
            return "undecided"
        words = {effect.conclusion for effect in self.effects}
        return "round-off" if words <= {conclusions.ROUND_OFF, conclusions.IDENTICAL} else "no effect"

    @functools.cached_property
    def interactions(self) -> tuple[Interaction, ...]:
        """Of each factor with the others and with the precision; none where runs are unpaired."""
        own = [effect.contrast for effect in self.effects]
        return tuple(judge_interactions(self.blocks, own, self.resamples)) if self.paired else ()

    @functools.cached_property
    def placebo(self) -> SignFlip | None:
        """The ULP control analysed as if it were an effect; None without a control."""
        return placebo(self.blocks, self.resamples) if self.paired else None

    @functools.cached_property
    def precision(self) -> PrecisionSensitivity | None:
        """What round-off does in two precisions; None where no control tells."""
        return precision_sensitivity(self.blocks, self.resamples) if self.paired else None

    @functools.cached_property
    def sizes(self) -> list[statistics.Sizes | None]:
        """Each effect in the units that readers of the field know; None where runs are unpaired or no seed is whole."""
        rng = np.random.default_rng(SEED)
        return [_sizes(self.blocks, effect.contrast, rng) if self.paired else None for effect in self.effects]

    @functools.cached_property
    def shares(self) -> dict[str, float] | None:
        """What the outcome's variance consists of; None without replicates in every cell of a two-level factorial."""
        return _variance_shares(self.blocks, self.factors) if self.paired else None

    @functools.cached_property
    def pairs(self) -> list[Pair]:
        """All pairs of arms, their p-values Holm-corrected together."""
        return _pairs(self)

    def __repr__(self) -> str:
        lines = [f"Attribution of {len(self.blocks.seeds)} seeds, {len(self.arms)} arms"]
        for effect in self.effects:
            low, high = effect.main.ci
            lines.append(
                f"  {effect.factor.name} ({effect.level} - {effect.factor.reference}): "
                f"{effect.main.estimate:.3g} [{low:.3g}, {high:.3g}]; mechanism {effect.mechanism.reading}, "
                f"mean {effect.mean_conclusion}, spread {effect.spread_conclusion}, "
                f"failures {effect.failures.conclusion}: {effect.conclusion}"
            )
        return "\n".join([*lines, *(f"  warning: {warning}" for warning in self.warnings)])


def attribute(
    runs: pd.DataFrame,
    outcome: str,
    factors: Sequence[Factor],
    margin: float | None = None,
    *,
    goal: Goal = "maximize",
    paired: bool = True,
    mechanism: ReadMechanism | None = None,
) -> Attribution:
    """Answer for the runs of one design.

    Args:
        runs: A row a run, with the columns of `reports.sources`.
        outcome: One of the columns.
        factors: In what the conditions differ.
        margin: The equivalence margin, by default `MARGIN` standard deviations between seeds of the reference's runs.
        goal: Whether large outcomes are good.
        paired: Whether runs of the same seed belong together.
        mechanism: Reads a contrast's mechanism; without it, mechanisms are untested.
    """
    (answer,) = attribute_together(
        runs, {outcome: margin}, factors, goal=goal, paired=paired, mechanism=mechanism
    ).values()
    return answer


def attribute_together(
    runs: pd.DataFrame,
    margins: Mapping[str, float | None],
    factors: Sequence[Factor],
    *,
    goal: Goal = "maximize",
    paired: bool = True,
    mechanism: ReadMechanism | None = None,
) -> dict[str, Attribution]:
    """Answer for several outcomes, whose effects are one family: Holm's correction is over all of them.

    Args:
        runs: As `attribute` takes them.
        margins: The equivalence margin by outcome; None for the default one.
        factors: As `attribute` takes them, and so the rest.
        goal: Whether large outcomes are good.
        paired: Whether runs of the same seed belong together.
        mechanism: Reads a contrast's mechanism.
    """
    present = factors_of(runs, factors)
    blocks = {outcome: make_blocks(runs, outcome, present, goal) for outcome in margins}
    given = [None if margin is None else Margin(margin) for margin in margins.values()]
    answers = judge_together(list(blocks.values()), present, given, paired=paired, mechanism=mechanism)
    return {
        outcome: dataclasses.replace(answer, warnings=[*_of_runs(runs, outcome, own), *cautions(answer)])
        for (outcome, own), answer in zip(blocks.items(), answers, strict=True)
    }


def judge(
    blocks: Blocks,
    factors: Sequence[Factor],
    margin: Margin | None = None,
    *,
    paired: bool = True,
    mechanism: ReadMechanism | None = None,
    resamples: int = statistics.RESAMPLES,
) -> Attribution:
    """Answer for the blocks of one outcome: the statistics alone, and no word on what they rest on."""
    (answer,) = judge_together(
        [blocks], factors, [margin], paired=paired, mechanism=mechanism, resamples=resamples
    )
    return answer


def judge_together(
    outcomes: Sequence[Blocks],
    factors: Sequence[Factor],
    margins: Sequence[Margin | None],
    *,
    paired: bool = True,
    mechanism: ReadMechanism | None = None,
    resamples: int = statistics.RESAMPLES,
) -> list[Attribution]:
    """Answer for the blocks of several outcomes, whose effects are one family.

    Args:
        outcomes: The same runs' blocks, an outcome each.
        factors: With the levels that there are.
        margins: The equivalence margins, where they are given.
        paired: Whether runs of the same seed belong together.
        mechanism: Reads a contrast's mechanism.
        resamples: Sign flips to draw where there are too many to try all.
    """
    cases = [
        [
            Case(blocks, contrast, margin or estimate_margin(blocks, factors))
            for contrast in contrasts(blocks, factors)
            if _has_runs(blocks, contrast, paired)
        ]
        for blocks, margin in zip(outcomes, margins, strict=True)
    ]
    means = iter(judge_means([case for own in cases for case in own], paired, resamples))
    answers = []
    for blocks, margin, own in zip(outcomes, margins, cases, strict=True):
        found = [case.contrast for case in own]
        spreads = judge_spreads(blocks, found, resamples) if paired else [None] * len(found)
        failures = judge_failures(blocks, found, paired)
        effects = tuple(
            Effect(
                contrast=contrast,
                mechanism=mechanism(contrast, blocks.arms) if mechanism else UNTESTED,
                mean=next(means),
                spread=spread,
                failures=failed,
            )
            for contrast, spread, failed in zip(found, spreads, failures, strict=True)
        )
        answers.append(
            Attribution(
                blocks=blocks,
                factors=tuple(factors),
                margin=own[0].margin if own else margin,
                effects=effects,
                warnings=[],
                paired=paired,
                resamples=resamples,
            )
        )
    return answers


def _has_runs(blocks: Blocks, contrast: Contrast, paired: bool) -> bool:
    """Whether any seed, or any stratum where seeds pair nothing, has ended runs at both levels."""
    if paired:
        return bool(np.isfinite(contrast.by_seed(blocks.ranks, contrast.whole)).any())
    return all(np.isfinite(side).any() for side in contrast.sides(blocks.ranks))


def estimate_margin(blocks: Blocks, factors: Sequence[Factor]) -> Margin | None:
    """Return `MARGIN` standard deviations of the reference's runs between seeds; None where they have none.

    The reference is the arm at every factor's reference, or all arms where there is none such.
    """
    own = [
        number
        for number, arm in enumerate(blocks.arms)
        if all(arm.levels[factor.name] == factor.reference for factor in factors)
    ]
    runs = blocks.outcomes[:, own or list(range(len(blocks.arms)))]
    found = statistics.deviation(runs.reshape(len(runs), -1))
    return Margin(MARGIN * found.value, found) if found else None


def _sizes(blocks: Blocks, contrast: Contrast, rng: np.random.Generator) -> statistics.Sizes | None:
    """Of the seeds in which all of a contrast's runs finished."""
    sides = [side.reshape(len(side), -1) for side in contrast.sides(blocks.outcomes)]
    columns = [np.isfinite(side).any(axis=0) for side in sides]
    sides = [side[:, known] for side, known in zip(sides, columns, strict=True)]
    whole = np.isfinite(np.concatenate(sides, axis=1)).all(axis=1)
    if not whole.any() or sides[0].shape != sides[1].shape:
        return None
    return statistics.sizes(sides[0][whole], sides[1][whole], rng)


def _variance_shares(blocks: Blocks, factors: Sequence[Factor]) -> dict[str, float] | None:
    """By the method of moments, from seeds with all runs and controls of a two-level factorial."""
    runs = np.concatenate([blocks.outcomes[..., None], blocks.controls], axis=3)
    seeds, arms, precisions, replicates = runs.shape
    whole = runs.reshape(seeds, -1)
    whole = whole[np.isfinite(whole).all(axis=1)]
    if len(whole) < 2 or any(len(factor.levels) > 2 for factor in factors):
        return None
    grid = np.indices((arms, precisions, replicates)).reshape(3, -1)
    signs = {}
    for factor in factors:
        if len(factor.levels) == 2:
            level = np.array([factor.levels.index(arm.levels[factor.name]) for arm in blocks.arms])
            signs[factor.name] = -1.0 + 2 * level[grid[0]]
    if precisions == 2:
        signs["precision"] = -1.0 + 2 * grid[1]
    cells = sum((values > 0).astype(int) << bit for bit, values in enumerate(signs.values()))
    return statistics.variance_shares(whole, signs, list(np.atleast_1d(cells))) if signs else None


def _pairs(answer: Attribution) -> list[Pair]:
    """All pairs of arms: each is tested as a contrast of its own."""
    blocks, pairs = answer.blocks, arm_pairs(answer.arms)
    single = [_pair_contrast(answer.arms, a, b, blocks.precisions) for a, b in pairs]
    usable = [index for index, contrast in enumerate(single) if _has_runs(blocks, contrast, answer.paired)]
    cases = [Case(blocks, single[index], answer.margin) for index in usable]
    means = judge_means(cases, answer.paired, answer.resamples)
    return [
        Pair(
            difference=mean.main,
            factor=_difference_in(answer, *pairs[index]),
            explained_by=_explain(answer, mean, *pairs[index]),
        )
        for index, mean in zip(usable, means, strict=True)
    ]


def _pair_contrast(arms: Sequence[Arm], a: int, b: int, precisions: tuple[str, ...]) -> Contrast:
    factor = Factor(name="arm", levels=(arms[a].name, arms[b].name))
    return Contrast(factor, arms[b].name, (Stratum({}, (a,), (b,)),), precisions)


def _differing(answer: Attribution, a: int, b: int) -> list[Factor]:
    first, second = answer.arms[a].levels, answer.arms[b].levels
    return [factor for factor in answer.factors if first[factor.name] != second[factor.name]]


def _difference_in(answer: Attribution, a: int, b: int) -> str:
    match _differing(answer, a, b):
        case [only]:
            return only.name
        case [_, _]:
            return "both"
    return "several"


def _explain(answer: Attribution, mean: Mean, a: int, b: int) -> str:
    """What sets a pair apart: never more than the conclusions on its factors allow."""
    factors = _differing(answer, a, b)
    effects = [_effect_between(answer, factor, a, b) for factor in factors]
    if any(effect is None for effect in effects):
        return "undecided"
    found = [effect for effect in effects if effect is not None]
    different = [effect for effect in found if effect.mean_conclusion == "different"]
    settled = all(effect.mean_conclusion != "undecided" for effect in found)
    if mean.main.is_different and different and settled:
        return different[0].factor.name if len(different) == 1 else "both" if len(different) == 2 else "several"
    if different or not settled or not mean.main.is_equivalent:
        return "undecided"
    words = {effect.conclusion for effect in found}
    return "round-off" if words <= {conclusions.ROUND_OFF, conclusions.IDENTICAL} else "no effect"


def _effect_between(answer: Attribution, factor: Factor, a: int, b: int) -> Effect | None:
    """The effect of the level that one of the arms has, where the other has the reference; else None."""
    levels = [answer.arms[number].levels[factor.name] for number in (a, b)]
    if factor.reference not in levels:
        return None
    other = levels[1] if levels[0] == factor.reference else levels[0]
    return next((effect for effect in answer.of(factor.name) if effect.level == other), None)


def _of_runs(runs: pd.DataFrame, outcome: str, blocks: Blocks) -> list[str]:
    """A word on runs that didn't end with an outcome."""
    warnings = []
    for status, group in runs[runs["status"] != "finished"].groupby("status"):
        first = group.iloc[0]
        reason = " ".join(str(first["error"] or "no reason is given").split())
        warnings.append(f"{_count(len(group), 'run')} {status}, such as {first['run']}: {reason}")
    finished = runs[runs["status"] == "finished"]
    with np.errstate(invalid="ignore"):
        lost = finished[~(pd.to_numeric(finished[outcome], errors="coerce").abs() < 1e150)]
    if len(lost):
        warnings.append(
            f"{_count(len(lost), 'finished run')} without a finite {outcome}, such as {lost['run'].iloc[0]}: "
            "counted as failed"
        )
    if finished.empty:
        warnings.append(f"no run has finished with a {outcome}: nothing can be concluded")
    elif finished[outcome].nunique() == 1 and len(finished) > 1:
        warnings.append(f"every run has the same {outcome}: there is nothing to explain")
    return [*warnings, *_incomplete(blocks)]


def _incomplete(blocks: Blocks) -> list[str]:
    """Seeds that lack an arm in every precision."""
    there = (np.isfinite(blocks.outcomes) | blocks.failed).any(axis=2)
    missing = [str(seed) for seed, whole in zip(blocks.seeds, there.all(axis=1), strict=True) if not whole]
    if not missing:
        return []
    return [f"incomplete blocks (seeds with a missing run): {', '.join(missing)}"]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def cautions(answer: Attribution) -> list[str]:
    """What a reader must know of an answer's statistics."""
    found = []
    for factor in answer.factors:
        effects = answer.of(factor.name)
        if not effects:
            found.append(f"the {factor.name} effect can't be estimated: {_why_not(answer, factor)}")
        for effect in effects:
            found += _cautions_of(answer, effect)
    if answer.margin is None and answer.effects:
        found.append("no equivalence margin: the reference's runs don't vary between seeds; give a margin")
    if answer.effects and answer.paired and not answer.blocks.has_controls:
        found.append("no ULP control: whether round-off alone makes runs vary as much is untested")
    for interaction in answer.interactions:
        if interaction.is_different:
            found.append(f"the {interaction.factor} effect isn't the same at each level of {interaction.other}")
    return found


def _why_not(answer: Attribution, factor: Factor) -> str:
    if len(factor.levels) < 2:
        return f"all runs are of one level, {factor.levels[0] if factor.levels else 'none'}"
    return "no seed has finished runs that differ in it alone"


def _cautions_of(answer: Attribution, effect: Effect) -> list[str]:
    found, main, name = [], effect.main, effect.factor.name
    label = f"{name} ({effect.level} against {effect.factor.reference})"
    if not effect.mean.can_reject:
        needed = statistics.fewest_for(main.level)
        found.append(f"{label}: with {_count(main.size, 'seed')} no test can find a difference; {needed} are needed")
    if effect.mean_conclusion == "different" and main.margin and abs(main.estimate) < main.margin.value:
        kind = "estimated " if main.margin.deviation else ""
        found.append(f"{label} is different, but by less than the {kind}equivalence margin")
    if effect.mean.deviating and not main.is_different:
        where = ", ".join(f"{simple.where} {simple.estimate:+.3g}" for simple in effect.mean.deviating)
        found.append(f"{label} is different at one level of another factor: {where}")
    skewed = main.p_skew
    if skewed is not None and main.ranked is None and (skewed <= main.level) != (main.p <= main.level):
        found.append(
            f"{label}: the skew-corrected p is {skewed:.2g}, on the other side of the level {main.level:.2g} than the "
            f"sign flips' {main.p:.2g}: its differences are skewed, and one of the tests errs"
        )
    return found


def by_name(answer: Attribution) -> Mapping[str, Any]:
    """The effects by the name that programs know them by: the factor's, with the level where it has several."""
    several = {factor.name for factor in answer.factors if len(factor.levels) > 2}
    return {
        f"{effect.factor.name}={effect.level}" if effect.factor.name in several else effect.factor.name: effect
        for effect in answer.effects
    }


def differences_of(answer: Attribution, factor: str) -> dict[int, float]:
    """A factor's differences by seed, of its first level."""
    effect = answer.effect(factor)
    if effect is None:
        return {}
    seeds: Array = effect.main.seeds
    return dict(zip((answer.blocks.seeds[int(i)] for i in seeds), effect.main.differences, strict=True))
