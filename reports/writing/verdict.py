"""`verdict.json`: the answer for programs. Every key is always there, and what can't be told is null."""

from collections.abc import Sequence
from typing import Any

from reports.attribution import Attribution, Estimate, Pair
from reports.divergence import Comparison, Mechanism
from reports.layout import PRIMARY
from reports.relations import Amplification, Compensation
from reports.section import Section
from reports.sources.runs import plain
from reports.statistics import Interval, Sizes

Json = dict[str, Any]

SHARES = ("seed", *PRIMARY, "precision", "together", "seed_by_factor", "round_off")
"""What an outcome's variance consists of: `statistics.variance_shares`."""


def design_verdict(section: Section) -> Json:
    """One design's part of it; an infinite end of an interval is null."""
    answer = section.answer
    shares, mixed = answer.shares, answer.mixed_model_shares or {}
    verdict: Json = plain(
        {
            "design": section.design,
            "n_seeds": len(answer.seeds),
            "effects": effects(answer),
            "pairs": [_pair(pair) for pair in answer.pairs],
            "mechanism": [
                {"a": row.a, "b": row.b, "gap": row.gap, "ratio": row.ratio,
                 "scales_with_precision": row.scales_with_precision}
                for row in section.mechanism
            ],
            "divergence": [_comparison(comparison) for comparison in section.comparisons],
            "variance_share": {name: shares and shares.shares.get(name) for name in SHARES},
            "variance_share_ci": {name: shares and shares.intervals.get(name) for name in SHARES},
            "variance_share_mixed_model": {name: mixed.get(name) for name in SHARES},
            "outcomes": {
                name: {"verdict": other.verdict, "n_seeds": len(other.seeds), "effects": effects(other)}
                for name, other in section.others.items()
            },
            "price_of_exploration": section.price and {
                "policy": _numbers(section.price.policy),
                "noise": _numbers(section.price.noise),
                "share": _interval(section.price.share),
            },
            "verdict": answer.verdict,
            "untested": untested(answer, section.mechanism),
            "warnings": section.warnings,
        }
    )  # fmt: skip
    return verdict


def relation_verdicts(amplifications: Sequence[Amplification], compensations: Sequence[Compensation]) -> Json:
    """What designs say together."""
    verdict: Json = plain(
        {
            "amplification": [
                {"own": row.own, "shared": row.shared, "comparison": row.comparison, "precision": row.precision,
                 "own_rate": _interval(row.own_rate), "shared_rate": _interval(row.shared_rate),
                 "environment_share": _interval(row.environment)}
                for row in amplifications
            ],
            "compensation": [
                {"plain": row.plain, "compensated": row.compensated, "law": row.law,
                 **effects(row.answer)["parameterization"], "explained": _interval(row.explained),
                 "open_channels": row.channels}
                for row in compensations
            ],
        }
    )  # fmt: skip
    return verdict


def untested(answer: Attribution, mechanism: Sequence[Mechanism]) -> list[str]:
    """Which parts of the answer rest on no test, since the runs for it aren't there."""
    missing = [f"{factor} effect" for factor in PRIMARY if factor not in answer.effects]
    if answer.margin is None:
        missing.append("equivalence")
    if not answer.pairs or any(pair.spread is None for pair in answer.pairs):
        missing.append("round-off")
    if answer.shares is None:
        missing.append("variance shares")
    if not mechanism or all(row.ratio is None for row in mechanism):
        missing.append("mechanism")
    return missing


def effects(answer: Attribution) -> Json:
    """Of both factors, there or not."""
    return {
        factor: _effect(answer.effects.get(factor), answer.sizes.get(factor), answer) for factor in PRIMARY
    }  # fmt: skip


def _effect(estimate: Estimate | None, sizes: Sizes | None, answer: Attribution) -> Json:
    return {
        **_numbers(estimate),
        "p_equivalent": estimate and estimate.p_equivalent,
        "margin": answer.margin and answer.margin.value,
        "margin_is_estimated": answer.margin and answer.margin.deviation is not None,
        "conclusion": estimate.conclusion if estimate else "undecided",
        "seeds_needed": estimate and estimate.seeds_needed,
        "bootstrap": _interval(sizes.mean if sizes else None),
        "standardised": _interval(sizes.standardised if sizes else None),
        "probability_of_improvement": _interval(sizes.probability if sizes else None),
        "iqm": _interval(sizes.iqm if sizes else None),
    }


def _pair(pair: Pair) -> Json:
    return {
        "a": pair.difference.a,
        "b": pair.difference.b,
        "kind": pair.kind,
        **_numbers(pair.difference),
        "spread": pair.spread and pair.spread.spread,
        "control_spread": pair.spread and pair.spread.control_spread,
        "spread_ratio_ci": pair.spread.ratio_ci if pair.spread else [None, None],
        "spread_p": pair.spread and pair.spread.p,
        "spread_p_adjusted": pair.spread_p_adjusted,
        "explained_by": pair.explained_by,
    }


def _numbers(estimate: Estimate | None) -> Json:
    nothing = [None, None]
    return {
        "estimate": estimate and estimate.estimate,
        "ci": estimate.ci if estimate else nothing,
        "p": estimate and estimate.p,
        "ci_adjusted": estimate.ci_adjusted if estimate else nothing,
        "p_adjusted": estimate and estimate.p_adjusted,
    }


def _comparison(comparison: Comparison) -> Json:
    return {
        "a": comparison.a,
        "b": comparison.b,
        "kind": comparison.kind,
        "precision": comparison.precision,
        "n_seeds": len(comparison.seeds),
        "first_gap": comparison.first,
        "first_tensor": comparison.first_tensor,
        "onset": _interval(comparison.onset),
        "apart": comparison.apart,
        "rate": _interval(comparison.rate),
        "horizon_float64": _interval(comparison.horizon),
    }


def _interval(interval: Interval | None) -> Json | None:
    return {"estimate": interval.estimate, "ci": [interval.low, interval.high]} if interval else None
