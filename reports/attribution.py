"""Which part is which, and how sure: effects, pairs, and the verdict, for the runs of one design.

Everything is paired by seed: an effect is the mean over seeds of a contrast taken inside each seed's block, averaged
over the other factors and over replicates. A block with a hole takes no part, and the answer says so.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd

from reports import statistics
from reports.layout import PRIMARY, Factor, Kind, Layout, Place
from reports.sources.runs import LARGEST
from reports.statistics import ALPHA, Array, Margin, SignFlip

Conclusion = Literal["different", "equivalent", "undecided"]
Cause = Literal["parameterization", "round-off", "implementation", "undecided"]
Verdict = Literal["parameterization", "round-off", "implementation", "both", "undecided"]

MARGIN = 0.5
"""The default margin, as a multiple of the deviation between seeds of single runs of the layout's reference."""
SEED = 0
"""Of the generators that draw bootstrap samples."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Estimate:
    """An estimated difference, its intervals and the tests on it."""

    a: str
    b: str
    """the difference is b minus a"""
    differences: Array
    """`[seeds]`"""
    flip: SignFlip
    p: float
    p_adjusted: float
    """by Holm, over the family"""
    level: float
    """the alpha at which Holm judged it"""
    margin: Margin | None

    @functools.cached_property
    def estimate(self) -> float:
        """The mean difference."""
        return float(self.differences.mean())

    @functools.cached_property
    def ci(self) -> tuple[float, float]:
        """95%, of the same sign flips as `p`; infinite where there are too few seeds."""
        return self.flip.interval()

    @functools.cached_property
    def ci_adjusted(self) -> tuple[float, float]:
        """The same at `level`: it leaves zero out exactly where `p_adjusted` rejects it."""
        return self.flip.interval(1 - self.level)

    @functools.cached_property
    def p_equivalent(self) -> float | None:
        """Of two one-sided tests inside the margin; None without a margin."""
        return None if self.margin is None else statistics.p_equivalent(self.differences, self.flip, self.margin)

    @property
    def is_different(self) -> bool:
        """Whether the family's test rejects zero."""
        return self.p_adjusted <= ALPHA

    @functools.cached_property
    def is_equivalent(self) -> bool:
        """Whether `p_equivalent` is small."""
        return (
            self.margin is not None
            and statistics.p_equivalent(self.differences, self.flip, self.margin, enough=ALPHA) <= ALPHA
        )

    @functools.cached_property
    def conclusion(self) -> Conclusion:
        """What the tests say. "Not significant" is never "equal"."""
        if self.is_different:
            return "different"
        return "equivalent" if self.is_equivalent else "undecided"

    @functools.cached_property
    def seeds_needed(self) -> int | None:
        """Seeds that would decide, where it is undecided and can be told."""
        if self.conclusion != "undecided":
            return None
        return statistics.seeds_needed(self.differences, self.margin)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pair:
    """Two conditions."""

    difference: Estimate
    kind: Kind
    """in what they differ"""
    spread: statistics.SpreadTest | None
    """the scatter of their differences against the one-ulp control's; None without a control"""
    spread_p_adjusted: float | None
    """its p by Holm, over all pairs"""
    scatter: Array
    """their runs' differences, about their mean where the pair isn't mathematically equal, sorted"""
    control: Array
    """what one ulp does to either, sorted"""
    explained_by: Cause


