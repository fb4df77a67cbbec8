"""The report on fair tuning: effects before and after it on held-out seeds, and what the searches found."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
from markupsafe import Markup
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.trial import FrozenTrial, TrialState
from scipy import stats

from reports.analysis import warnings
from reports.analysis.attribution import Attribution, attribute
from reports.analysis.effects import Effect
from reports.documents import html, words
from reports.documents.pages import page
from reports.documents.tuning_pictures import draw
from reports.statistics import ALPHA, Array, holm
from reports.thread import CONDITIONS, FACTORS

Searches = Mapping[str, optuna.Study]
"""By condition."""

BEST_SHARE = 0.25
"""The share of a search's complete trials that count as good."""
FEWEST_TRIALS = 8
"""The fewest complete trials from which importances are estimated."""
ENOUGH_TRIALS = 30
"""The fewest complete trials of a search without a warning."""


@dataclasses.dataclass(frozen=True)
class Shift:
    """Good values of a hyperparameter, for conditions in which the scale is a variance or a std.

    Attributes:
        name: The hyperparameter.
        variance: The median of good trials' values where the scale is a variance.
        std: The same where it is a std.
        p: Of a permutation of good trials between the two, by their relative value in the search space; Holm's over
            hyperparameters. An adaptive search's trials aren't independent, so this is a hint and no test.
    """

    name: str
    variance: float
    std: float
    p: float


def write(
    output: Path,
    searches: Searches,
    untuned: pd.DataFrame,
    tuned: pd.DataFrame,
    outcome: str,
    margin: float | None,
    *,
    with_html: bool = False,
) -> str:
    """Write tuning.md and its figures, and return the answer in a few lines.

    Args:
        output: The directory to write to.
        searches: By condition.
        untuned: Runs of the held-out seeds before tuning, as `attribute` takes them.
        tuned: Runs of the same seeds with each condition's best trial.
        outcome: The outcome.
        margin: The equivalence margin; None for the default one.
        with_html: Write tuning.html too, which needs no other file.
    """
    before = attribute(untuned, outcome, FACTORS, margin)
    after = attribute(tuned, outcome, FACTORS, margin)
    shifts = good_values(searches)
    output.mkdir(parents=True, exist_ok=True)
    pictures = draw(
        {name: _complete(study) for name, study in searches.items()},
        {"untuned": before, "tuned": after},
        outcome,
        output,
    )
    text = page(
        "tuning.md.j2",
        answer=Markup(answer(before, after, outcome)),
        absorbed=Markup(absorbed(shifts)),
        before=before,
        after=after,
        warnings=[
            *_of_searches(searches),
            *(
                f"{name}: {warning}"
                for name, runs, each in (("untuned", untuned, before), ("tuned", tuned, after))
                for warning in (*warnings.of_runs(runs, outcome, each.blocks), *warnings.of_answer(each))
            ),
        ],
        outcome=outcome,
        searches={condition: summary(study) for condition, study in searches.items()},
        importances={condition: importances(study) for condition, study in searches.items()},
        names=sorted({name for study in searches.values() for trial in study.trials for name in trial.params}),
        shifts=shifts,
        pictures=pictures,
        trials={condition: [_row(trial) for trial in study.trials] for condition, study in searches.items()},
    )
    (output / "tuning.md").write_text(text, encoding="utf-8", errors="backslashreplace")
    if with_html:
        (output / "tuning.html").write_text(html.page(text, output), encoding="utf-8", errors="backslashreplace")
    return "\n".join([answer(before, after, outcome), absorbed(shifts), f"{output / 'tuning.md'}"])


def _of_searches(searches: Searches) -> list[str]:
    """Return a warning where a search has fewer than `ENOUGH_TRIALS` complete trials."""
    fewest = min(len(_complete(study)) for study in searches.values())
    if fewest >= ENOUGH_TRIALS:
        return []
    so_what = (
        "the best is much a matter of luck, importances are guesses, and a difference may survive for want of trials"
    )
    return [f"a search came to {fewest} values: below {ENOUGH_TRIALS} {so_what}"]


def answer(before: Attribution, after: Attribution, outcome: str) -> str:
    """Return whether the parameterization's difference survives, in a sentence."""
    then, now = before.effect("parameterization"), after.effect("parameterization")
    if then is None or now is None:
        reason = (warnings.of_answer(after) or ["no run shows it"])[0]
        return f"Whether the parameterization changes {outcome} can't be told: {reason}."
    told = (
        f"untuned, the scale as a {then.level} instead of a {then.factor.reference} changes {outcome} by "
        f"{_in_words(then)}; each condition tuned by itself, by {_in_words(now)} "
        f"({words.count(now.main.size, 'seed')}, held out)"
    )
    match then.mean_conclusion, now.mean_conclusion:
        case "different", "different":
            verdict = "The difference survives fair tuning"
        case "different", "equivalent":
            verdict = "The difference doesn't survive fair tuning"
        case _, "different":
            verdict = "Tuned, there is a difference that wasn't seen before"
        case _, "equivalent":
            verdict = "Tuned, the conditions are equivalent within the margin"
        case _:
            verdict = "Whether a difference survives fair tuning is undecided"
    return f"{verdict}: {told}."


