"""What is read of ledgers, whole, damaged, or wrong; and where reports go."""

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
from tests.synthetic import rewrite, study, write_ledger

RUN = "mvn_std-1-float32-0"


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    write_ledger(tmp_path / "runs", study(seeds=2))
    return tmp_path / "runs"


def refused(source: str, reading: Reading = AS_IS, outcome: str = "final_return") -> str:
    with pytest.raises(UnreadableSourceError) as error:
        sources.read(source, reading=reading).with_numbers(outcome)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_outcomes_are_what_the_outcome_files_have(ledger: Path) -> None:
    for number, path in enumerate(sorted(ledger.glob("*/outcome.json"))):
        rewrite(path, seconds=float(number))
    runs = sources.read(str(ledger))
    assert runs.outcomes == ["final_return", "seconds"]
    assert sorted(runs.with_numbers("seconds").table["seconds"]) == list(range(32))


def test_hyperparameters_are_what_the_cells_have(ledger: Path) -> None:
    assert sources.read(str(ledger)).hyperparameters == ["num_envs"]


def test_a_ledger_s_factors_are_the_thread_s(ledger: Path) -> None:
    runs = sources.read(str(ledger))
    assert (runs.factors, runs.paired) == (FACTORS, True)
    assert [*runs.table.columns[:9]] == [*COLUMNS, "parameterization", "implementation"]


def test_a_parameter_can_be_the_factor(ledger: Path) -> None:
    for path in ledger.glob("*-0/cell.json"):  # of the two replicates, as if another number of environments ran the one
        rewrite(path, num_envs=8)
    runs = sources.read(str(ledger), reading=Reading(must_agree=("num_envs",)))
    assert [(factor.name, factor.levels, factor.must_agree) for factor in runs.factors] == [
        ("num_envs", ("2", "8"), True),
        ("parameterization", ("variance", "std"), False),
        ("implementation", ("mvn", "normal"), True),
    ]
    assert runs.hyperparameters == []
    assert set(runs.table["condition"]) == {f"{condition} {envs}" for condition in CONDITIONS for envs in (2, 8)}
    other = sources.read(str(ledger), reading=Reading(must_agree=("num_envs",), reference="mvn_var 8"))
    assert [factor.levels[0] for factor in other.factors[:1]] == ["8"]


def test_a_precision_can_be_the_factor(ledger: Path) -> None:
    runs = sources.where(sources.read(str(ledger)), ["condition=mvn_std"])
    assert set(runs.table["precision"]) == {"float32", "float64"}
    runs = sources.read(str(ledger), reading=Reading(factors=("precision",), reference="mvn_std float64"))
    (first, *_) = runs.factors
    assert (first.name, first.levels, first.must_agree) == ("number format", ("float64", "float32"), False)
    assert set(runs.table["precision"]) == {"any"}


def test_a_ledger_s_reference_comes_first_in_each_factor(ledger: Path) -> None:
    runs = sources.read(str(ledger), reading=Reading(reference="normal_std"))
    assert [factor.levels for factor in runs.factors] == [("std", "variance"), ("normal", "mvn")]