@dataclasses.dataclass(frozen=True, kw_only=True)
class Attribution:
    """The answer for one design."""

    seeds: list[int]
    """the seeds whose blocks are whole"""
    margin: Margin | None
    effects: dict[Factor, Estimate]
    pairs: list[Pair]
    verdict: Verdict
    warnings: list[str]
    layout: Layout = dataclasses.field(default_factory=lambda: Layout(()))
    outcomes: Array = dataclasses.field(default_factory=lambda: np.empty((0, 0)))
    """`[seeds, places]`"""

    @functools.cached_property
    def sizes(self) -> dict[Factor, statistics.Sizes]:
        """The effects in the units that readers of the field know."""
        rng = np.random.default_rng(SEED)
        reference = self.outcomes[:, self.layout.reference] if self.effects else self.outcomes
        return {
            factor: statistics.sizes(*self.layout.contrasts[factor].of(self.outcomes), reference, rng)
            for factor in self.effects
        }

    @functools.cached_property
    def shares(self) -> statistics.Shares | None:
        """What the outcome's variance consists of; None without replicates in every cell of a full factorial."""
        factors, cells = self.layout.factorial
        return statistics.variance_shares(self.outcomes, factors, cells, np.random.default_rng(SEED))

    @functools.cached_property
    def mixed_model_shares(self) -> dict[str, float] | None:
        """The same by a linear mixed model; None where `shares` is, or it doesn't converge."""
        return statistics.mixed_model_shares(self.outcomes, self.layout.factorial[0]) if self.shares else None


def attribute(runs: pd.DataFrame, outcome: str, margin: float | None) -> Attribution:
    """Answer for the runs of one design.

    **Arguments**: `runs`, a row a run, as `reports.sources` has them; `outcome`, one of the columns; `margin`, the
    effect up to which two policies are as good as equal, by default `MARGIN` times the deviation between seeds of
    single runs of the reference, pooled within conditions, precisions and replicates.
    """
    given = None if margin is None else Margin(margin)
    usable, warnings = _usable(runs, outcome)
    if usable.empty:
        nothing = f"no run has finished with a {outcome}: nothing can be concluded"
        return _no_answer(given, [*warnings, nothing])
    blocks, more = _blocks(usable, outcome)
    warnings += more
    if blocks.empty:
        return _no_answer(given, warnings)
    layout = Layout(tuple(Place(*label) for label in blocks.columns))
    answer = judge(layout, blocks.to_numpy(), given)
    return dataclasses.replace(
        answer, seeds=[int(seed) for seed in blocks.index], warnings=[*warnings, *_cautions(answer)]
    )


def attribute_all(
    runs: pd.DataFrame, primary: str, others: Sequence[str], margin: float | None
) -> tuple[Attribution, dict[str, Attribution]]:
    """Answer for several outcomes: the primary one by itself, and all effects on the others as one family.

    **Arguments**: as `attribute` takes them; the margin is the primary outcome's, the others have their own.
    """
    answers = {name: attribute(runs, name, None) for name in others}
    family = [(name, factor) for name, answer in answers.items() for factor in answer.effects]
    p_values = [answers[name].effects[factor].p for name, factor in family]
    levels = statistics.holm_levels(p_values)
    for (name, factor), p_adjusted, level in zip(family, statistics.holm(p_values), levels, strict=True):
        answer = answers[name]
        effect = dataclasses.replace(answer.effects[factor], p_adjusted=p_adjusted, level=level)
        effects = {**answer.effects, factor: effect}
        answers[name] = dataclasses.replace(answer, effects=effects, verdict=_verdict(effects, answer.pairs))
    return attribute(runs, primary, margin), answers


def judge(layout: Layout, outcomes: Array, margin: Margin | None, resamples: int = statistics.RESAMPLES) -> Attribution:
    """Answer for whole blocks: the statistics alone, and no word on what they rest on.

    **Arguments**: `outcomes`, `[seeds, places]`; `margin`, where one is given; `resamples`, sign flips to draw where
    there are too many to try all.
    """
    if margin is None and (deviation := statistics.deviation(outcomes[:, layout.reference])):
        margin = Margin(MARGIN * deviation.value, deviation)
    contrasts = [
        (contrast.a, contrast.b, _difference(*contrast.of(outcomes))) for contrast in layout.contrasts.values()
    ]
    effects = dict(zip(layout.contrasts, _estimate(contrasts, margin, resamples), strict=True))
    pairs = _pairs(layout, outcomes, effects, margin, resamples)
    return Attribution(
        seeds=list(range(len(outcomes))),
        margin=margin,
        effects=effects,
        pairs=pairs,
        verdict=_verdict(effects, pairs),
        warnings=[],
        layout=layout,
        outcomes=outcomes,
    )


