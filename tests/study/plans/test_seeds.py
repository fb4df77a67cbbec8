"""`study seeds`: seeds are trained until the verdict is decided, and no longer."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import numpy as np
import optuna_dashboard
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from rich.console import Console

from reports.analysis.provenance import provenance_warnings
from reports.sources import UnreadableSourceError
from reports.sources.run_store import read_run_store
from reports.statistics import sign_flip
from reports.statistics.sequential import Schedule, analyse_interim
from study.config.run_config import RunConfig, make_config
from study.errors import ConfigError
from study.plans.record import Record
from study.plans.seeds import Blocks, block, fewest_first, make_schedule, train_until_decided
from study.store.run_store import RunStore
from tests.helpers.command_line import run
from tests.helpers.small import SMALL
from tests.helpers.sweeps import histories, pretend, write_sweep

CONDITIONS = ("mvn_std", "mvn_var", "normal_sqrt", "normal_std")
BLOCK = [make_config({**SMALL, "condition": name, "seed": 3}) for name in CONDITIONS]


Outcome = Callable[[RunConfig], float | None]


def seeds_of(folder: Path, analyses: tuple[int, ...], outcome: Outcome, margin: float = 4.0) -> list[int]:
    """Return the seeds that a study trains."""
    blocks = Blocks(configs=BLOCK, schedule=Schedule(analyses=analyses), outcome="final_return", margin=margin)
    store = RunStore(folder)
    store.prepare()
    record = Record(folder, "", "seeds", "disabled")
    console = Console(soft_wrap=True, highlight=False)
    asyncio.run(train_until_decided(pretend(store, outcome), store, blocks, "seeds", record, console))
    ended = [json.loads(path.with_name("config.json").read_text())["seed"] for path in folder.glob("*/summary.json")]
    return sorted(set(ended))


def noisy(parameterization: float) -> Callable[[RunConfig], float]:
    def outcome(config: RunConfig) -> float:
        rng = np.random.default_rng(config.seed)
        return float(
            10 * rng.normal()
            + parameterization * (config.parameterization == "std")
            + 0.1 * np.random.default_rng(int(config.id, 16)).normal()
        )

    return outcome


def test_a_clear_verdict_ends_the_study_early(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seeds = seeds_of(tmp_path, (8, 10, 12, 30), noisy(5.0))
    assert seeds == list(range(3, 3 + len(seeds)))
    assert len(seeds) in (8, 10, 12)
    said = capsys.readouterr().out
    assert "after 8 seeds of at most 30, margin ±" in said
    assert "parameterization (std - variance): 5" in said
    assert "implementation (normal - mvn): " in said
    assert f"decided after {len(seeds)} seeds, with at most 5% false decisions" in said


def test_a_report_on_its_runs_knows_that_they_were_looked_at(tmp_path: Path) -> None:
    seeds = seeds_of(tmp_path, (8, 10), noisy(0.0), margin=1e-6)
    assert len(seeds) == 10
    analyses = tmp_path / "interim" / "seeds.json"
    kept = json.loads(analyses.read_text())
    assert [analysis["seeds"] for analysis in kept["interim"]] == [8, 10]
    assert {analysis["findings"]["implementation"]["decision"] for analysis in kept["interim"]} == {"undecided"}
    assert kept["runs"] == sorted(path.parent.name for path in tmp_path.glob("*/summary.json"))
    runs = read_run_store(tmp_path, None)
    (warning,) = provenance_warnings(runs, runs.table)
    assert "interim analyses of these runs were made after 8, 10 seeds" in warning
    assert list(provenance_warnings(runs, runs.table[:0])) == []
    analyses.write_text("{")
    with pytest.raises(UnreadableSourceError, match=r"seeds\.json is damaged: repeat its interim analyses"):
        read_run_store(tmp_path, None)


def test_without_a_decision_the_budget_ends_it_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seeds = seeds_of(tmp_path, (8, 10), noisy(0.0), margin=1e-6)
    assert len(seeds) == 10
    said = capsys.readouterr().out
    assert "undecided" in said
    assert "the budget of 10 seeds is used up, and what is undecided stays so" in said


def test_failed_blocks_take_no_part_but_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fine = noisy(0.0)
    seeds = seeds_of(tmp_path, (8, 10), lambda config: None if config.seed == 5 else fine(config), margin=1e-6)
    assert len(seeds) == 10
    assert "nan" not in capsys.readouterr().out


def test_effects_that_cancel_are_not_equivalent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fine = noisy(0.0)

    def cancelling(config: RunConfig) -> float:
        sign = 1 if config.parameterization == "std" else -1
        return fine(config) + 5.0 * sign * (config.implementation == "normal")

    assert len(seeds_of(tmp_path / "fine", (10, 12), fine)) == 10
    assert "implementation (normal - mvn)" in (said := capsys.readouterr().out)
    assert "undecided" not in said
    assert len(seeds_of(tmp_path / "cancelling", (10, 12), cancelling)) == 12
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "implementation (normal - mvn)" in line][-1:]
    assert "undecided" in line


def test_nothing_is_equivalent_while_runs_may_fail_more_often(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fine = noisy(0.0)

    def failing(config: RunConfig) -> float | None:
        return None if config.implementation == "normal" and config.seed % 3 == 0 else fine(config)

    assert len(seeds_of(tmp_path, (10, 12), failing)) == 12
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "implementation (normal - mvn)" in line][-1:]
    assert "undecided" in line


def test_the_same_study_again_says_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seeds_of(tmp_path, (8, 10, 12, 30), noisy(5.0))
    first = capsys.readouterr().out
    seeds_of(tmp_path, (8, 10, 12, 30), noisy(5.0))
    assert capsys.readouterr().out == first


def test_a_block_is_of_one_design_and_compares_something(small: Callable[..., RunConfig]) -> None:
    configs = [small(condition=condition, seed=seed) for condition in CONDITIONS for seed in (4, 2)]
    assert block(configs) == [config for config in configs if config.seed == 2]
    with pytest.raises(ConfigError, match="a study of seeds is of one design, and the sweep has 2"):
        block([*configs, small(gamma=0.5)])
    with pytest.raises(ConfigError, match="there is nothing to compare: the sweep has normal_std alone"):
        block([small()])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--budget", "0"], "--budget must be between 7 and 1000, not 0"),
        (["--budget", "6"], "--budget must be between 7 and 1000, not 6"),
        (["--first", "8"], "--first must be between 10 and the budget, 30, not 8"),
        ([], "an equivalence margin must be fixed before the data: give --margin"),
        (["--every", "0"], "--every must be at least 1"),
        (["--margin", "nan"], "--margin must be positive"),
        (["--outcome", "fame"], "--outcome fame: there is no such outcome; choose from final_return"),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    runs = tmp_path / "runs"
    code, _, err = run("seeds", str(write_sweep(tmp_path)), "--runs-dir", str(runs), *arguments, capsys=capsys)
    assert (code, err.count("\n")) == (2, 1)
    assert words in err
    assert not runs.exists()


@pytest.mark.slow
def test_a_study_of_seeds_trains_whole_blocks_and_keeps_its_plan(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    sweep, runs = write_sweep(tmp_path), tmp_path / "runs"
    # Within so small a margin nothing is equivalent, and seven seeds show no difference: it goes on whatever they say.
    arguments: list[Any] = ["seeds", str(sweep), "--runs-dir", str(runs), "--margin", "1e-9"]
    code, out, _ = run(*arguments, "--budget", "8", capsys=capsys)
    assert code == 0
    assert "after 7 seeds of at most 8" in out
    configs = [json.loads(path.with_name("config.json").read_text()) for path in runs.glob("*/summary.json")]
    assert {(config["condition"], config["seed"]) for config in configs} == {
        (c, s) for c in CONDITIONS for s in range(8)
    }
    before = histories(runs)
    assert run(*arguments, "--budget", "8", capsys=capsys)[1] == out
    assert histories(runs) == before
    code, _, err = run(*arguments, "--budget", "9", capsys=capsys)
    assert code == 2
    assert "planned with another interim: give this one another name" in err


def shown(app: Callable[..., Any], path: str) -> Any:
    """What the dashboard's own server answers."""
    environment: dict[str, Any] = {}
    setup_testing_defaults(environment)
    answer = app({**environment, "PATH_INFO": path, "QUERY_STRING": "after=0"}, lambda *_: None)
    return json.loads(b"".join(answer))


