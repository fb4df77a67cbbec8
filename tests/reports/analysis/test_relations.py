"""What two designs say together, on run stores of known truth."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from reports.analysis.design import Design
from reports.analysis.relations import LAW, amplifications, compensations
from reports.documents import report, words
from reports.documents.report import Options
from study.config.run_config import COMPENSATION
from tests.helpers.synthetic import study, write_run_store


def designs(folder: Path) -> list[Design]:
    return report.read(str(folder), Options())[1]


def grow(folder: Path, runs: pd.DataFrame, rate: float, **hyperparameters: Any) -> None:
    """A run store whose runs come apart at so many orders of magnitude an update, some seeds a bit faster."""
    name = "-".join(str(value) for value in hyperparameters.values())
    runs = runs.assign(run=name + "-" + runs["run"])
    write_run_store(folder, runs, **hyperparameters)
    for row in runs.to_dict("records"):
        start = np.random.default_rng(row["seed"]).normal(size=8)
        epsilon = {"float32": 1e-8, "float64": 1e-13}[row["precision"]]
        moved = (row["implementation"] == "normal") + 2 * row["replicate"]
        gaps = [moved * min(1.0, epsilon * 10.0 ** ((rate + row["seed"] / 50) * update)) for update in range(1, 9)]
        lines = [
            {"global_step": update, "episodic_return": 0.0, "fingerprint": list(start * (1 + gap))}
            for update, gap in enumerate(gaps, 1)
        ]
        (folder / row["run"] / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.mark.slow
def test_the_environments_share_is_what_shared_rollouts_lose(tmp_path: Path) -> None:
    runs = study(seeds=4)
    grow(tmp_path, runs, 1.5, rollouts="own")
    grow(tmp_path, runs, 0.5, rollouts="shared")
    found = amplifications(designs(tmp_path))
    assert {row.comparison for row in found} >= {"mvn_var, normal_std", "ULP control: mvn_std"}
    assert not any(row.comparison == "mvn_std, mvn_var" for row in found)
    for row in found:
        assert (row.own, row.shared) == ("rollouts own", "rollouts shared")
        assert row.environment.low <= row.environment.estimate <= row.environment.high
        own, shared = 1.5 + 0.03, 0.5 + 0.03  # the mean over seeds, of which the fourth is 0.06 faster than the first
        assert row.environment.estimate == pytest.approx(1 - shared / own, abs=0.01)
    report.write(str(tmp_path), tmp_path / "out", Options())
    told = json.loads((tmp_path / "out" / "verdict.json").read_text())
    assert len(told["amplification"]) == len(found)
    assert "## Where amplification comes from" in (tmp_path / "out" / "report.md").read_text()


def test_the_law_is_the_one_that_runs_are_trained_by() -> None:
    assert LAW == COMPENSATION


@pytest.mark.parametrize(
    ("left", "words_of_it"),
    [(0.0, "The prediction holds"), pytest.param(-2.0, "The prediction fails", marks=pytest.mark.slow)],
)
def test_a_compensated_design_is_predicted_and_then_tested(tmp_path: Path, left: float, words_of_it: str) -> None:
    for compensated, effect in ((False, -2.0), (True, left)):
        runs = study(seeds=10, parameterization=effect, round_off=0.5)
        write_run_store(
            tmp_path, runs.assign(run=str(compensated) + runs["run"]), compensated=compensated, optimizer="adam"
        )
    (found,) = compensations(designs(tmp_path))
    assert (found.plain, found.compensated, found.law) == ("compensated False", "compensated True", 0.5)
    assert found.explained is not None
    assert found.explained.estimate == pytest.approx(1 - left / -2.0, abs=0.15)
    report.write(str(tmp_path), tmp_path / "out", Options())
    text = (tmp_path / "out" / "report.md").read_text()
    assert text.index("Prediction: under Adam") < text.index(words_of_it)
    assert json.loads((tmp_path / "out" / "verdict.json").read_text())["compensation"][0]["law"] == 0.5


def test_arms_with_the_laws_own_factor_are_a_compensated_design(tmp_path: Path) -> None:
    plain, slower = study(seeds=10, parameterization=-2.0), study(seeds=10, parameterization=0.0)
    arms = [(1.0, plain), (0.25, slower[slower["parameterization"] == "std"])]
    for factor, runs in arms:
        write_run_store(tmp_path, runs.assign(run=f"{factor}" + runs["run"]), scale_lr_factor=factor, optimizer="sgd")
    (found,) = compensations(designs(tmp_path))
    assert (found.plain, found.compensated) == ("scale_lr_factor 1.0", "scale_lr_factor 0.25")
    assert found.effect is not None
    own = [runs[runs["replicate"] == 0] for runs in (plain, slower)]
    variance, std = own[0][own[0]["parameterization"] == "variance"], own[1][own[1]["parameterization"] == "std"]
    assert found.effect.main.estimate == pytest.approx(std["final_return"].mean() - variance["final_return"].mean())


def test_another_factor_is_another_design_and_no_prediction(tmp_path: Path) -> None:
    for factor in (1.0, 0.7):
        runs = study(seeds=3)
        write_run_store(tmp_path, runs.assign(run=f"{factor}" + runs["run"]), scale_lr_factor=factor, optimizer="adam")
    assert compensations(designs(tmp_path)) == []


@pytest.mark.parametrize(
    ("hyperparameters", "open_"),
    [
        ({"max_grad_norm": 0.5, "adam_eps": 1e-5}, ["in 50% of updates the mean norm is above it"]),
        ({"max_grad_norm": 9.0, "adam_eps": 1e-5}, []),
        ({"ent_coef": 0.01}, ["the entropy bonus (ent_coef 0.01)"]),
        ({"adam_eps": 0.1}, ["Adam's epsilon (0.1) isn't small beside the raw scale's gradient, typically 2"]),
        ({"adam_eps": 0.1, "optimizer": "sgd"}, []),
        ({"initial_scale": 0.5}, ["the initial std differs: the scale begins at 0.5"]),
        ({"scale_transform": "softplus"}, ["the law is the exponential's"]),
    ],
)
def test_channels_that_compensation_cannot_cancel_are_named(
    tmp_path: Path, hyperparameters: dict[str, Any], open_: list[str]
) -> None:
    for compensated in (False, True):
        runs = study(seeds=2)
        runs = runs.assign(run=str(compensated) + runs["run"])
        write_run_store(tmp_path, runs, compensated=compensated, **hyperparameters)
        for run in runs["run"]:
            path = tmp_path / run / "history.jsonl"
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            for line, norm in zip(lines, (0.1, 1.0), strict=True):
                line |= {"grad_norm": norm, "scale_grad_norm": 2.0}
            path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    (found,) = compensations(designs(tmp_path))
    assert len(found.channels) == len(open_)
    for channel, expected in zip(found.channels, open_, strict=True):
        assert expected in channel


def test_exploration_cost_and_policy_make_up_the_whole(tmp_path: Path) -> None:
    runs = study(seeds=10, parameterization=-3.0, round_off=0.3)
    # For the deterministic policy, the scale as a std is only 1 worse: two thirds are the exploration cost.
    runs["eval_return"] = runs["final_return"] + np.where(runs["parameterization"] == "std", 2.0, 0.0)
    path = tmp_path / "runs.csv"
    runs[["condition", "seed", "precision", "replicate", "final_return", "eval_return"]].to_csv(path, index=False)
    _, (design,) = report.read(str(path), Options())
    cost = design.exploration_cost
    assert cost is not None and cost.share is not None
    assert cost.total.estimate == pytest.approx(cost.policy.estimate + cost.noise.estimate)
    assert cost.noise.estimate == pytest.approx(-2.0)
    assert cost.share.estimate == pytest.approx(2 / 3, abs=0.1)
    assert "would be the exploration cost: 6" in words.exploration_cost(cost, "final_return")
    found = design.others["eval_return"].effect("parameterization")
    assert found is not None
    assert found.main.estimate == pytest.approx(cost.policy.estimate)
    assert report.read(str(path), Options(outcome="eval_return"))[1][0].exploration_cost is None


def test_the_price_is_of_runs_that_have_both_returns(tmp_path: Path) -> None:
    runs = study(seeds=6, parameterization=-3.0).assign(eval_return=0.0)
    runs.loc[runs["seed"] == 0, "eval_return"] = math.nan
    path = tmp_path / "runs.csv"
    runs[["condition", "seed", "precision", "replicate", "final_return", "eval_return"]].to_csv(path, index=False)
    _, (design,) = report.read(str(path), Options())
    assert design.exploration_cost is not None
    assert len(design.exploration_cost.total.differences) == 5
    assert len(design.answer.blocks.seeds) == 6
