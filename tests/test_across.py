"""What several designs say together of a factor."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from reports.analysis.across import aggregate, reference_deviation
from reports.analysis.attribution import Attribution, attribute
from reports.factors import Factor

ALGORITHM = Factor(name="condition", levels=("ppo", "sac"))


def runs(scale: float, effect: float, seeds: int, draw: int) -> pd.DataFrame:
    """Runs of two algorithms in an environment whose returns vary by `scale`."""
    rng = np.random.default_rng(draw)
    rows = [
        {"run": f"{arm}-{seed}", "condition": arm, "precision": "unknown", "replicate": 0, "seed": seed,
         "status": "finished", "error": "", "score": scale * (rng.normal() + effect * (arm == "sac"))}
        for arm in ALGORITHM.levels
        for seed in range(seeds)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def answer(table: pd.DataFrame, paired: bool) -> Attribution:
    return attribute(table, "score", [ALGORITHM], paired=paired)


@pytest.mark.parametrize("paired", [True, False])
def test_designs_of_any_scale_weigh_the_same(paired: bool) -> None:
    answers = [answer(runs(scale, 1.0, 40, draw), paired) for draw, scale in enumerate((1.0, 1000.0))]
    (found,) = aggregate(answers)
    units = [reference_deviation(each, each.effects[0]) for each in answers]
    own = [each.effects[0].main.estimate / (unit or 0.0) for each, unit in zip(answers, units, strict=True)]
    assert found.standardised == pytest.approx(own)
    assert found.effect
    assert found.effect.estimate == pytest.approx(np.mean(own))
    _, adjusted, *_ = multipletests([each.effects[0].main.p_adjusted for each in answers], method="holm")
    assert found.p_adjusted == pytest.approx(adjusted)
    assert not found.has_failures


@pytest.mark.parametrize("paired", [True, False])
def test_the_interval_is_scipy_s_bootstrap(paired: bool) -> None:
    tables = [runs(scale, 0.5, 40, draw) for draw, scale in enumerate((2.0, 30.0), start=5)]
    answers = [answer(table, paired) for table in tables]
    units = [reference_deviation(each, each.effects[0]) or 0.0 for each in answers]
    sides = [
        [table[table["condition"] == arm]["score"].to_numpy() / unit for arm in ALGORITHM.levels]
        for table, unit in zip(tables, units, strict=True)
    ]
    samples = [level - reference for reference, level in sides] if paired else [*sides[0], *sides[1]]

    def statistic(*samples: np.ndarray, axis: int = -1) -> np.ndarray:
        means = [sample.mean(axis=axis) for sample in samples]
        differences = means if paired else [means[1] - means[0], means[3] - means[2]]
        return np.asarray(np.mean(differences, axis=0))

    theirs = stats.bootstrap(
        samples, statistic, method="percentile", n_resamples=20_000, rng=np.random.default_rng(1)
    ).confidence_interval
    (found,) = aggregate(answers)
    assert found.effect
    assert (found.effect.low, found.effect.high) == pytest.approx((theirs.low, theirs.high), abs=0.03)


def test_failed_runs_are_told_of_and_where_none_finished_at_a_level_there_is_no_mean() -> None:
    whole, some, none = (runs(1.0, 0.0, 10, draw) for draw in range(3))
    some.loc[some["run"] == "sac-3", "status"] = "failed"
    none.loc[none["condition"] == "sac", "status"] = "failed"
    answers = [answer(table, paired=True) for table in (whole, some, none)]
    (found,) = aggregate(answers)
    assert (found.designs, found.effect, found.standardised[2]) == ((0, 1, 2), None, None)
    assert found.p_adjusted[2] == pytest.approx(3 * answers[2].effects[0].main.p_adjusted)
    assert found.has_failures
    (found,) = aggregate(answers[:2])
    assert found.effect
    assert found.has_failures


def test_one_design_has_nothing_to_join() -> None:
    assert aggregate([answer(runs(1.0, 0.0, 10, 0), paired=True)]) == []