@pytest.mark.parametrize(
    ("file", "damage", "words"),
    [
        ("cell.json", "[]", "cell.json must be an object, not []"),
        ("cell.json", "\xff", "cell.json: "),
        ("cell.json", {"id": None}, "cell.json has another cell's id, or none"),
        ("cell.json", {"id": ["x"]}, "cell.json has another cell's id, or none"),
        ("cell.json", {"seed": None}, "cell.json: seed must be a whole number, not missing"),
        ("cell.json", {"seed": "five"}, "cell.json: seed must be a whole number, not 'five'"),
        ("cell.json", {"seed": True}, "cell.json: seed must be a whole number, not True"),
        ("cell.json", {"replicate": 0.5}, "cell.json: replicate must be a whole number, not 0.5"),
        ("cell.json", {"condition": None}, "cell.json: condition must be one of mvn_std, mvn_var"),
        ("cell.json", {"condition": "mvn"}, "normal_std, not 'mvn'"),
        ("cell.json", {"condition": ["mvn_std"]}, "normal_std, not ['mvn_std']"),
        ("cell.json", {"precision": 32}, "cell.json: precision must be float32 or float64, not 32"),
        ("cell.json", {"num_envs": [2]}, "cell.json: num_envs must be a single value, not [2]"),
        ("cell.json", {"provenance": "here"}, "cell.json: provenance must be an object, not 'here'"),
        ("cell.json", {"status": "new"}, "cell.json: status must be left to outcome.json, not 'new'"),
        ("outcome.json", "null", "outcome.json must be an object, not None"),
        ("outcome.json", "{", "outcome.json: "),
        ("outcome.json", {"status": None}, "outcome.json: status must be finished or failed, not None"),
        ("outcome.json", {"status": ["done"]}, "outcome.json: status must be finished or failed, not ['done']"),
        ("outcome.json", {"final_return": "good"}, "outcome.json: final_return must be a finite number, not 'good'"),
        ("outcome.json", {"final_return": [1.0]}, "outcome.json: final_return must be a finite number, not [1.0]"),
        ("outcome.json", {"final_return": float("nan")}, "outcome.json: final_return must be a finite number, not nan"),
        ("outcome.json", {"final_return": 10**400}, "outcome.json: final_return must be a finite number, not 1000"),
        ("outcome.json", '{"status": "finished", "final_return": null}', "must be a finite number, not None"),
        ("outcome.json", "[" * 100_000, "outcome.json is nested too deeply"),
        ("outcome.json", {"final_return": "\ud800"}, "outcome.json: 'utf-8' codec can't encode"),
        ("cell.json", "[" * 100_000, "cell.json is nested too deeply"),
        ("cell.json", {"env_id": "\ud800"}, "cell.json: 'utf-8' codec can't encode"),
        ("outcome.json", {"seed": 1}, "outcome.json: seed must be left to cell.json, not 1"),
    ],
)  # fmt: skip
def test_a_run_of_the_wrong_shape_is_damaged_and_counted(
    ledger: Path, file: str, damage: str | dict[str, Any], words: str
) -> None:
    path = ledger / RUN / file
    if isinstance(damage, str):
        path.write_text(damage, encoding="latin-1")
    else:
        rewrite(path, **damage)
    runs = sources.read(str(ledger))
    others = runs.table[runs.table["run"] != RUN]
    assert set(others["status"]) == {"finished"}
    assert len(others) == 31
    (outcome,) = runs.table[runs.table["status"] == "damaged"]["error"].tolist() or runs.unknown.values()
    assert words in outcome
    assert "\n" not in outcome


def test_a_run_without_a_cell_file_is_damaged(ledger: Path) -> None:
    (ledger / RUN / "cell.json").unlink()
    assert list(sources.read(str(ledger)).unknown) == [RUN]


def test_a_sweep_knows_what_a_damaged_cell_was(ledger: Path) -> None:
    words = ("condition", "seed", "precision", "replicate")
    expected = {row["run"]: {name: row[name] for name in words} for row in study(seeds=2).to_dict("records")}
    (ledger / RUN / "cell.json").write_text("{")
    read = sources.read(str(ledger), expected)
    row = read.table.set_index("run").loc[RUN]
    assert (row["condition"], row["seed"], row["status"], read.unknown) == ("mvn_std", 1, "damaged", {})


def test_whole_numbers_stay_whole_beside_damage(ledger: Path) -> None:
    (ledger / RUN / "cell.json").write_text("{")
    rewrite(ledger / "mvn_std-0-float32-0" / "cell.json", num_envs=None)
    table = sources.read(str(ledger)).table
    assert {repr(value) for value in table["num_envs"]} == {"None", "2"}
    assert table["seed"].dtype == "int64"


def test_a_ledger_of_damaged_runs_is_one_line(ledger: Path) -> None:
    for path in ledger.glob("*/cell.json"):
        path.write_text("{")
    assert "no run can be read, such as mvn_std-0-float32-0: cell.json: " in refused(str(ledger))