def test_optuna_dashboard_shows_blocks_and_interim_analyses(tmp_path: Path) -> None:
    seeds_of(tmp_path, (8, 10), noisy(0.0), margin=1e-6)
    app = optuna_dashboard.wsgi(JournalStorage(JournalFileBackend(str(tmp_path / "optuna.journal"))))
    (summary,) = shown(app, "/api/studies")["study_summaries"]
    assert summary["study_name"] == "seeds"
    study = shown(app, f"/api/studies/{summary['study_id']}")
    assert [trial["params"][0]["param_internal_value"] for trial in study["trials"]] == list(range(3, 13))
    first = {told["key"]: told["value"] for told in study["trials"][0]["user_attrs"]}
    assert set(json.loads(first["runs"])) == {config.id for config in BLOCK}
    (last,) = (told["value"] for told in study["user_attrs"] if told["key"] == "after 10 seeds")
    assert json.loads(last)[0].startswith("after 10 seeds of at most 10, margin ±")


@pytest.mark.parametrize("budget", [7, 12, 30])
def test_interim_analyses_begin_where_a_test_can_reject(budget: int) -> None:
    fewest = fewest_first(2, budget)
    assert fewest is not None

    def can_reject(first: int) -> bool:
        rng = np.random.default_rng(0)
        differences = {"large": 50 + rng.normal(size=first), "none": rng.normal(size=first)}
        seen = analyse_interim(differences, 1e-9, make_schedule(first, 2, budget), sign_flip)
        return seen[0].findings["large"].decision == "different"

    assert can_reject(fewest)
    assert not can_reject(fewest - 1)