def _no_answer(margin: Margin | None, warnings: list[str]) -> Attribution:
    return Attribution(seeds=[], margin=margin, effects={}, pairs=[], verdict="undecided", warnings=warnings)


def _usable(runs: pd.DataFrame, outcome: str) -> tuple[pd.DataFrame, list[str]]:
    """Finished runs with a finite outcome, and a word on the others."""
    warnings = []
    for status, group in runs[runs["status"] != "finished"].groupby("status"):
        first = group.iloc[0]
        reason = " ".join(str(first["error"] or "nobody says why").split())
        warnings.append(f"{len(group)} runs are {status}, such as {first['run']}: {reason}")
    finished = runs[runs["status"] == "finished"]
    finite = pd.to_numeric(finished[outcome], errors="coerce").abs() < LARGEST
    if not finite.all():
        broken = finished[~finite]["run"]
        warnings.append(f"{len(broken)} finished runs have no finite {outcome}, such as {broken.iloc[0]}")
    return finished[finite].astype({outcome: float}), warnings


def _blocks(usable: pd.DataFrame, outcome: str) -> tuple[pd.DataFrame, list[str]]:
    """Outcomes as a table, a row a seed and a column a place, of the seeds that have them all."""
    blocks = (
        usable.pivot(index="seed", columns=list(Place._fields), values=outcome).sort_index(axis=0).sort_index(axis=1)
    )
    whole = blocks.notna().all(axis=1)
    warnings = []
    if usable[outcome].nunique() == 1 and len(usable) > 1:
        warnings.append(f"every run has the same {outcome}: there is nothing to explain")
    if not whole.all():
        holes = ", ".join(str(seed) for seed in blocks.index[~whole])
        warnings.append(f"left out of the paired analysis, since their blocks have holes: seeds {holes}")
        warnings += _rescues(blocks, int(whole.sum()))
    if not whole.any():
        warnings.append("no seed has all of its runs: nothing can be concluded")
    if whole.sum() == 1:
        warnings.append("a single seed: a difference can be seen, but nothing be tested")
    return blocks[whole], warnings


def _rescues(blocks: pd.DataFrame, whole: int) -> list[str]:
    """What to choose to keep more seeds, where a whole precision or replicate is missing for some."""
    choices = []
    for name in ("precision", "replicate"):
        for level, part in blocks.T.groupby(level=name):
            kept = int(part.T.notna().all(axis=1).sum())
            if kept > whole:
                choices.append((kept, f"--where {name}={level}"))
    return [f"`{choice}` would keep {kept} seeds" for kept, choice in sorted(choices, reverse=True)[:1]]


def _cautions(answer: Attribution) -> list[str]:
    """What a reader must know of an answer's statistics."""
    cautions = []
    if answer.margin is None:
        cautions.append(
            "no margin: runs have no deviation between seeds here, so equivalence is untested; give --margin"
        )
    for factor in PRIMARY:
        if factor not in answer.effects:
            why = answer.layout.why_no_contrast(factor)
            cautions.append(f"the {factor} effect can't be estimated: {why}")
    untested = [pair.difference for pair in answer.pairs if pair.spread is None]
    if untested:
        which = "" if len(untested) == len(answer.pairs) else f" of {untested[0].a} and {untested[0].b}"
        cautions.append(f"no replicates{which}: whether round-off explains a difference is untested")
    small = [effect for effect in answer.effects.values() if effect.is_different and effect.is_equivalent]
    return [*cautions, *(f"{effect.b} and {effect.a} are different, but by less than the margin" for effect in small)]


def _difference(a: Array, b: Array) -> Array:
    """How much more b is; zero where only the rounding of means tells the two apart."""
    return np.where(np.isclose(b, a, rtol=1e-12, atol=0.0), 0.0, b - a)


