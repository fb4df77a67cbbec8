"""What is read of run stores, whole, damaged, or wrong; and where reports go."""

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from reports import sources
from reports.sources import Mapping, Reading, UnreadableSourceError
from reports.sources.reading import AS_IS
from reports.sources.runs import COLUMNS, Runs
from reports.thread import CONDITIONS, FACTORS
from tests.helpers.synthetic import rewrite, study, write_run_store

RUN = "mvn_std-1-float32-0"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    write_run_store(tmp_path / "runs", study(seeds=2))
    return tmp_path / "runs"


def refused(source: str, reading: Reading = AS_IS, outcome: str = "final_return") -> str:
    with pytest.raises(UnreadableSourceError) as error:
        sources.read(source, reading=reading).with_numbers(outcome)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_outcomes_are_what_the_outcome_files_have(store: Path) -> None:
    for number, path in enumerate(sorted(store.glob("*/summary.json"))):
        rewrite(path, seconds=float(number))
    runs = sources.read(str(store))
    assert runs.outcomes == ["final_return", "seconds"]
    assert sorted(runs.with_numbers("seconds").table["seconds"]) == list(range(32))


def test_hyperparameters_are_what_the_runs_have(store: Path) -> None:
    assert sources.read(str(store)).hyperparameters == ["num_envs"]


def test_a_run_store_s_factors_are_the_thread_s(store: Path) -> None:
    runs = sources.read(str(store))
    assert (runs.factors, runs.paired) == (FACTORS, True)
    assert [*runs.table.columns[:9]] == [*COLUMNS, "parameterization", "implementation"]


def test_a_parameter_can_be_the_factor(store: Path) -> None:
    for path in store.glob(
        "*-0/config.json"
    ):  # of the two replicates, as if another number of environments ran the one
        rewrite(path, num_envs=8)
    runs = sources.read(str(store), reading=Reading(must_agree=("num_envs",)))
    assert [(factor.name, factor.levels, factor.must_agree) for factor in runs.factors] == [
        ("num_envs", ("2", "8"), True),
        ("parameterization", ("variance", "std"), False),
        ("implementation", ("mvn", "normal"), True),
    ]
    assert runs.hyperparameters == []
    assert set(runs.table["condition"]) == {f"{condition} {envs}" for condition in CONDITIONS for envs in (2, 8)}
    other = sources.read(str(store), reading=Reading(must_agree=("num_envs",), reference="mvn_var 8"))
    assert [factor.levels[0] for factor in other.factors[:1]] == ["8"]


def test_a_precision_can_be_the_factor(store: Path) -> None:
    runs = sources.where(sources.read(str(store)), ["condition=mvn_std"])
    assert set(runs.table["precision"]) == {"float32", "float64"}
    runs = sources.read(str(store), reading=Reading(factors=("precision",), reference="mvn_std float64"))
    (first, *_) = runs.factors
    assert (first.name, first.levels, first.must_agree) == ("number format", ("float64", "float32"), False)
    assert set(runs.table["precision"]) == {"any"}


def test_a_run_store_s_reference_comes_first_in_each_factor(store: Path) -> None:
    runs = sources.read(str(store), reading=Reading(reference="normal_std"))
    assert [factor.levels for factor in runs.factors] == [("std", "variance"), ("normal", "mvn")]


