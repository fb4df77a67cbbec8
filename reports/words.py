"""The answer in words, and numbers as people read them."""

import math
from collections.abc import Mapping

from reports.attribution import Attribution, Estimate
from reports.layout import Factor

PHRASES: dict[Factor, tuple[str, str]] = {
    "parameterization": ("what theta means", "theta as a {b} instead of a {a}"),
    "implementation": ("which class computes", "{b} instead of {a}"),
}
"""A factor in words, and its contrast."""


def sentence(answer: Attribution, outcome: str) -> str:
    """The verdict, in one sentence."""
    effects = answer.effects
    match answer.verdict:
        case "parameterization":
            return (
                f"The difference in `{outcome}` comes from the parameterization: "
                f"{_in_words('parameterization', effects)}; {_rest('implementation', answer)}."
            )
        case "implementation":
            return (
                f"Alarm: which class computes makes a difference in `{outcome}` where there should be none: "
                f"{_in_words('implementation', effects)}; {_rest('parameterization', answer)}."
            )
        case "both":
            return (
                f"Both make a difference in `{outcome}`: {_in_words('parameterization', effects)}, and, where there "
                f"should be none, {_in_words('implementation', effects)}."
            )
        case "round-off":
            return (
                f"Round-off explains every difference in `{outcome}`: none is beyond the margin, and none scatters "
                "more than a nudge by one ulp makes runs scatter."
            )
        case "undecided":
            return (
                f"The differences in `{outcome}` are undecided at {plural_seeds(len(answer.seeds))}: "
                + ("; ".join(_in_words(factor, effects) for factor in effects) or "no effect can be estimated")
                + "."
            )


def effect_sentence(factor: Factor, estimate: Estimate) -> str:
    """An effect, in a line for the terminal."""
    return (
        f"{factor} ({estimate.b} - {estimate.a}): {number(estimate.estimate)} {interval(estimate.ci)}, "
        f"{estimate.conclusion}, p {p_value(estimate.p_adjusted)} (Holm)"
    )


def number(value: float | None) -> str:
    """Three significant digits; a dash for what there is not."""
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def interval(ends: tuple[float, float]) -> str:
    """In square brackets; a dash where an end is infinite."""
    return f"[{number(ends[0])}, {number(ends[1])}]"


def p_value(p: float | None) -> str:
    """Two significant digits, never zero."""
    if p is None:
        return "-"
    return "< 0.0001" if p < 0.0001 else f"{p:.2g}"


def plural_seeds(count: int) -> str:
    """As in "10 seeds"."""
    return f"{count} seed" + "s" * (count != 1)


def _in_words(factor: Factor, effects: Mapping[Factor, Estimate]) -> str:
    estimate = effects[factor]
    contrast = PHRASES[factor][1].format(a=estimate.a, b=estimate.b)
    return f"{contrast} changes it by {number(estimate.estimate)} {interval(estimate.ci)}"


def _rest(factor: Factor, answer: Attribution) -> str:
    """What the factor that isn't to blame contributes."""
    if factor not in answer.effects:
        return f"{PHRASES[factor][0]} wasn't varied by itself"
    estimate = answer.effects[factor]
    words = {
        "equivalent": f"is as good as none, within ±{number(answer.margin.value if answer.margin else None)}",
        "undecided": "is undecided",
    }
    text = (
        f"the effect of {PHRASES[factor][0]}, {number(estimate.estimate)} {interval(estimate.ci)}, "
        f"{words[estimate.conclusion]}"
    )
    if factor == "implementation":
        causes = {pair.explained_by for pair in answer.pairs if pair.kind == "implementation"}
        if causes == {"round-off"}:
            text += ", and its runs scatter no more than after a nudge by one ulp: round-off"
    return text