def _in_words(effect: Effect) -> str:
    return f"{words.number(effect.main.estimate)} {words.interval(effect.main.ci_adjusted)}, {effect.mean_conclusion}"


def absorbed(shifts: Sequence[Shift]) -> str:
    """Return which hyperparameter absorbs the parameterization, in a sentence."""
    if not shifts:
        return (
            "Which hyperparameter absorbs the parameterization can't be told: too few trials, or one parameterization."
        )
    first = min(shifts, key=lambda shift: shift.p)
    told = (
        f"its good values are about {first.variance:.3g} where the scale is a variance and {first.std:.3g} where it is "
        f"a std (p {words.p_value(first.p)})"
    )
    if first.p <= ALPHA:
        return f"{first.name} absorbs the parameterization: {told}."
    return f"No hyperparameter clearly absorbs the parameterization; {first.name} comes closest: {told}."


def good_values(searches: Searches) -> list[Shift]:
    """Return each hyperparameter's good values by parameterization; none where only one was searched."""
    groups: dict[str, list[FrozenTrial]] = {"variance": [], "std": []}
    for condition, study in searches.items():
        complete = sorted(_complete(study), key=lambda trial: -_value(trial))
        if len(complete) >= FEWEST_TRIALS:
            groups[CONDITIONS[condition][0]] += complete[: int(np.ceil(BEST_SHARE * len(complete)))]
    if not all(groups.values()):
        return []
    names = [
        name
        for name, distribution in groups["std"][0].distributions.items()
        if not isinstance(distribution, CategoricalDistribution)
    ]
    p_values = [_p_moved(groups["variance"], groups["std"], name) for name in names]
    medians = {
        kind: {name: float(np.median([trial.params[name] for trial in trials])) for name in names}
        for kind, trials in groups.items()
    }
    return [
        Shift(name, medians["variance"][name], medians["std"][name], p)
        for name, p in zip(names, holm(p_values), strict=True)
    ]


def _p_moved(variance: Sequence[FrozenTrial], std: Sequence[FrozenTrial], name: str) -> float:
    samples = [np.array([_relative_value(trial, name) for trial in trials]) for trials in (variance, std)]
    test = stats.permutation_test(samples, _difference_of_means, n_resamples=9999, rng=np.random.default_rng(0))
    return float(test.pvalue)


def _difference_of_means(a: Array, b: Array) -> float:
    return float(a.mean() - b.mean())


def _relative_value(trial: FrozenTrial, name: str) -> float:
    """Return a value relative to the range of the search space, from 0 to 1."""
    distribution = trial.distributions[name]
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    scale: Any = np.log if distribution.log else float
    low, high, value = (float(scale(x)) for x in (distribution.low, distribution.high, trial.params[name]))
    return (value - low) / (high - low) if high > low else 0.5


def importances(study: optuna.Study) -> dict[str, float]:
    """Return each hyperparameter's importance for being among the best quarter (Optuna's PED-ANOVA); they sum to 1."""
    complete = _complete(study)
    if len(complete) < FEWEST_TRIALS or len({trial.value for trial in complete}) < 2:
        return {}
    evaluator = PedAnovaImportanceEvaluator(target_quantile=BEST_SHARE)
    finite = optuna.create_study(direction="maximize")
    finite.add_trials(complete)
    return dict(optuna.importance.get_param_importances(finite, evaluator=evaluator))


def summary(study: optuna.Study) -> dict[str, Any]:
    """Return a search in numbers: its complete and pruned trials, and the best one's values."""
    states = [trial.state for trial in study.trials]
    best = max(_complete(study), key=_value)
    return {
        "complete": states.count(TrialState.COMPLETE),
        "pruned": states.count(TrialState.PRUNED),
        "best": {
            name: f"{value:.3g}" if isinstance(value, float) else str(value) for name, value in best.params.items()
        },
        "value": _value(best),
    }


def _complete(study: optuna.Study) -> list[FrozenTrial]:
    return [trial for trial in study.trials if trial.state == TrialState.COMPLETE and np.isfinite(_value(trial))]


def _value(trial: FrozenTrial) -> float:
    assert trial.value is not None
    return trial.value


def _row(trial: FrozenTrial) -> dict[str, Any]:
    return {
        "state": trial.state.name.lower(),
        "value": trial.value,
        "params": ", ".join(f"{name} {value:.4g}" for name, value in trial.params.items()),
        "cells": " ".join(trial.user_attrs.get("runs", [])),
    }
