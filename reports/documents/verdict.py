"""`verdict.json`: the answer for programs. Every key is always there, and null where the value isn't known."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from reports.analysis.arms import ArmSummary, summarise_arms
from reports.analysis.attribution import Attribution, by_name
from reports.analysis.blocks import Arm
from reports.analysis.design import Design
from reports.analysis.dose import Dose
from reports.analysis.effects import Effect
from reports.analysis.interactions import Interaction
from reports.analysis.mean import Estimate
from reports.analysis.mechanism import Gaps, plain_mechanism
from reports.analysis.pairs import Pair
from reports.analysis.relations import Amplification, Compensation
from reports.files import Json
from reports.sources.runs import plain
from reports.statistics import Interval, Ratio, SignFlip

SCHEMA = 2
DIGITS = 8
"""Significant digits of numbers in the file. Beyond some 14, processors differ: by how they add numbers up."""


def verdict(outcome: str, designs: Sequence[Design], across: Sequence[Json] = ()) -> Json:
    """Return the whole `verdict.json`; an infinite end of an interval is null.

    Args:
        outcome: The primary outcome.
        designs: The answers.
        across: The aggregates over designs.
    """
    found: Json = plain(
        {
            "schema": SCHEMA,
            "outcome": outcome,
            "designs": [_design(design) for design in designs],
            "across_designs": list(across),
        }
    )
    return found


def rounded(value: Any) -> Any:
    """Return a verdict with numbers to `DIGITS` significant digits, so that the file is the same on any machine."""
    if isinstance(value, dict):
        return {name: rounded(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [rounded(inner) for inner in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def _design(design: Design) -> Json:
    answer = design.answer
    return {
        "design": design.values,
        "n_seeds": len(answer.blocks.seeds),
        "arms": [_arm(*both) for both in zip(summarise_arms(answer.blocks), answer.arms, strict=True)],
        "factors": {name: _factor(answer, effect) for name, effect in by_name(answer).items()},
        "placebo": _placebo(answer.placebo),
        "ulp_by_precision": _precision(answer),
        "pairs": [_pair(pair) for pair in design.pairs],
        "verdict": answer.verdict,
        "outcomes": {name: _other(other) for name, other in design.others.items()},
        "divergence": [_gaps(gaps) for gaps in design.gaps],
        "variance_share": answer.shares,
        "exploration_cost": design.exploration_cost and {
            "policy": _estimate(design.exploration_cost.policy),
            "noise": _estimate(design.exploration_cost.noise),
            "share": _interval(design.exploration_cost.share),
        },
        "warnings": design.warnings,
    }  # fmt: skip


def _arm(summary: ArmSummary, arm: Arm) -> Json:
    return {**dataclasses.asdict(summary), "levels": dict(arm.levels)}


def _factor(answer: Attribution, effect: Effect) -> Json:
    factor, mean, spread, failures = effect.factor, effect.mean, effect.spread, effect.failures
    tested = spread if spread and spread.is_tested else None
    return {
        "must_agree": factor.must_agree,
        "compared_at": effect.contrast.compared_at,
        "reference": factor.reference,
        "level": effect.level,
        "mechanism": plain_mechanism(effect.mechanism),
        "mean": {
            **_estimate(mean.main),
            "ci90": mean.main.ci90,
            "margin": mean.main.margin and mean.main.margin.value,
            "margin_is_estimated": mean.main.margin and mean.main.margin.sd is not None,
            "p_equivalent": mean.main.p_equivalent,
            "p_skew_corrected": mean.main.p_skew,
            "decided_by_ranks": mean.main.ranked is not None,
            "conclusion": effect.mean_conclusion,
            "seeds_needed": mean.seeds_needed if effect.mean_conclusion == "undecided" else None,
            "detectable": mean.main.detectable,
        },
        "spread": {
            "ratio": spread and spread.either.estimate,
            "ci": spread.either.ci if spread else [None, None],
            "sensitivity": _ratio(spread.sensitivity if spread else None) | ({} if tested else {"p": None}),
            "p_pairs": tested and tested.p_pairs,
            "p_sensitivity": tested and tested.p_sensitivity,
            "p_bounded": tested and tested.p_bounded,
            "uncovered": list(spread.uncovered) if spread else None,
            "conclusion": effect.spread_conclusion,
        },
        "failures": {
            "reference": list(failures.reference),
            "level": list(failures.level),
            "p": failures.p,
            "p_adjusted": failures.p_adjusted,
            "conclusion": failures.conclusion,
        },
        "simple_effects": [
            {
                "where": simple.place if simple.alternates else simple.where,
                **_estimate(simple),
                "conclusion": simple.conclusion,
            }
            for simple in mean.lines[1:]
        ],
        "interactions": [
            _interaction(found)
            for found in answer.interactions
            if (found.factor, found.level) == (factor.name, effect.level)
        ],
        "sizes": _sizes(answer, effect),
        "conclusion": effect.conclusion,
    }


def _estimate(estimate: Estimate) -> Json:
    return {
        "estimate": estimate.estimate,
        "n_seeds": estimate.size,
        "ci": estimate.ci,
        "ci_adjusted": estimate.ci_adjusted,
        "p": estimate.p,
        "p_adjusted": estimate.p_adjusted,
    }


def _interaction(found: Interaction) -> Json:
    return {
        "with": found.other,
        "a": found.a,
        "b": found.b,
        "estimate": found.test.estimate,
        "ci": found.test.interval(),
        "p": found.p,
        "p_adjusted": found.p_adjusted,
    }


def _sizes(answer: Attribution, effect: Effect) -> Json:
    sizes = answer.sizes[answer.effects.index(effect)]
    names = ("standardised", "probability", "iqm")
    return {name: _interval(getattr(sizes, name) if sizes else None) for name in names}


def _placebo(test: SignFlip | None) -> Json:
    return {"estimate": test and test.estimate, "ci": test.interval() if test else [None, None]}


def _precision(answer: Attribution) -> Json | None:
    found = answer.precision
    if found is None:
        return None
    return {
        "ulp_sd": dict(zip(found.precisions, found.ulp_sd, strict=True)),
        **_ratio(found.ratio),
    }


def _ratio(ratio: Ratio | None) -> Json:
    return {
        "ratio": ratio and ratio.estimate,
        "ci": ratio.ci if ratio else [None, None],
        "p": ratio and ratio.p_unequal,
    }


def _pair(pair: Pair) -> Json:
    difference = pair.difference
    return {
        "a": difference.a,
        "b": difference.b,
        "factor": pair.factor,
        "estimate": difference.estimate,
        "ci": difference.ci,
        "p": difference.p,
        "p_adjusted": difference.p_adjusted,
        "explained_by": pair.explained_by,
    }


def _other(answer: Attribution) -> Json:
    return {
        "factors": {
            name: {
                **_estimate(effect.main),
                "margin": effect.main.margin and effect.main.margin.value,
                "conclusion": effect.mean_conclusion,
            }
            for name, effect in by_name(answer).items()
        }
    }


def _gaps(gaps: Gaps) -> Json:
    return {
        "a": gaps.a,
        "b": gaps.b,
        "is_ulp_control": gaps.is_control,
        "precision": gaps.precision,
        "n_seeds": len(gaps.seeds),
        "first_gap": gaps.first,
        "first_tensor": gaps.first_tensor,
        "onset": _interval(gaps.onset),
        "apart": gaps.apart,
        "rate": _interval(gaps.rate),
    }


def relations(amplifications: Sequence[Amplification], compensations: Sequence[Compensation]) -> Json:
    """Return the part of `verdict.json` on comparisons of the thread's designs."""
    found: Json = plain(
        {
            "amplification": [
                {"own": row.own, "shared": row.shared, "comparison": row.comparison, "precision": row.precision,
                 "own_rate": _interval(row.own_rate), "shared_rate": _interval(row.shared_rate),
                 "environment_share": _interval(row.environment)}
                for row in amplifications
            ],
            "compensation": [
                {"plain": row.plain, "compensated": row.compensated, "law": row.law,
                 **(_compensated(row.effect) if row.effect else {}),
                 "explained": _interval(row.explained), "open_channels": row.channels}
                for row in compensations
            ],
        }
    )  # fmt: skip
    return found


def responses(doses: Sequence[Dose]) -> Json:
    """Return the part of `verdict.json` on doses: when runs come apart, and the spread of their outcomes."""
    found: Json = plain(
        {
            "doses": [
                {"runs": dose.runs, "dose": dose.label, "size": dose.size, "precision": dose.precision,
                 "n_seeds": dose.seeds, "apart": dose.apart, "onset": _interval(dose.onset),
                 "sd": _interval(dose.sd)}
                for dose in doses
            ]
        }
    )  # fmt: skip
    return found


def _compensated(effect: Effect) -> Mapping[str, Any]:
    return {
        **_estimate(effect.main),
        "margin": effect.main.margin and effect.main.margin.value,
        "p_equivalent": effect.main.p_equivalent,
        "conclusion": effect.mean_conclusion,
    }


def _interval(interval: Interval | None) -> Json | None:
    return {"estimate": interval.estimate, "ci": [interval.low, interval.high]} if interval else None
