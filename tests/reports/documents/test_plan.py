"""How many seeds: the plan against simulated studies."""

import re
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from reports.documents import plan, report
from reports.documents.report import Options
from reports.statistics import Margin
from study.cli import main
from tests.helpers.synthetic import study


def test_a_guess_is_planned_with_the_power_promised() -> None:
    different, equivalent = plan.conclusions(30.0, Margin(15.0))
    rng = np.random.default_rng(0)
    assert different.seeds is not None and equivalent.seeds is not None
    draws = rng.normal(15, 30, size=(4000, different.seeds))
    # At half the level, as Holm asks of the first of two effects.
    assert np.mean(stats.ttest_1samp(draws, 0, axis=1).pvalue <= 0.025) == pytest.approx(0.8, abs=0.03)
    draws = rng.normal(0, 30, size=(4000, equivalent.seeds))
    half = stats.t.ppf(0.95, equivalent.seeds - 1) * draws.std(axis=1, ddof=1) / np.sqrt(equivalent.seeds)
    assert np.mean(np.abs(draws.mean(axis=1)) + half < 15) == pytest.approx(0.8, abs=0.03)


def test_a_plan_from_runs_has_a_row_and_a_curve_for_each_effect(tmp_path: Path) -> None:
    source = tmp_path / "runs.csv"
    runs = study(parameterization=1.0)
    runs[["condition", "seed", "precision", "replicate", "final_return"]].to_csv(source, index=False)
    _, designs = report.read(str(source), Options())
    printed = plan.write(plan.from_designs(designs), tmp_path / "out")
    assert re.search(r"parameterization: different, if it is \S+ as seen: \d+ seeds", printed)
    assert "implementation: equivalent within ±" in printed
    text = (tmp_path / "out" / "plan.md").read_text()
    assert "![The chance of each conclusion by seeds](plan-1.png)" in text
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"plan.md", "plan-1.png", "plan-1.svg"}


def test_more_seeds_never_make_a_conclusion_less_likely() -> None:
    for conclusion in plan.conclusions(1.0, Margin(0.6), seen=0.3, what="x: "):
        curve = conclusion.curve(plan.SEEDS)
        assert (np.diff(curve) >= -1e-9).all()
        assert curve[-1] > 0.95


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--plan"], "report what? Give a run store or a table of runs"),
        (["--guess", "0", "--margin", "1"], "--guess must be positive and finite, not 0.0"),
        (["--guess", "1"], "--guess needs --margin: the effect that matters"),
        (
            ["SOURCE", "--plan"],
            "these runs have no spread between seeds to plan from: guess one, and give a margin",
        ),
    ],
)
def test_what_cannot_be_planned_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str
) -> None:
    source = tmp_path / "runs.csv"
    study(seeds=1)[["condition", "seed", "precision", "replicate", "final_return"]].to_csv(source, index=False)
    with pytest.raises(SystemExit) as exit_:
        main(
            ["report", *(argument.replace("SOURCE", str(source)) for argument in arguments), "-o", str(tmp_path / "o")]
        )
    assert exit_.value.code == 2
    assert capsys.readouterr().err == f"study: {complaint}\n"
    assert not (tmp_path / "o").exists()
