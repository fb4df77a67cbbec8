"""The rates at which the report's labels are wrong, and at which they are given where they are right."""

import dataclasses
import math
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import pandas as pd

from reports.analysis import conclusions
from reports.analysis.attribution import Attribution, by_name, judge
from reports.analysis.blocks import Arm, Contrast
from reports.analysis.effects import Effect
from reports.analysis.mean import Estimate
from reports.analysis.mechanism import Mechanism
from reports.analysis.pairs import Pair, judge_pairs
from reports.calibration.studies import MARGIN, Study, Truth
from reports.statistics import Margin

RESAMPLES = 2_000
"""Sign flips to draw above 20 seeds: a p-value of drawn flips is valid for any number (Phipson & Smyth 2010)."""

RIGHT = ("different", "equivalent", "round-off", "bounded", "larger", "seeds differ", "failures")
"""Labels of a factor that a reader can see, which are also counted where they are right."""
WRONG = (*RIGHT, "line", "pair", "verdict")
"""These, and the labels of a line of the effects' table, of a pair and of the thread's design, counted where wrong."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """The rates of labels on studies of one kind, as shares of the studies.

    Attributes:
        study: The kind's name.
        shape: Of seeds and chaos.
        seeds: Of each study.
        studies: The number of studies.
        wrong: Of each label, the share of studies in which any factor had it wrongly; of lines and pairs, that of the
            line or pair which is wrong most often. None where it can't be wrong.
        right: Of each label, the share of studies in which a factor of which it is true had it; None where it isn't
            true of any.
    """

    study: str
    shape: str
    seeds: int
    studies: int
    wrong: dict[str, float | None]
    right: dict[str, float | None]

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return a row from what `dataclasses.asdict` makes of it.

        Raises:
            TypeError: A value is missing, or unknown.
        """
        return cls(**values)


def simulate(study: Study, shape: str, seeds: int, studies: int) -> Row:
    """Return the rates of labels on simulated studies. A row's random numbers don't depend on other rows.

    Args:
        study: The kind of study.
        shape: Of seeds and chaos, one of `SHAPES`.
        seeds: Of each study.
        studies: The number of studies.
    """
    rng = np.random.default_rng([zlib.crc32(study.name.encode()), zlib.crc32(shape.encode()), seeds])
    wrong: dict[str, list[bool]] = {label: [] for label in WRONG}
    right: dict[str, list[bool]] = {label: [] for label in RIGHT}
    lines: Counter[tuple[str, str]] = Counter()
    pairs: Counter[tuple[str, str]] = Counter()
    effects = true_effects(study)
    for _ in range(studies):
        answer = judge(
            study.draw(shape, seeds, rng),
            study.factors,
            None if study.is_estimated else Margin(MARGIN),
            paired=study.paired,
            mechanism=_mechanism,
            resamples=RESAMPLES,
        )
        given = [(given_labels(effect), study.truths[name]) for name, effect in by_name(answer).items()]
        for label in RIGHT:
            _note(wrong[label], [label in labels for labels, truth in given if not is_true(label, truth)])
            _note(right[label], [label in labels for labels, truth in given if is_true(label, truth)])
        for name, effect in by_name(answer).items():
            for line in effect.mean.lines:
                lines[name, line.where] += is_line_wrong(line, effects[name, line.where], study.truths[name])
        for pair in judge_pairs(answer):
            pairs[pair.difference.a, pair.difference.b] += is_pair_wrong(answer, pair, study.truths)
        if answer.verdict:
            _note(wrong["verdict"], [is_verdict_wrong(answer.verdict, study.truths)])
    return Row(
        study=study.name,
        shape=shape,
        seeds=seeds,
        studies=studies,
        wrong={label: _share(values, studies) for label, values in wrong.items()}
        | {"line": max(lines.values(), default=0) / studies}
        | {"pair": max(pairs.values(), default=0) / studies},
        right={label: _share(values, studies) for label, values in right.items()},
    )


def _note(studies: list[bool], happened: list[bool]) -> None:
    if happened:
        studies.append(any(happened))