def test_a_failed_run_has_its_error_and_no_outcome(ledger: Path) -> None:
    path = ledger / RUN / "outcome.json"
    path.write_text('{"status": "failed", "error": "the machine burned", "final_return": null}')
    row = sources.read(str(ledger)).with_numbers("final_return").table.set_index("run").loc[RUN]
    assert (row["status"], row["error"]) == ("failed", "the machine burned")
    assert row[["final_return"]].isna().all()


def test_a_history_that_is_no_json_is_one_line(ledger: Path) -> None:
    path = ledger / RUN / "updates.jsonl"
    path.write_text("[]\n")
    with pytest.raises(UnreadableSourceError, match=f"{path} is damaged"):
        sources.read(str(ledger)).history(RUN, "fingerprint")


@pytest.mark.parametrize("name", ["seed", "replicate", "num_envs", "condition", "status", "implementation", "nothing"])
def test_what_is_no_outcome_is_refused_with_those_that_are(ledger: Path, name: str) -> None:
    line = refused(str(ledger), outcome=name)
    assert line == f"--outcome {name}: there is no such outcome; choose from final_return"


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
def test_what_a_ledger_cannot_be_read_as_is_one_line(ledger: Path, reading: Reading, words: str) -> None:
    line = refused(str(ledger), reading)
    assert line.startswith(str(ledger))
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
@pytest.mark.parametrize("file", ["cell.json", "outcome.json"])
def test_a_file_that_cannot_be_read_is_never_called_wrong(ledger: Path, file: str, what: str) -> None:
    in_place_of(ledger / RUN / file, what)
    runs = sources.read(str(ledger))
    (reason,) = runs.table[runs.table["status"] == "damaged"]["error"].tolist() or runs.unknown.values()
    assert reason == f"{file} can't be read: {REASONS[what]}"


@pytest.mark.parametrize("what", REASONS)
def test_a_history_that_cannot_be_read_is_one_line(ledger: Path, what: str) -> None:
    path = ledger / RUN / "updates.jsonl"
    in_place_of(path, what)
    with pytest.raises(UnreadableSourceError, match=f"{path} can't be read: {REASONS[what]}"):
        sources.read(str(ledger)).history(RUN, "fingerprint")


@pytest.mark.parametrize("what", REASONS)
def test_analyses_that_cannot_be_read_are_one_line(ledger: Path, what: str) -> None:
    (ledger / "looks").mkdir()
    in_place_of(ledger / "looks" / "seeds.json", what)
    assert refused(str(ledger)) == f"{ledger / 'looks' / 'seeds.json'} can't be read: {REASONS[what]}"


def test_analyses_that_are_nested_too_deeply_are_damaged(ledger: Path) -> None:
    (ledger / "looks").mkdir()
    (ledger / "looks" / "seeds.json").write_text("[" * 100_000)
    assert "seeds.json is damaged" in refused(str(ledger))


def test_permissions_are_named(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    for module in ("ledger", "runs"):
        monkeypatch.setattr(f"reports.sources.{module}.read_file", denied)
    assert refused(str(ledger)).endswith("mvn_std-0-float32-0: cell.json can't be read: Permission denied")
    runs = Runs(table=pd.DataFrame(), outcomes=[], folder=ledger)
    with pytest.raises(UnreadableSourceError, match=r"updates.jsonl can't be read: Permission denied"):
        runs.history(RUN, "fingerprint")


def test_a_store_that_cannot_be_listed_says_why(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", denied)
    assert refused(str(ledger)) == f"{ledger} can't be read: Permission denied"


def test_a_folder_whose_name_is_no_text_is_no_run(ledger: Path) -> None:
    before = sources.read(str(ledger))
    shutil.copytree(ledger / RUN, ledger / os.fsdecode(b"\xff"))
    after = sources.read(str(ledger))
    assert after.table.equals(before.table)
    assert after.unknown == {}
