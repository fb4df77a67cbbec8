"""Fair tuning: the same search for every condition, whoever trains, and honest words about what is left."""

import asyncio
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest
import yaml
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial
from rliable import metrics
from scipy import stats

from reports.documents import tuning as report
from study.config.run_config import RunConfig, make_config
from study.config.spaces import read_space, suggest
from study.errors import ConfigError
from study.plans.record import Record
from study.plans.tuning import Search, Searching, first_stage, interquartile_mean, is_hopeless
from study.store.run_store import RunStore
from tests.helpers import synthetic
from tests.helpers.command_line import run
from tests.helpers.quick import each
from tests.helpers.small import SMALL
from tests.helpers.sweeps import histories, pretend, write_sweep

SPACE = {
    "learning_rate": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True},
    "update_epochs": {"type": "int", "low": 1, "high": 4},
}
DISTRIBUTIONS: dict[str, BaseDistribution] = {
    "learning_rate": FloatDistribution(1e-4, 1e-2, log=True),
    "update_epochs": IntDistribution(1, 4),
}


Outcome = Callable[[RunConfig], float | None]


def search(
    folder: Path,
    outcome: Outcome,
    condition: str = "normal_std",
    trials: int = 10,
    space: Any = None,
    seeds: int = 4,
    newest_first: bool = False,
) -> Searching:
    """Return a condition's search, done."""
    what = Search(
        base=make_config({**SMALL, "condition": condition}),
        space=space or SPACE,
        trials=trials,
        seeds=seeds,
        sampler_seed=0,
        outcome="final_return",
    )
    store = RunStore(folder)
    store.prepare()
    record = Record(folder, "", f"tune/{condition}", "disabled")
    searching = Searching(pretend(store, outcome, newest_first), store, what, record)
    asyncio.run(searching.run())
    return searching


def peak(config: RunConfig) -> float:
    """Best at a learning rate of 0.001."""
    return -abs(math.log10(config.learning_rate) + 3) + 0.01 * config.seed


def found(searching: Searching) -> list[tuple[dict[str, Any], float | None, TrialState]]:
    return [(trial.params, trial.value, trial.state) for trial in searching.study().trials]


def test_the_search_is_the_same_whatever_order_runs_end_in(tmp_path: Path) -> None:
    one, other = search(tmp_path / "a", peak), search(tmp_path / "b", peak, newest_first=True)
    assert len(found(one)) == 10
    assert found(one) == found(other)


def test_conditions_begin_with_the_same_points_and_find_the_peak(tmp_path: Path) -> None:
    one = search(tmp_path, peak, "normal_std", trials=24)
    other = search(tmp_path, lambda config: 100 * peak(config), "normal_sqrt", trials=24)
    points = [[trial.params for trial in searching.trials] for searching in (one, other)]
    assert points[0][:8] == points[1][:8]
    assert one.best().params["learning_rate"] == pytest.approx(1e-3, rel=0.3)


@pytest.mark.parametrize("seeds", [6, 8])
def test_hopeless_trials_are_pruned_after_four_seeds(tmp_path: Path, seeds: int) -> None:
    trained: list[RunConfig] = []

    def outcome(config: RunConfig) -> float:
        trained.append(config)
        return peak(config)

    states = [trial.state for trial in search(tmp_path, outcome, trials=24, seeds=seeds).trials]
    pruned = states.count(TrialState.PRUNED)
    assert 0 < pruned < 24
    assert len(trained) == seeds * (24 - pruned) + 4 * pruned


@pytest.mark.parametrize("seeds", [2, 4])
def test_where_the_first_stage_is_all_no_trial_is_pruned(tmp_path: Path, seeds: int) -> None:
    def outcome(config: RunConfig) -> float | None:
        return peak(config) if config.learning_rate < 3e-3 else None

    searching = search(tmp_path, outcome, trials=12, seeds=seeds)
    assert {trial.state for trial in searching.trials} == {TrialState.COMPLETE}
    assert any(trial.value == -math.inf for trial in searching.trials)
    assert math.isfinite(searching.best().value or math.nan)


@pytest.mark.parametrize(("seeds", "is_said"), [("4", True), ("5", False)])
def test_whether_trials_can_be_pruned_is_said_before_the_search(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], seeds: str, is_said: bool
) -> None:
    # Without a space nothing is searched.
    arguments = ["tune", str(write_sweep(tmp_path)), "--space", "nowhere.yaml", "--seeds", seeds]
    err = run(*arguments, capsys=capsys)[2]
    assert ("no trial is pruned: that takes more than 4 seeds a trial, and here are 4\n" in err) == is_said


@pytest.mark.parametrize(("seeds", "stage"), [(2, 2), (4, 4), (6, 4), (8, 4), (10, 5), (20, 10)])
def test_the_first_stage_is_large_enough_to_prune(seeds: int, stage: int) -> None:
    assert first_stage(seeds) == stage
    smallest = stats.wilcoxon(-np.arange(1.0, stage + 1), alternative="less").pvalue
    assert (smallest <= 0.1) == (seeds >= 4)