def test_a_sweep_file_fixes_the_margin(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Without memory it ends after the margin has been looked at, and before anything is trained.
    arguments = ["--runs-dir", str(tmp_path / "runs"), "--memory", "1e-9"]

    def refusal(*given: str, **parameters: float) -> str:
        code, _, err = run("seeds", str(write_sweep(tmp_path, **parameters)), *arguments, *given, capsys=capsys)
        assert (code, err.count("\n")) == (2, 1)
        return err

    assert "GB" in refusal(margin=3.0)
    assert "GB" in refusal("--margin", "3")
    assert "an equivalence margin must be fixed before the data" in refusal()
    other = refusal("--outcome", "auc_return", margin=3.0)
    assert "the equivalence margin must be one of auc_return, not of final_return: give --margin" in other
    assert "GB" in refusal("--outcome", "auc_return", "--margin", "3", margin=3.0)


@pytest.mark.slow
def test_an_effect_at_the_margin_is_rarely_called_equivalent() -> None:
    rng, schedule = np.random.default_rng(3), make_schedule(10, 2, 20)
    false = 0
    for _ in range(400):
        differences = {"at the margin": rng.normal(1.0, 1.0, size=20), "none": rng.normal(0.0, 1.0, size=20)}
        last = analyse_interim(differences, 1.0, schedule, lambda values: sign_flip(values, 2000))[-1]
        false += last.findings["at the margin"].decision == "equivalent"
    assert false <= 400 * 0.05 + 3 * (400 * 0.05 * 0.95) ** 0.5