@pytest.mark.parametrize(
    ("file", "damage", "words"),
    [
        ("config.json", "[]", "config.json must be an object, not []"),
        ("config.json", "\xff", "config.json: "),
        ("config.json", {"id": None}, "config.json has another run's id, or none"),
        ("config.json", {"id": ["x"]}, "config.json has another run's id, or none"),
        ("config.json", {"seed": None}, "config.json: seed must be a whole number, not missing"),
        ("config.json", {"seed": "five"}, "config.json: seed must be a whole number, not 'five'"),
        ("config.json", {"seed": True}, "config.json: seed must be a whole number, not True"),
        ("config.json", {"replicate": 0.5}, "config.json: replicate must be a whole number, not 0.5"),
        ("config.json", {"condition": None}, "config.json: condition must be one of mvn_std, mvn_var"),
        ("config.json", {"condition": "mvn"}, "normal_std, not 'mvn'"),
        ("config.json", {"condition": ["mvn_std"]}, "normal_std, not ['mvn_std']"),
        ("config.json", {"precision": 32}, "config.json: precision must be float32 or float64, not 32"),
        ("config.json", {"num_envs": [2]}, "config.json: num_envs must be a single value, not [2]"),
        ("config.json", {"provenance": "here"}, "config.json: provenance must be an object, not 'here'"),
        ("config.json", {"status": "new"}, "config.json: status must be left to summary.json, not 'new'"),
        ("summary.json", "null", "summary.json must be an object, not None"),
        ("summary.json", "{", "summary.json: "),
        ("summary.json", {"status": None}, "summary.json: status must be finished or failed, not None"),
        ("summary.json", {"status": ["done"]}, "summary.json: status must be finished or failed, not ['done']"),
        ("summary.json", {"final_return": "good"}, "summary.json: final_return must be a finite number, not 'good'"),
        ("summary.json", {"final_return": [1.0]}, "summary.json: final_return must be a finite number, not [1.0]"),
        ("summary.json", {"final_return": float("nan")}, "summary.json: final_return must be a finite number, not nan"),
        ("summary.json", {"final_return": 10**400}, "summary.json: final_return must be a finite number, not 1000"),
        ("summary.json", '{"status": "finished", "final_return": null}', "must be a finite number, not None"),
        ("summary.json", "[" * 100_000, "summary.json is nested too deeply"),
        ("summary.json", {"final_return": "\ud800"}, "summary.json: 'utf-8' codec can't encode"),
        ("config.json", "[" * 100_000, "config.json is nested too deeply"),
        ("config.json", {"env_id": "\ud800"}, "config.json: 'utf-8' codec can't encode"),
        ("summary.json", {"seed": 1}, "summary.json: seed must be left to config.json, not 1"),
    ],
)  # fmt: skip
def test_a_run_of_the_wrong_shape_is_damaged_and_counted(
    store: Path, file: str, damage: str | dict[str, Any], words: str
) -> None:
    path = store / RUN / file
    if isinstance(damage, str):
        path.write_text(damage, encoding="latin-1")
    else:
        rewrite(path, **damage)
    runs = sources.read(str(store))
    others = runs.table[runs.table["run"] != RUN]
    assert set(others["status"]) == {"finished"}
    assert len(others) == 31
    (outcome,) = runs.table[runs.table["status"] == "damaged"]["error"].tolist() or runs.unknown.values()
    assert words in outcome
    assert "\n" not in outcome


def test_a_run_without_a_run_file_is_damaged(store: Path) -> None:
    (store / RUN / "config.json").unlink()
    assert list(sources.read(str(store)).unknown) == [RUN]


def test_a_sweep_knows_what_a_damaged_run_was(store: Path) -> None:
    words = ("condition", "seed", "precision", "replicate")
    expected = {row["run"]: {name: row[name] for name in words} for row in study(seeds=2).to_dict("records")}
    (store / RUN / "config.json").write_text("{")
    read = sources.read(str(store), expected)
    row = read.table.set_index("run").loc[RUN]
    assert (row["condition"], row["seed"], row["status"], read.unknown) == ("mvn_std", 1, "damaged", {})


def test_whole_numbers_stay_whole_beside_damage(store: Path) -> None:
    (store / RUN / "config.json").write_text("{")
    rewrite(store / "mvn_std-0-float32-0" / "config.json", num_envs=None)
    table = sources.read(str(store)).table
    assert {repr(value) for value in table["num_envs"]} == {"None", "2"}
    assert table["seed"].dtype == "int64"


def test_a_run_store_of_damaged_runs_is_one_line(store: Path) -> None:
    for path in store.glob("*/config.json"):
        path.write_text("{")
    assert "no run can be read, such as mvn_std-0-float32-0: config.json: " in refused(str(store))


def test_a_failed_run_has_its_error_and_no_outcome(store: Path) -> None:
    path = store / RUN / "summary.json"
    path.write_text('{"status": "failed", "error": "the machine burned", "final_return": null}')
    row = sources.read(str(store)).with_numbers("final_return").table.set_index("run").loc[RUN]
    assert (row["status"], row["error"]) == ("failed", "the machine burned")
    assert row[["final_return"]].isna().all()


def test_a_history_that_is_no_json_is_one_line(store: Path) -> None:
    path = store / RUN / "history.jsonl"
    path.write_text("[]\n")
    with pytest.raises(UnreadableSourceError, match=f"{path} is damaged"):
        sources.read(str(store)).history(RUN, "fingerprint")


@pytest.mark.parametrize("name", ["seed", "replicate", "num_envs", "condition", "status", "implementation", "nothing"])
def test_what_is_no_outcome_is_refused_with_those_that_are(store: Path, name: str) -> None:
    line = refused(str(store), outcome=name)
    assert line == f"{name}: there is no such outcome; choose from final_return"