def past(values: list[float]) -> optuna.trial.FrozenTrial:
    return create_trial(
        value=float(np.mean(values)),
        params={},
        distributions={},
        intermediate_values=dict(enumerate(values)),
    )


def test_only_what_is_worse_on_every_seed_is_hopeless() -> None:
    best = [past([10.0, 11, 12, 13, 14, 15, 16, 17])]
    assert is_hopeless([1.0, 2.0, 3.0, 4.0], 8, best)
    assert not is_hopeless([11.0, 9.0, 13.0, 12.0], 8, best)
    assert not is_hopeless([1.0, 2.0, 3.0, 4.0], 8, [])
    assert is_hopeless([1.0, -math.inf, -math.inf, -math.inf], 8, [])
    assert not is_hopeless([11.0, 12.0, 13.0, -math.inf], 8, best)


@pytest.mark.parametrize("number", [4, 6, 7, 8])
def test_the_interquartile_mean_is_rliables(number: int) -> None:
    values = np.random.default_rng(number).normal(size=number)
    assert interquartile_mean(list(values)) == pytest.approx(metrics.aggregate_iqm(values[:, None]))


def test_failures_are_the_worst_of_all() -> None:
    assert interquartile_mean([-math.inf, 1.0, 2.0, 3.0]) == 1.5
    assert interquartile_mean([-math.inf, -math.inf, 2.0, 3.0]) == -math.inf


def test_without_any_value_there_is_no_best(tmp_path: Path) -> None:
    searching = search(tmp_path, lambda _: None, trials=4)
    assert len(searching.trials) == 4
    with pytest.raises(ConfigError, match="no trial of normal_std came to a value"):
        searching.best()


def test_a_space_that_has_no_more_points_ends_the_search(tmp_path: Path) -> None:
    space = {"update_epochs": {"type": "int", "low": 1, "high": 3}}
    searching = search(tmp_path, lambda config: float(config.update_epochs), trials=10, space=space)
    assert sorted(trial.params["update_epochs"] for trial in searching.trials) == [1, 2, 3]
    assert suggest({"update_epochs": IntDistribution(1, 1)}, [], [{"update_epochs": 1}], 0) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "isn't a search space"),
        ("- a", "isn't a search space"),
        ("learning_rate: [", "isn't YAML at line"),
        (
            "lerning_rate: {type: float, low: 1, high: 2}",
            "no hyperparameter 'lerning_rate': did you mean 'learning_rate'?",
        ),
        ("seed: {type: int, low: 1, high: 2}", "there is no hyperparameter 'seed'"),
        ("gamma: 0.9", "gamma must have a type, of float, int, categorical, not 0.9"),
        ("gamma: {type: real, low: 0, high: 1}", "gamma must have a type"),
        ("gamma: {type: float, low: 0}", "gamma: missing 1 required positional argument: 'high'"),
        ("gamma: {type: float, low: 1, high: 0}", "gamma: "),
        ("gamma: {type: float, low: 0, high: 1, log: true}", "gamma: "),
        ("gamma: {type: float, low: 0, high: 1.5}", "gamma must be between 0 and 1, not 1.5"),
        ("gamma: {type: float, low: .nan, high: 1.0}", "gamma"),
        (
            "update_epochs: {type: float, low: 1.5, high: 3.0}",
            "parameter 'update_epochs' must be a whole number, not 1.5",
        ),
        ("num_minibatches: {type: int, low: 1, high: 7}", "num_minibatches must be a divisor"),
        ("gamma: {type: float, low: 0.5, high: 1}\ngamma: {type: float, low: 0.5, high: 1}", "'gamma' is there twice"),
        ("optimizer: {type: categorical, choices: [adam, lion]}", "parameter 'optimizer' must be one of adam, sgd"),
    ],
)
def test_a_space_that_is_none_is_one_line_and_nothing_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, words: str
) -> None:
    space = tmp_path / "space.yaml"
    space.write_text(text)
    arguments = ["tune", str(write_sweep(tmp_path)), "--space", str(space), "--runs-dir", str(tmp_path / "runs")]
    code, _, err = run(*arguments, capsys=capsys)
    assert (code, err.count("\n")) == (2, 1)
    assert f"study: {space}: " in err
    assert words in err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--trials", "0"], "--trials must be at least 1, not 0"),
        (["--seeds", "1"], "--seeds must be at least 2"),
        (["--held-out", "0"], "--held-out must be at least 2"),
        (["--margin", "nan"], "--margin must be positive"),
        (["--outcome", "fame"], "--outcome fame: there is no such outcome"),
        (["--space", "nowhere.yaml"], "nowhere.yaml: there is no such file"),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    code, _, err = run(
        "tune", str(write_sweep(tmp_path)), "--runs-dir", str(tmp_path / "runs"), *arguments, capsys=capsys
    )
    assert (code, err.count("\n")) == (2, 1)
    assert words in err
    assert not (tmp_path / "runs").exists()