def _estimate(contrasts: Sequence[tuple[str, str, Array]], margin: Margin | None, resamples: int) -> list[Estimate]:
    """Test a family of differences."""
    flips = [statistics.sign_flip(differences, resamples) for _, _, differences in contrasts]
    p_values = [flip.p_two_sided() for flip in flips]
    adjusted, levels = statistics.holm(p_values), statistics.holm_levels(p_values)
    return [
        Estimate(
            a=a, b=b, differences=differences, flip=flip, p=p, p_adjusted=p_adjusted, level=level, margin=margin
        )
        for (a, b, differences), flip, p, p_adjusted, level in zip(
            contrasts, flips, p_values, adjusted, levels, strict=True
        )
    ]  # fmt: skip


def _pairs(
    layout: Layout,
    outcomes: Array,
    effects: Mapping[Factor, Estimate],
    margin: Margin | None,
    resamples: int,
) -> list[Pair]:
    differences = [outcomes[:, pair.runs_b] - outcomes[:, pair.runs_a] for pair in layout.pairs]
    contrasts = [
        (pair.a, pair.b, difference.mean(axis=1))
        for pair, difference in zip(layout.pairs, differences, strict=True)
    ]  # fmt: skip
    estimates = _estimate(contrasts, margin, resamples)
    controls = [outcomes[:, pair.nudged] - outcomes[:, pair.plain] for pair in layout.pairs]
    scatters = [
        difference if pair.kind == "implementation" else _centred(difference)
        for pair, difference in zip(layout.pairs, differences, strict=True)
    ]
    spreads = [
        statistics.compare_spread(scatter, control, resamples) if control.size else None
        for scatter, control in zip(scatters, controls, strict=True)
    ]
    tested = iter(statistics.holm([spread.p for spread in spreads if spread]))
    pairs = []
    for pair, estimate, spread, scatter, control in zip(
        layout.pairs, estimates, spreads, scatters, controls, strict=True
    ):
        p_spread = next(tested) if spread else None
        pairs.append(
            Pair(
                difference=estimate,
                kind=pair.kind,
                spread=spread,
                spread_p_adjusted=p_spread,
                scatter=np.sort(scatter, axis=None),
                control=np.sort(control, axis=None),
                explained_by=_explain(pair.kind, estimate, p_spread, effects),
            )
        )
    return pairs


def _centred(differences: Array) -> Array:
    """About their mean, and as large as if that had been known."""
    centred: Array = (differences - differences.mean()) * np.sqrt(len(differences) / max(1, len(differences) - 1))
    return centred


def _explain(kind: Kind, difference: Estimate, p_spread: float | None, effects: Mapping[Factor, Estimate]) -> Cause:
    """What sets a pair apart. A difference is one factor's where that one is different, and the other is equivalent."""
    if difference.is_different:
        if kind != "both":
            return kind
        match {factor: effect.conclusion for factor, effect in effects.items()}:
            case {"parameterization": "different", "implementation": "equivalent"}:
                return "parameterization"
            case {"parameterization": "equivalent", "implementation": "different"}:
                return "implementation"
        return "undecided"
    # A test of spread that couldn't have rejected, of too few seeds, has said nothing.
    if p_spread is None or p_spread <= ALPHA or 0.5 ** len(difference.differences) > ALPHA:
        return "undecided"
    if kind == "implementation":
        as_good_as_equal = "implementation" not in effects or not effects["implementation"].is_different
    else:
        as_good_as_equal = difference.conclusion == "equivalent"
    return "round-off" if as_good_as_equal else "undecided"


def _verdict(effects: Mapping[Factor, Estimate], pairs: Sequence[Pair]) -> Verdict:
    different = [factor for factor in PRIMARY if factor in effects and effects[factor].is_different]
    if len(different) == 2:
        return "both"
    if different:
        return different[0]
    equivalent = effects and all(effect.conclusion == "equivalent" for effect in effects.values())
    round_off = pairs and all(pair.explained_by == "round-off" for pair in pairs)
    return "round-off" if equivalent and round_off else "undecided"