def _share(happened: list[bool], studies: int) -> float | None:
    return sum(happened) / studies if happened else None


def _mechanism(contrast: Contrast, _arms: Any) -> Mechanism:
    """Return the true mechanism: round-off where levels must agree, else real. `mechanisms` calibrates its readings."""
    return Mechanism(reading="round-off" if contrast.factor.must_agree else "real")


def given_labels(effect: Effect) -> set[str]:
    """Return the labels that an effect has."""
    labels: set[str] = {effect.mean_conclusion, effect.spread_conclusion}
    if effect.conclusion == conclusions.ROUND_OFF:
        labels.add("round-off")
    if effect.failures.conclusion == "different":
        labels.add("failures")
    return labels


def is_true(label: str, truth: Truth) -> bool:
    """Return whether a label is true of a factor."""
    match label:
        case "different":
            return not truth.is_none
        case "equivalent":
            return not truth.is_outside
        case "round-off":
            return not truth.is_outside and not truth.is_more_spread
        case "bounded":
            return not truth.is_more_spread
        case "larger":
            return truth.sensitivity > 1.0
        case "seeds differ":
            return truth.seeds > 1.0
        case "failures":
            return truth.fails
    raise ValueError(label)


def true_effects(study: Study) -> dict[tuple[str, str], float]:
    """Return the true effect of each line of the effects' table, by its factor and where it is compared."""
    answer = judge(study.expected(), study.factors, None, paired=study.paired, mechanism=_mechanism)
    return {(name, line.where): line.estimate for name, effect in by_name(answer).items() for line in effect.mean.lines}


def is_line_wrong(line: Estimate, effect: float, truth: Truth) -> bool:
    """Return whether a line is *different* without an effect, or *equivalent* with one as large as the margin."""
    match line.conclusion:
        case "different":
            return math.isclose(effect, 0.0, abs_tol=1e-9) and not truth.fails
        case "equivalent":
            return abs(effect) >= MARGIN * (1 - 1e-9) or truth.fails
    return False


def is_pair_wrong(answer: Attribution, pair: Pair, truths: Mapping[str, Truth]) -> bool:
    """Return whether a pair's label names a factor without any effect, or none where there is one outside."""
    arms: dict[str, Arm] = {arm.name: arm for arm in answer.arms}
    a, b = arms[pair.difference.a].levels, arms[pair.difference.b].levels
    own = [truth for name, truth in truths.items() if _differs(name, a, b)]
    match pair.explained_by:
        case "undecided":
            return False
        case "round-off":
            return any(truth.is_outside or truth.is_more_spread for truth in own)
        case "no effect":
            return any(truth.is_outside for truth in own)
        case "both" | "several":
            return any(truth.is_none for truth in own)
    return truths[pair.explained_by].is_none if pair.explained_by in truths else all(truth.is_none for truth in own)


def _differs(name: str, a: Mapping[str, str], b: Mapping[str, str]) -> bool:
    factor, _, level = name.partition("=")
    return a[factor] != b[factor] and (not level or level in (a[factor], b[factor]))


def is_verdict_wrong(verdict: str, truths: Mapping[str, Truth]) -> bool:
    """Return whether a verdict blames a factor without any effect, or none where one has an effect outside."""
    match verdict:
        case "undecided":
            return False
        case "both":
            return any(truth.is_none for truth in truths.values())
        case "round-off":
            return any(truth.is_outside or truth.is_more_spread for truth in truths.values())
        case "no effect":
            return any(truth.is_outside for truth in truths.values())
    return truths[verdict].is_none


def table(rows: Sequence[Row]) -> pd.DataFrame:
    """Return the rows as a table: a column for each label, in percent of the studies."""
    return pd.DataFrame(
        [
            {
                "study": row.study,
                "shape": row.shape,
                "seeds": row.seeds,
                "studies": row.studies,
                **{f"wrong: {label}": _percent(share) for label, share in row.wrong.items()},
                **{f"right: {label}": _percent(share) for label, share in row.right.items()},
            }
            for row in rows
        ]
    )


def _percent(share: float | None) -> float | None:
    return None if share is None else round(100 * share, 2)
