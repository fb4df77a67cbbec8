"""What several designs say together of a factor."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from reports.analysis.across import FEWEST_SEEDS, aggregate, reference_sd
from reports.analysis.attribution import Attribution, attribute
from reports.calibration import across
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
    units = [reference_sd(each, each.effects[0]) for each in answers]
    own = [each.effects[0].main.estimate / (unit or 0.0) for each, unit in zip(answers, units, strict=True)]
    assert found.standardised == pytest.approx(own)
    assert found.effect
    assert found.effect.estimate == pytest.approx(np.mean(own))
    _, adjusted, *_ = multipletests([each.effects[0].main.p_adjusted for each in answers], method="holm")
    assert found.p_adjusted == pytest.approx(adjusted)
    assert not found.has_failures


def test_the_interval_of_paired_seeds_is_scipys() -> None:
    tables = [runs(scale, 0.5, 12, draw) for draw, scale in enumerate((2.0, 30.0), start=5)]
    answers = [answer(table, paired=True) for table in tables]
    units = [reference_sd(each, each.effects[0]) or 0.0 for each in answers]
    by_seed = np.mean(
        [each.effects[0].main.differences / unit for each, unit in zip(answers, units, strict=True)], axis=0
    )
    (found,) = aggregate(answers)
    assert found.effect
    theirs = stats.ttest_1samp(by_seed, 0.0).confidence_interval()
    assert (found.effect.low, found.effect.high) == pytest.approx((theirs.low, theirs.high))


def test_seeds_that_designs_do_not_share_are_no_fewer() -> None:
    tables = [runs(1.0, 0.5, 12, draw) for draw in (5, 6)]
    (together,) = aggregate([answer(table, paired=True) for table in tables])
    tables[1]["seed"] += 100
    (apart,) = aggregate([answer(table, paired=True) for table in tables])
    assert together.effect and apart.effect
    assert together.effect.estimate == apart.effect.estimate
    answers = [answer(table, paired=True) for table in tables]
    errors = [(each.effects[0].main.error or 0.0) / (reference_sd(each, each.effects[0]) or 0.0) for each in answers]
    error = np.sqrt(np.square(errors).sum()) / 2
    assert apart.effect.high - apart.effect.estimate == pytest.approx(stats.t.isf(0.025, 11) * error)


def test_the_interval_of_unpaired_runs_is_welchs() -> None:
    first, second = (answer(runs(1.0, 0.5, 12, draw), paired=False) for draw in (5, 5))
    (found,) = aggregate([first, second])
    unit = reference_sd(first, first.effects[0]) or 0.0
    assert found.effect
    half = stats.t.isf(0.025, 11) * (first.effects[0].main.error or 0.0) / unit / np.sqrt(2)
    assert found.effect.high - found.effect.estimate == pytest.approx(half)


@pytest.mark.parametrize("paired", [True, False])
def test_few_seeds_have_no_interval_over_designs(paired: bool) -> None:
    for seeds in (3, 4, FEWEST_SEEDS):
        (found,) = aggregate([answer(runs(1.0, 0.0, seeds, draw), paired) for draw in range(2)])
        assert found.effect
        assert np.isfinite(found.effect.low) == np.isfinite(found.effect.high) == (seeds >= FEWEST_SEEDS)


@pytest.mark.slow
@pytest.mark.parametrize("paired", [True, False])
def test_the_interval_over_designs_is_rarely_wrong(paired: bool) -> None:
    assert across.wrong(2, 5, "normal", paired=paired, studies=400) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)


def test_failed_runs_are_named_and_a_level_of_them_has_no_mean() -> None:
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
