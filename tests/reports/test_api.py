"""The Python API, as a notebook uses it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

import reports
from reports import Reading, UnreadableSourceError, attribute, read
from tests.helpers.paths import DATA
from tests.helpers.synthetic import study

WALKER = DATA / "adastop_walker.csv"


def test_a_table_is_read_and_answered(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    runs = study(parameterization=-3.0)
    runs[["condition", "seed", "precision", "replicate", "final_return"]].to_csv(path, index=False)
    (design,) = attribute(read(str(path)), margin=2.0)
    assert "parameterization (std - variance): -" in repr(design)
    effect = design.answer.effects[0]
    assert effect.main.ci[0] < effect.main.estimate < effect.main.ci[1]
    assert effect.main.differences.shape == (10,)
    assert effect.conclusion == "different, cause unknown"


def test_algorithms_on_a_walker_are_compared_as_by_scipy() -> None:
    reading = Reading(outcome="mean_return", unpaired=True, reference="TRPO")
    (design,) = attribute(read(str(WALKER), reading=reading), "mean_return")
    returns = pd.read_csv(WALKER).groupby("condition")["mean_return"].apply(np.array)
    for effect in design.answer.effects:
        theirs = stats.permutation_test(
            (returns[effect.level], returns["TRPO"]),
            lambda x, y, axis: np.mean(x, axis=axis) - np.mean(y, axis=axis),
            vectorized=True,
            n_resamples=99_999,
            rng=np.random.default_rng(0),
        )
        assert effect.main.estimate == pytest.approx(theirs.statistic)
        assert effect.main.p == pytest.approx(theirs.pvalue, abs=0.005)
        low, high = effect.main.ci_adjusted
        assert (low > 0 or high < 0) == effect.main.is_different
    found = [effect.main for effect in design.answer.effects]
    _, adjusted, *_ = multipletests([main.p for main in found], method="holm")
    assert [main.p_adjusted for main in found] == pytest.approx(adjusted)
    assert [main.is_different for main in found] == [p <= 0.05 for p in adjusted] == [True] * 3


def test_a_frame_is_read_as_its_file_is(tmp_path: Path) -> None:
    path, runs = tmp_path / "runs.csv", pd.read_csv(WALKER)
    runs.to_csv(path, index=False)
    reading = Reading(unpaired=True)
    assert read(runs, reading=reading).table.equals(read(path, reading=reading).table)
    with pytest.raises(UnreadableSourceError, match="the table: every row needs a 'condition'"):
        read(runs.drop(columns="condition"))


def test_what_a_notebook_shows_is_a_line_each() -> None:
    runs = read(WALKER, reading=Reading(unpaired=True, reference="TRPO"))
    assert repr(runs).startswith(f"{len(runs.table)} runs ({len(runs.table)} finished); condition: TRPO, ")
    (design,) = attribute(runs)
    effect = design.answer.effects[0]
    low, high = effect.main.ci_adjusted
    assert repr(effect) in repr(design)
    assert f"{effect.main.estimate:.3g} [{low:.3g}, {high:.3g}]" in repr(effect)


def test_a_single_name_stands_for_several() -> None:
    reading = Reading(factors="library", must_agree="library", design="env_id")  # type: ignore[arg-type]
    assert (reading.factors, reading.must_agree, reading.design) == (("library",), ("library",), ("env_id",))
    runs = study(seeds=3).assign(score=1.0)
    (design,) = attribute(read(runs), "final_return", also="score")  # type: ignore[arg-type]
    assert list(design.others) == ["score"]


def test_an_outcome_that_is_not_there_is_one_line() -> None:
    with pytest.raises(UnreadableSourceError, match="fame: there is no such outcome; choose from"):
        attribute(read(str(WALKER)), "fame")


def test_the_interface_is_listed_and_another_name_unknown() -> None:
    assert {"Reading", "attribute", "read"} <= set(dir(reports))
    with pytest.raises(AttributeError, match="module 'reports' has no attribute 'atribute'"):
        _ = reports.atribute  # type: ignore[attr-defined]


def test_reports_know_nothing_of_torch() -> None:
    loaded = "import reports.interface, sys; sys.exit('torch' in sys.modules or 'study' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", loaded], check=False).returncode == 0
