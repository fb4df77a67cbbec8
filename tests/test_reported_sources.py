"""What a report makes of ledgers and tables that lack something, or have too much of it."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports import report, sources
from reports.report import Options
from reports.section import make_section
from reports.sources import UnreadableSourceError
from reports.thread import CONDITIONS
from reports.writing.verdict import design_verdict
from tests.synthetic import rewrite, study, write_ledger

COLUMNS = ["condition", "seed", "precision", "replicate", "final_return"]


RUN = "mvn_std-1-float32-0"


HUGE = json.dumps({"fingerprint": [1.0, 10**400], "episodic_return": 1.0, "global_step": 1})


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    write_ledger(tmp_path / "runs", study(seeds=2))
    return tmp_path / "runs"


def verdict(output: Path) -> dict[str, Any]:
    def no_constant(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    found: dict[str, Any] = json.loads((output / "verdict.json").read_text(), parse_constant=no_constant)
    return found


def table(tmp_path: Path, runs: pd.DataFrame) -> str:
    path = tmp_path / "runs.csv"
    runs.to_csv(path, index=False)
    return str(path)


def refused(source: str, options: Options | None = None) -> str:
    with pytest.raises(UnreadableSourceError) as error:
        report.write(source, None, options or Options())
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("rollouts", ["own", "shared"])
def test_a_training_return_is_said_to_be_of_whoever_acted(tmp_path: Path, rollouts: str) -> None:
    write_ledger(tmp_path, study(seeds=2), rollouts=rollouts)
    said = report.write(str(tmp_path), None, Options())
    assert ("final_return isn't these runs' own" in said) == (rollouts == "shared")


@pytest.mark.parametrize("file", ["cell.json", "outcome.json"])
def test_a_damaged_run_is_named_and_counted_and_its_block_leaves(ledger: Path, file: str) -> None:
    (ledger / RUN / file).write_text("{}")
    assert f"warning: 1 runs are damaged, such as {RUN}: {file}" in report.write(str(ledger), None, Options())
    assert "1 damaged, 31 finished" in (ledger / "report" / "report.md").read_text()
    assert verdict(ledger / "report")["designs"][0]["n_seeds"] == 1


def test_a_cell_that_is_there_twice_is_one_line(ledger: Path) -> None:
    rewrite(ledger / RUN / "cell.json", seed=0)
    assert f"{RUN} is there twice, first as mvn_std-0-float32-0: condition mvn_std" in refused(str(ledger))


@pytest.mark.parametrize("updates", ["", "[]\n", '{"fingerprint": [[1]]}\n', HUGE, "one more line"])
def test_a_history_unlike_its_design_is_one_line(ledger: Path, updates: str) -> None:
    path = ledger / RUN / "updates.jsonl"
    path.write_text(updates if updates != "one more line" else path.read_text() + path.read_text())
    assert f"{path} is damaged" in refused(str(ledger))


def test_fingerprints_that_are_null_or_nothing_leave_the_mechanism_untested(ledger: Path) -> None:
    for path in ledger.glob("*/updates.jsonl"):
        values = [None, None] if "float32" in str(path) else [0.0, 0.0]
        update = {"global_step": 1, "episodic_return": None, "fingerprint": values}
        path.write_text(2 * (json.dumps(update) + "\n"))
    report.write(str(ledger), None, Options())
    (design,) = verdict(ledger / "report")["designs"]
    assert {json.dumps(row["gap"]) for row in design["mechanism"]} == {'{"float32": null, "float64": null}'}
    assert {row["scales_with_precision"] for row in design["mechanism"]} == {None}
    assert not any("suspicious" in warning for warning in design["warnings"])


def test_one_precision_has_a_null_for_the_other(tmp_path: Path) -> None:
    runs = study(seeds=2)
    write_ledger(tmp_path / "runs", runs[runs["precision"] == "float64"])
    report.write(str(tmp_path / "runs"), None, Options())
    for row in verdict(tmp_path / "runs" / "report")["designs"][0]["mechanism"]:
        assert row["gap"].keys() == {"float32", "float64"}
        assert (row["gap"]["float32"], row["ratio"], row["scales_with_precision"]) == (None, None, None)
        assert row["gap"]["float64"] > 0


def test_provenance_is_of_the_chosen_runs_and_of_their_design(tmp_path: Path) -> None:
    runs = study(seeds=2)
    for env_id, cpu in [("Reacher-v5", "a"), ("Pendulum-v1", "b")]:
        write_ledger(tmp_path, runs.assign(run=env_id + runs["run"]), env_id=env_id)
        for path in tmp_path.glob(f"{env_id}*/cell.json"):
            rewrite(path, provenance={"cpu": cpu, "leaks_precision": env_id == "Pendulum-v1"})
    other = tmp_path / "Reacher-v5mvn_std-1-float64-0" / "cell.json"
    rewrite(other, provenance={"cpu": "a", "version_torch": "3.0"})

    def warnings(**options: Any) -> dict[str, str]:
        report.write(str(tmp_path), tmp_path / "out", Options(**options))
        designs = verdict(tmp_path / "out")["designs"]
        return {design["design"]["env_id"]: " ".join(design["warnings"]) for design in designs}

    found = warnings()
    assert ["processors" in found[name] for name in found] == [False, False]
    assert {name for name in found if "different versions" in found[name]} == {"Reacher-v5"}
    assert {name for name in found if "quantised" in found[name]} == {"Pendulum-v1"}
    assert "different versions" not in warnings(where=("env_id=Reacher-v5", "precision=float32"))["Reacher-v5"]
    text = (tmp_path / "out" / "report.md").read_text()
    assert "- 16 runs: cpu a" in text
    assert "cpu b" not in text


def test_infinite_outcomes_are_counted_and_leave(tmp_path: Path) -> None:
    runs = study(seeds=3)[COLUMNS]
    runs.loc[(runs["condition"] == "mvn_var") | (runs["seed"] == 1), "final_return"] = float("inf")
    printed = report.write(table(tmp_path, runs), None, Options())
    assert "24 finished runs have no finite final_return" in printed
    assert verdict(tmp_path / "runs-report")["designs"][0]["n_seeds"] == 2


@pytest.mark.parametrize("columns", [[*COLUMNS, "status"], [*COLUMNS[:-1], "status"]])
def test_a_table_in_which_nothing_finished_says_so(tmp_path: Path, columns: list[str]) -> None:
    runs = study(seeds=2).assign(status="failed", final_return=None)
    printed = report.write(table(tmp_path, runs[columns]), None, Options())
    assert "no run has finished with a final_return" in printed
    assert "32 runs are failed, such as row 2" in printed
    (design,) = verdict(tmp_path / "runs-report")["designs"]
    assert (design["verdict"], design["n_seeds"], design["pairs"]) == ("undecided", 0, [])
    for entry in design["effects"].values():
        told = {name: value for name, value in entry.items() if value is not None}
        assert told == {"ci": [None, None], "ci_adjusted": [None, None], "conclusion": "undecided"}
    assert "parameterization effect" in design["untested"]


def test_a_failed_ledger_of_null_outcomes_says_so(ledger: Path) -> None:
    for path in ledger.glob("*/outcome.json"):
        path.write_text('{"status": "failed", "error": "the machine\\nburned", "final_return": null}')
    printed = report.write(str(ledger), None, Options())
    assert "32 runs are failed, such as mvn_std-0-float32-0: the machine burned\n" in printed
    assert "no run has finished with a final_return" in printed


@pytest.mark.parametrize(
    ("choose", "words"),
    [
        (lambda runs: runs[runs["seed"] == 0], "a single seed: a difference can be seen, but nothing be tested"),
        (lambda runs: runs[runs["condition"] == "mvn_std"], "can't be estimated: all runs are of one, variance"),
        (lambda runs: runs.assign(final_return=0.1), "every run has the same final_return"),
        (lambda runs: runs[runs["replicate"] == 0], "no replicates: whether round-off explains"),
    ],
)
def test_too_little_of_something_is_said(
    tmp_path: Path, choose: Callable[[pd.DataFrame], pd.DataFrame], words: str
) -> None:
    printed = report.write(table(tmp_path, choose(study()[COLUMNS])), None, Options())
    assert words in printed
    assert "±-" not in (tmp_path / "runs-report" / "report.md").read_text()
    (design,) = verdict(tmp_path / "runs-report")["designs"]
    assert design["verdict"] == "undecided"
    assert set(design["effects"]) == {"parameterization", "implementation"}


def test_what_would_keep_more_seeds_is_said(tmp_path: Path) -> None:
    runs = study(seeds=8)[COLUMNS]
    runs = runs[(runs["precision"] == "float32") | (runs["seed"] < 3)]
    printed = report.write(table(tmp_path, runs), None, Options())
    assert "holes: seeds 3, 4, 5, 6, 7" in printed
    assert "`--where precision=float32` would keep 8 seeds" in printed
    report.write(table(tmp_path, runs), tmp_path / "out", Options(where=("precision=float32",)))
    assert verdict(tmp_path / "out")["designs"][0]["n_seeds"] == 8


def test_names_are_no_formulas(tmp_path: Path) -> None:
    runs = study(seeds=2).replace({"condition": {"mvn_std": r"$\ours$"}}).drop(columns="run")
    report.write(table(tmp_path, runs), None, Options())
    assert r"$\ours$" in (tmp_path / "runs-report" / "outcomes-1.svg").read_text()


@pytest.mark.parametrize("place", ["file", "file/below", "taken"])
def test_a_report_that_cannot_be_written_is_one_line(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "taken" / "verdict.json").mkdir(parents=True)
    with pytest.raises(UnreadableSourceError) as error:
        report.write(table(tmp_path, study(seeds=2)[COLUMNS]), tmp_path / place, Options())
    assert str(error.value).startswith(f"-o {tmp_path / place}: no report can be written there (")
    assert "\n" not in str(error.value)


CELLS = st.dictionaries(
    st.tuples(
        st.sampled_from([*CONDITIONS, "jax"]),
        st.integers(0, 6),
        st.sampled_from(["float32", "float64"]),
        st.integers(0, 2),
    ),
    st.sampled_from([0.1, 0.1, 0.2, -1.0, 1e-320, 1e149, -1e149, 1e200, float("inf"), None]),
    min_size=1,
)


STRANGE = st.sampled_from(["", "inf", "-1", "0.5", "1e30", "10000000000000000000000", "odd", "failed", "float32"])


@settings(max_examples=200, deadline=None)
@given(CELLS, st.none() | st.tuples(st.sampled_from([*COLUMNS, "status", "implementation"]), STRANGE))
def test_any_table_is_answered_or_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory,
    cells: dict[tuple[str, int, str, int], float | None],
    strange: tuple[str, str] | None,
) -> None:
    runs = pd.DataFrame([(*place, value) for place, value in cells.items()], columns=COLUMNS, dtype=object)
    runs = runs.assign(parameterization="std", implementation="jax", status="finished")
    for condition, factors in CONDITIONS.items():
        runs.loc[runs["condition"] == condition, ["parameterization", "implementation"]] = factors
    if strange:
        runs.loc[0, strange[0]] = strange[1]
    source = table(tmp_path_factory.mktemp("any"), runs)
    try:
        read = sources.read(source).with_numbers("final_return")
    except UnreadableSourceError as complaint:
        assert strange
        assert "\n" not in str(complaint)  # noqa: PT017  (a refusal is one of two right ends)
        return
    section = make_section(read, read.table, "final_return", [], None)
    json.dumps(design_verdict(section), allow_nan=False)
    answer = section.answer
    for estimate in answer.effects.values():
        assert 0 < estimate.p <= estimate.p_adjusted <= 1
        assert estimate.ci[0] <= estimate.estimate <= estimate.ci[1] or math.isclose(*estimate.ci)
