"""`verdict.json`: the answer for programs. Every key is always there, and what can't be told is null."""

from collections.abc import Mapping, Sequence
from typing import Any

from reports.attribution import PRIMARY, Attribution, Estimate, Pair
from reports.divergence import Mechanism
from reports.runs import plain

Json = dict[str, Any]


def design_verdict(design: Mapping[str, Any], answer: Attribution, mechanism: Sequence[Mechanism]) -> Json:
    """One design's part of it; an infinite end of an interval is null."""
    verdict: Json = plain(
        {
            "design": design,
            "n_seeds": len(answer.seeds),
            "effects": {factor: _effect(answer.effects.get(factor), answer.margin) for factor in PRIMARY},
            "pairs": [_pair(pair) for pair in answer.pairs],
            "mechanism": [
                {"a": row.a, "b": row.b, "gap": row.gap, "ratio": row.ratio,
                 "scales_with_precision": row.scales_with_precision}
                for row in mechanism
            ],
            "variance_share": answer.variance_share,
            "verdict": answer.verdict,
            "warnings": answer.warnings,
        }
    )  # fmt: skip
    return verdict


def _effect(estimate: Estimate | None, margin: float | None) -> Json:
    return {
        **_numbers(estimate),
        "p_equivalent": estimate and estimate.p_equivalent,
        "margin": margin,
        "conclusion": estimate.conclusion if estimate else "undecided",
        "seeds_needed": estimate and estimate.seeds_needed,
    }


def _pair(pair: Pair) -> Json:
    return {
        "a": pair.difference.a,
        "b": pair.difference.b,
        "kind": pair.kind,
        **_numbers(pair.difference),
        "spread": pair.spread and pair.spread.spread,
        "control_spread": pair.spread and pair.spread.control_spread,
        "spread_p": pair.spread and pair.spread.p,
        "explained_by": pair.explained_by,
    }


def _numbers(estimate: Estimate | None) -> Json:
    if estimate is None:
        return {"estimate": None, "ci": [None, None], "p": None, "p_adjusted": None}
    return {"estimate": estimate.estimate, "ci": estimate.ci, "p": estimate.p, "p_adjusted": estimate.p_adjusted}