def test_a_search_for_what_is_small_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = write_sweep(tmp_path)
    content = yaml.safe_load(sweep.read_text()) | {"metric": {"name": "final_std", "goal": "minimize"}}
    sweep.write_text(yaml.safe_dump(content))
    code, _, err = run("tune", str(sweep), "--runs-dir", str(tmp_path / "runs"), capsys=capsys)
    assert (code, err) == (2, f"study: {sweep}: a search looks for what makes final_std large: negate the outcome\n")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("path", [Path("sweeps/spaces/ppo.yaml"), Path("sweeps/demo/space.yaml")])
def test_the_projects_own_spaces_can_be_read(path: Path, small: Callable[..., RunConfig]) -> None:
    assert read_space(path, small())[0]


def searches(std_at: float) -> dict[str, optuna.Study]:
    """A search each, whose values are best at a scale_lr_factor of 1 for the variance, and of `std_at` for the std."""
    found = {}
    rng = np.random.default_rng(0)
    for condition, at in (("normal_sqrt", 1.0), ("normal_std", std_at)):
        study = optuna.create_study(direction="maximize")
        for _ in range(60):
            factor, clip = 10 ** rng.uniform(-1, 1), rng.uniform(0.1, 0.4)
            study.add_trial(
                create_trial(
                    params={"scale_lr_factor": factor, "clip_coef": clip},
                    distributions={
                        "scale_lr_factor": FloatDistribution(0.1, 10, log=True),
                        "clip_coef": FloatDistribution(0.1, 0.4),
                    },
                    value=-abs(math.log(factor / at)),
                    user_attrs={"runs": ["0123"]},
                )
            )
        found[condition] = study
    return found


def test_the_parameter_that_absorbs_the_scale_is_named() -> None:
    moved = report.good_values(searches(std_at=0.3))
    assert report.absorbed(moved).startswith("scale_lr_factor absorbs the parameterization: its good values are about")
    assert {shift.name: shift.p < 0.05 for shift in moved} == {"scale_lr_factor": True, "clip_coef": False}
    assert report.absorbed(report.good_values(searches(std_at=1.0))).startswith("No hyperparameter clearly absorbs")
    one = {"normal_std": searches(0.3)["normal_std"]}
    assert report.absorbed(report.good_values(one)).startswith("Which hyperparameter absorbs")


def test_importance_is_of_what_matters() -> None:
    shares = report.importances(searches(1.0)["normal_std"])
    assert shares["scale_lr_factor"] > 0.8
    assert sum(shares.values()) == pytest.approx(1)


def held_out(effect: float) -> pd.DataFrame:
    return synthetic.study(seeds=12, parameterization=effect, rng=np.random.default_rng(1))


@pytest.mark.parametrize(
    ("before", "after", "words"),
    each(
        [
            (5.0, 5.0, "The difference survives fair tuning: "),
            (5.0, 0.0, "The difference doesn't survive fair tuning: "),
            (0.0, 5.0, "Tuned, there is a difference that wasn't seen before: "),
        ],
        every=3,
    ),
)
def test_the_report_says_whether_the_difference_survives(
    tmp_path: Path, before: float, after: float, words: str
) -> None:
    said = report.write(tmp_path, searches(0.3), held_out(before), held_out(after), "final_return", margin=2.0)
    text = (tmp_path / "tuning.md").read_text()
    assert said.startswith(words)
    assert said.splitlines()[0] in text
    assert "| 0123 |" in text
    assert "a search came to" not in text
    for name in ("slice-normal_std", "history-normal_std", "held-out-tuned", "held-out-untuned"):
        assert (tmp_path / f"{name}.png").exists()
        assert f"({name}.png)" in text


def test_short_searches_are_warned_of(tmp_path: Path) -> None:
    whole = searches(0.3)
    short = {condition: optuna.create_study(direction="maximize") for condition in whole}
    for condition, study in short.items():
        study.add_trials(whole[condition].trials[:29])
    report.write(tmp_path, short, held_out(0.0), held_out(0.0), "final_return", margin=2.0, with_html=True)
    warning = "a search came to 29 values: below 30 the best is much a matter of luck"
    assert all(warning in (tmp_path / name).read_text() for name in ("tuning.md", "tuning.html"))


@pytest.mark.slow
def test_two_conditions_are_tuned_and_not_trained_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    space, runs = tmp_path / "space.yaml", tmp_path / "runs"
    space.write_text(yaml.safe_dump(SPACE))
    sweep = write_sweep(tmp_path, condition=["mvn_std", "normal_std"])
    arguments = ["tune", str(sweep), "--space", str(space), "--trials", "3", "--seeds", "2", "--held-out", "3"]
    code, out, _ = run(*arguments, "--runs-dir", str(runs), capsys=capsys)
    assert code == 0
    assert str(runs / "report" / "tune" / "tuning.md") in out
    text = (runs / "report" / "tune" / "tuning.md").read_bytes()
    before = histories(runs)
    assert run(*arguments, "--runs-dir", str(runs), capsys=capsys)[1] == out
    assert histories(runs) == before
    assert (runs / "report" / "tune" / "tuning.md").read_bytes() == text
    code, _, err = run(*arguments, "--trials", "4", "--runs-dir", str(runs), capsys=capsys)
    assert code == 2
    assert "planned with another searches: give this one another name" in err
