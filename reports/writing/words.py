"""The answer in words, and numbers as people read them."""

import math
from collections.abc import Mapping

from reports.attribution import Attribution, Estimate
from reports.layout import Factor
from reports.price import Price
from reports.relations import Compensation
from reports.statistics import Interval, Margin

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


def effect_sentence(factor: Factor, effect: Estimate) -> str:
    """An effect, in a line for the terminal."""
    return (
        f"{factor} ({effect.b} - {effect.a}): {number(effect.estimate)} {interval(effect.ci)}, "
        f"{effect.conclusion}, p {p_value(effect.p)}, {p_value(effect.p_adjusted)} by Holm"
    )


def number(value: float | None) -> str:
    """Three significant digits; a dash for what there is not."""
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def interval(ends: tuple[float, float]) -> str:
    """In square brackets; a dash where an end is infinite."""
    return f"[{number(ends[0])}, {number(ends[1])}]"


def estimate(interval_: Interval | None) -> str:
    """An estimate and its interval; a dash where there is none."""
    return "-" if interval_ is None else f"{number(interval_.estimate)} {interval((interval_.low, interval_.high))}"


def percent(interval_: Interval | None) -> str:
    """A share and its interval, in percent."""
    if interval_ is None:
        return "-"
    low, high = (f"{100 * end:.0f}" if math.isfinite(end) else "-" for end in (interval_.low, interval_.high))
    return f"{100 * interval_.estimate:.0f}% [{low}, {high}]"


def margin(margin_: Margin | None) -> str:
    """A margin, and whether it is exact."""
    if margin_ is None:
        return "-"
    return f"±{number(margin_.value)}" + (" (estimated)" if margin_.deviation else "")


def price(price_: Price, outcome: str) -> str:
    """How much of a training return's difference is the price of exploration noise, in a sentence or two."""
    total, policy, noise = price_.total, price_.policy, price_.noise
    text = (
        f"Theta as a {total.b} instead of a {total.a} changes `{outcome}` by {number(total.estimate)} "
        f"{interval(total.ci)}, and the deterministic policy's return by {number(policy.estimate)} "
        f"{interval(policy.ci)}. The rest, {number(noise.estimate)} {interval(noise.ci)}, is the price of exploration "
        "noise"
    )
    if price_.share and 0 <= price_.share.estimate <= 1:
        return f"{text}: {percent(price_.share)} of the difference."
    return f"{text}."


def prediction(compensation: Compensation) -> str:
    """What the law predicts, said before the result."""
    step = {0.5: "half", 0.25: "a quarter of"}.get(compensation.law, f"{compensation.law:g} times")
    optimizer = {"adam": "Adam", "sgd": "plain gradient descent"}.get(compensation.optimizer, compensation.optimizer)
    return (
        f"Prediction: under {optimizer}, theta as a std learned with {step} the learning rate on phi is theta as a "
        "variance. So, with that, the parameterization's effect is none."
    )


def outcome_of(compensation: Compensation) -> str:
    """What came of the prediction."""
    effect = compensation.effect
    if effect is None:
        return "It can't be tested here: both parameterizations are needed, on the same seeds."
    kept = {
        "equivalent": "The prediction holds: that is as good as none",
        "different": "The prediction fails: something else than the learning speed is left",
        "undecided": "Whether the prediction holds is undecided",
    }[effect.conclusion]
    text = (
        f"With compensation, the effect is {number(effect.estimate)} {interval(effect.ci)}, with a margin of "
        f"{margin(effect.margin)} (p of equivalence {p_value(effect.p_equivalent)}). {kept}."
    )
    if compensation.explained is None:
        return f"{text} The plain design shows no difference of which a share could be explained."
    return f"{text} The scale's learning speed explains {percent(compensation.explained)} of the plain design's effect."


def p_value(p: float | None) -> str:
    """Two significant digits, never zero."""
    if p is None:
        return "-"
    return "< 0.0001" if p < 0.0001 else f"{p:.2g}"


def plural_seeds(count: int) -> str:
    """As in "10 seeds"."""
    return f"{count} seed" + "s" * (count != 1)


def _in_words(factor: Factor, effects: Mapping[Factor, Estimate]) -> str:
    effect = effects[factor]
    contrast = PHRASES[factor][1].format(a=effect.a, b=effect.b)
    return f"{contrast} changes it by {number(effect.estimate)} {interval(effect.ci)}"


def _rest(factor: Factor, answer: Attribution) -> str:
    """What the factor that isn't to blame contributes."""
    if factor not in answer.effects:
        return f"{PHRASES[factor][0]} wasn't varied by itself"
    effect = answer.effects[factor]
    kept = {"equivalent": f"is as good as none, within {margin(effect.margin)}", "undecided": "is undecided"}
    text = (
        f"the effect of {PHRASES[factor][0]}, {number(effect.estimate)} {interval(effect.ci)}, "
        f"{kept[effect.conclusion]}"
    )
    if factor == "implementation":
        causes = {pair.explained_by for pair in answer.pairs if pair.kind == "implementation"}
        if causes == {"round-off"}:
            text += ", and its runs scatter no more than after a nudge by one ulp: round-off"
    return text
