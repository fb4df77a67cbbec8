"""Conclusions: the words of each axis, and the table that joins them.

Three questions are answered apart: is the computation the same (mechanism), does the outcome's mean change, and are
runs more variable or do they fail more often (spread, failures)? A conclusion is a cell of the table of mechanism and
mean. It says *round-off* only where the mechanism does, the mean is equivalent, the spread is bounded, and failures
don't differ.
"""

from typing import Literal

Reading = Literal["identical", "round-off", "real", "late", "untested"]
MeanConclusion = Literal["identical", "different", "equivalent", "undecided"]
SpreadConclusion = Literal["bounded", "larger", "seeds differ", "undecided", "untested"]
FailureConclusion = Literal["none", "same", "bounded", "different", "undecided"]
Verdict = Literal["parameterization", "implementation", "both", "round-off", "no effect", "undecided"]

IDENTICAL = "identical"
ROUND_OFF = "round-off"
ROUND_OFF_AT_FIRST = "round-off at first; outcome undecided"
BUT_FOR_THE_SPREAD: dict[SpreadConclusion, str] = {
    "undecided": "round-off at first; spread undecided",
    "untested": "round-off at first; spread untested",
}
"""Conclusions where nothing but the spread keeps from *round-off*."""
ALARM = "alarm: a late difference, or chance"
DIFFERENT, EQUIVALENT, UNDECIDED = "different, cause unknown", "equivalent, cause unknown", "undecided"

REAL: dict[MeanConclusion, str] = {
    "different": "real, and it matters",
    "equivalent": "real, but it doesn't matter within the margin",
    "identical": "real, but it doesn't matter within the margin",
    "undecided": "real; outcome undecided",
}
UNKNOWN: dict[MeanConclusion, str] = {
    "different": DIFFERENT,
    "equivalent": EQUIVALENT,
    "identical": EQUIVALENT,
    "undecided": UNDECIDED,
}

SPREAD: dict[SpreadConclusion, str] = {
    "larger": "it changes how much runs vary",
    "seeds differ": "seeds respond differently",
}


def conclude(
    mechanism: Reading,
    mean: MeanConclusion,
    spread: SpreadConclusion,
    failures: FailureConclusion,
    onset: int | None = None,
) -> str:
    """Return the conclusion from the axes, a cell of the table of mechanism and mean.

    Args:
        mechanism: Whether the computation is the same.
        mean: Whether the outcome's mean changes.
        spread: Whether runs vary more, or seeds respond differently.
        failures: Whether runs fail more often.
        onset: The update from which a *late* difference is seen.
    """
    others = None if mean == "different" else _beside_the_mean(spread, failures)
    real = f"real, and {others}" if others else REAL[mean]
    match mechanism:
        case "real":
            return real
        case "late":
            return real.replace("real", f"real from update {onset} on", 1)
        case "untested":
            return f"{others}, cause unknown" if others else UNKNOWN[mean]
        case "identical" if mean == "identical":
            return IDENTICAL
    if mean == "different" or failures == "different":
        return ALARM
    if others:
        return f"round-off at first; {others}"
    if mean == "undecided" or failures == "undecided":
        return ROUND_OFF_AT_FIRST
    return ROUND_OFF if spread == "bounded" else BUT_FOR_THE_SPREAD[spread]


def _beside_the_mean(spread: SpreadConclusion, failures: FailureConclusion) -> str | None:
    """Return what changes beside the mean, in words; None where nothing is shown to."""
    if failures == "different":
        return "it changes how often runs fail"
    return SPREAD.get(spread)