@pytest.mark.parametrize(
    ("reading", "words"),
    [
        (Reading(unpaired=True), "a study's runs are paired by their seeds"),
        (Reading(mapping=Mapping.parse("seed=Seed")), "a study's runs need no mapping"),
        (Reading(reference="mvn"), "'mvn' is not a condition; the conditions are mvn_std, mvn_var, normal_sqrt"),
        (Reading(design=("num_env",)), "design 'num_env' is not a hyperparameter. Did you mean 'num_envs'?"),
        (Reading(factors=("num_env",)), "factor 'num_env' is unknown. Did you mean 'num_envs'?"),
    ],
)
def test_what_a_run_store_cannot_be_read_as_is_one_line(store: Path, reading: Reading, words: str) -> None:
    line = refused(str(store), reading)
    assert line.startswith(str(store))
    assert words in line


@pytest.mark.parametrize("source", ["runs.csv", "sb3:.", "tb:."])
def test_a_sweep_file_chooses_among_a_study_s_runs_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    monkeypatch.chdir(tmp_path)
    study(seeds=2).to_csv("runs.csv", index=False)
    with pytest.raises(UnreadableSourceError, match="leave the sweep file out"):
        sources.read(source, {})


@pytest.mark.parametrize(
    ("source", "output"),
    [
        ("wandb:me/project/sweep", "wandb-me-project-sweep-report"),
        ("data/table.csv", "data/table-report"),
        ("sb3:data/logs/", "data/logs-report"),
        ("tb:logs", "logs-report"),
        ("tb:.", "report"),
    ],
)
def test_a_report_goes_beside_its_source(source: str, output: str) -> None:
    assert sources.beside(source) == Path(output)


def test_a_report_goes_into_its_runs_directory(tmp_path: Path) -> None:
    assert sources.beside(str(tmp_path)) == tmp_path / "report"


def in_place_of(path: Path, what: str) -> None:
    """Put something that can't be read as a file in a file's place: a test may run as root, who may read all files."""
    path.unlink(missing_ok=True)
    path.mkdir() if what == "folder" else os.mkfifo(path)


REASONS = {"folder": "Is a directory", "pipe": "it isn't a regular file"}


@pytest.mark.parametrize("what", REASONS)
@pytest.mark.parametrize("file", ["config.json", "summary.json"])
def test_a_file_that_cannot_be_read_is_never_called_wrong(store: Path, file: str, what: str) -> None:
    in_place_of(store / RUN / file, what)
    runs = sources.read(str(store))
    (reason,) = runs.table[runs.table["status"] == "damaged"]["error"].tolist() or runs.unknown.values()
    assert reason == f"{file} can't be read: {REASONS[what]}"


@pytest.mark.parametrize("what", REASONS)
def test_a_history_that_cannot_be_read_is_one_line(store: Path, what: str) -> None:
    path = store / RUN / "history.jsonl"
    in_place_of(path, what)
    with pytest.raises(UnreadableSourceError, match=f"{path} can't be read: {REASONS[what]}"):
        sources.read(str(store)).history(RUN, "fingerprint")


@pytest.mark.parametrize("what", REASONS)
def test_analyses_that_cannot_be_read_are_one_line(store: Path, what: str) -> None:
    (store / "interim").mkdir()
    in_place_of(store / "interim" / "seeds.json", what)
    assert refused(str(store)) == f"{store / 'interim' / 'seeds.json'} can't be read: {REASONS[what]}"


def test_analyses_that_are_nested_too_deeply_are_damaged(store: Path) -> None:
    (store / "interim").mkdir()
    (store / "interim" / "seeds.json").write_text("[" * 100_000)
    assert "seeds.json is damaged" in refused(str(store))


def test_permissions_are_named(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    for module in ("run_store", "runs"):
        monkeypatch.setattr(f"reports.sources.{module}.read_file", denied)
    assert refused(str(store)).endswith("mvn_std-0-float32-0: config.json can't be read: Permission denied")
    runs = Runs(table=pd.DataFrame(), outcomes=[], folder=store)
    with pytest.raises(UnreadableSourceError, match=r"history.jsonl can't be read: Permission denied"):
        runs.history(RUN, "fingerprint")


def test_a_store_that_cannot_be_listed_says_why(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", denied)
    assert refused(str(store)) == f"{store} can't be read: Permission denied"


def test_a_folder_whose_name_is_no_text_is_no_run(store: Path) -> None:
    before = sources.read(str(store))
    shutil.copytree(store / RUN, store / os.fsdecode(b"\xff"))
    after = sources.read(str(store))
    assert after.table.equals(before.table)
    assert after.unknown == {}
