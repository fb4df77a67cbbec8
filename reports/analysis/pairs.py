"""Pairs of arms: each is tested by itself, and explained by the conclusions on the factors in which it differs."""

import dataclasses
from collections.abc import Sequence

from reports.analysis import conclusions
from reports.analysis.attribution import Attribution
from reports.analysis.blocks import Arm, Contrast, Stratum, arm_pairs, has_runs
from reports.analysis.effects import Effect
from reports.analysis.mean import Case, Estimate, judge_main_effects
from reports.factors import Factor


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pair:
    """Two arms.

    Attributes:
        difference: In the mean, b minus a.
        factor: The only factor in which they differ, or else "both" or "several".
        explained_by: A factor, "both", "round-off", "no effect", or "undecided".
    """

    difference: Estimate
    factor: str
    explained_by: str


def judge_pairs(answer: Attribution) -> list[Pair]:
    """Return all pairs of arms, each tested as a contrast of its own, their p-values Holm-corrected together."""
    blocks, pairs = answer.blocks, arm_pairs(answer.arms)
    single = [_pair_contrast(answer.arms, a, b, blocks.precisions) for a, b in pairs]
    usable = [index for index, contrast in enumerate(single) if has_runs(blocks, contrast, answer.paired)]
    cases = [Case(blocks, single[index], answer.margin) for index in usable]
    differences = judge_main_effects(cases, answer.paired, answer.resamples)
    return [
        Pair(
            difference=difference,
            factor=_difference_in(answer, *pairs[index]),
            explained_by=_explain(answer, difference, *pairs[index]),
        )
        for index, difference in zip(usable, differences, strict=True)
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


def _explain(answer: Attribution, difference: Estimate, a: int, b: int) -> str:
    """Return what explains a pair's difference, never more than the conclusions on its factors allow."""
    factors = _differing(answer, a, b)
    effects = [_effect_between(answer, factor, a, b) for factor in factors]
    if any(effect is None for effect in effects):
        return factors[0].name if len(factors) == 1 and difference.is_different else "undecided"
    found = [effect for effect in effects if effect is not None]
    different = [effect for effect in found if effect.mean_conclusion == "different"]
    settled = all(effect.mean_conclusion != "undecided" for effect in found)
    if difference.is_different and different and settled:
        return different[0].factor.name if len(different) == 1 else "both" if len(different) == 2 else "several"
    varies = any(effect.spread_conclusion in conclusions.SPREAD for effect in found)
    if different or not settled or varies or not difference.is_equivalent:
        return "undecided"
    words = {effect.conclusion for effect in found}
    return "round-off" if words <= {conclusions.ROUND_OFF, conclusions.IDENTICAL} else "no effect"


def _effect_between(answer: Attribution, factor: Factor, a: int, b: int) -> Effect | None:
    """Return the effect of the level that one of the arms has, where the other has the reference; else None."""
    levels = [answer.arms[number].levels[factor.name] for number in (a, b)]
    if factor.reference not in levels:
        return None
    other = levels[1] if levels[0] == factor.reference else levels[0]
    return next((effect for effect in answer.of(factor.name) if effect.level == other), None)
