"""Runs of a published table are trained again, and what differs from the table is named."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reports import sources
from reports.documents import report
from reports.documents.report import Options
from reports.sources import Reading
from reports.sources.published import TABLE, write_published
from reports.sources.runs import HASH, Published
from reports.thread import CONDITIONS
from study.config.run_config import RunConfig, make_config
from study.reproduction import Difference, Record, compare, compare_provenance, find_config, read_table
from study.store.run_store import RunStore
from study.training import cohort as training
from tests.helpers.command_line import run
from tests.helpers.paths import ROOT
from tests.helpers.shared import made_once
from tests.helpers.small import SMALL

OUTCOMES = "auc_return, eval_return, final_return, final_std"
SEED = 1
"""Of the runs that are trained again."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run store of two seeds, and its published table."""
    return made_once(tmp_path_factory, "reproduction", train)


def train(folder: Path) -> None:
    configs = [
        make_config({**SMALL, "condition": condition, "seed": seed, "replicate": replicate})
        for condition in CONDITIONS
        for seed in (0, SEED)
        for replicate in (0, 1)
    ]
    doses = [make_config({**SMALL, "seed": SEED, "replicate": 1, "perturbation": 2.0**-20})]
    training.train(configs, folder / "runs", "disabled")
    training.train(doses, folder / "runs", "disabled")
    report.write(str(folder / "runs"), folder / "report", Options(outcome="auc_return", table=True))


@pytest.fixture
def table(trained: Path) -> Path:
    return trained / "report" / TABLE


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[list[RunConfig]]:
    """The runs of each call of a driver, which trains them in this process."""
    calls: list[list[RunConfig]] = []

    class Driver:
        def __init__(self, runs_dir: Path) -> None:
            self.runs_dir = runs_dir

        async def train(self, configs: list[RunConfig]) -> None:
            calls.append(configs)
            for config in configs:
                training.train([config], self.runs_dir, "disabled")

    monkeypatch.setattr(
        "study.commands.shared.run_with_pool", lambda options, work: asyncio.run(work(Driver(options.runs_dir)))
    )
    return calls


def changed(table: Path, folder: Path, column: str, change: Callable[[Any], Any], arm: str = "mvn_var") -> Path:
    """Return a table in which one value of one unperturbed run is another."""
    found = pq.read_table(table)
    rows = found.select(["condition", "seed", "replicate"]).to_pylist()
    at = rows.index({"condition": arm, "seed": SEED, "replicate": 0})
    values = found[column].to_pylist()
    values[at] = change(values[at])
    array = pa.array(values, found.schema.field(column).type)
    pq.write_table(found.set_column(found.schema.get_field_index(column), column, array), folder / TABLE)
    return folder / TABLE


def reproduce(
    table: Path, runs: Path, capsys: pytest.CaptureFixture[str], seeds: object = SEED
) -> tuple[int, str, str]:
    return run("reproduce", str(table), "--seeds", str(seeds), "--runs-dir", str(runs), capsys=capsys)


def test_runs_trained_again_have_the_published_bits(
    table: Path, calls: list[list[RunConfig]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = reproduce(table, tmp_path / "runs", capsys)
    assert code == 0
    assert out.splitlines() == [
        "9 of 9 runs have the published bits",
        f"compared: params_sha256, {OUTCOMES}, episodic_return (8 runs), global_step (8 runs)",
        "provenance: nothing that is recorded differs",
    ]
    assert err.startswith(f"{table}: 9 runs, 0 of them ended before\n")
    assert [(len(configs), {config.seed for config in configs}) for configs in calls] == [(9, {SEED})]
    again = reproduce(table, tmp_path / "runs", capsys)
    assert again == (0, out, f"{table}: 9 runs, 9 of them ended before\n")
    assert len(calls) == 1


def next_number(value: float) -> float:
    return value * (1 + 2**-52)


@pytest.mark.parametrize(
    ("column", "change", "words"),
    [
        (
            "history/episodic_return",
            lambda values: [values[0], next_number(values[1])],
            "from update 2 on (episodic_re",
        ),
        ("history/global_step", lambda _: [0.0, 0.0], "from update 1 on (global_step 0.0 in the table and 512.0"),
        ("auc_return", next_number, "no recorded number of an update; auc_return -"),
        ("final_std", lambda _: 7.0, "no recorded number of an update; final_std 7.0 in the table and "),
        (
            HASH,
            lambda text: text[::-1],
            "the parameters after the last update, and no recorded number of an update; auc",
        ),
        ("status", lambda _: "failed", "failed in the table, finished here"),
    ],
)
def test_what_differs_from_the_table_is_named(
    column: str, change: Callable[[Any], Any], words: str, trained: Path, table: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    code, out, _ = reproduce(changed(table, tmp_path, column, change), trained / "runs", capsys)
    first, second, *others = out.splitlines()
    assert (code, first) == (1, "1 of 9 runs differs from the published ones")
    assert second.startswith(f"  mvn_var, perturbation one_ulp, float64, replicate 0, seed {SEED}: {words}")
    assert others[-1] == "provenance: nothing that is recorded differs"


def test_a_table_without_hashes_is_compared_by_its_numbers(
    trained: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pq.write_table(pq.read_table(table).drop_columns([HASH]), tmp_path / TABLE)
    code, out, _ = reproduce(tmp_path / TABLE, trained / "runs", capsys)
    assert (code, out.splitlines()[0]) == (0, "9 of 9 runs have the published bits")
    assert "not compared: the parameters of 9 of 9 runs, since the table has no params_sha256 of them" in out
    wrong = changed(tmp_path / TABLE, tmp_path, "eval_return", next_number)
    assert reproduce(wrong, trained / "runs", capsys)[0] == 1


def test_what_differs_in_provenance_is_named(
    trained: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def change(text: str) -> str:
        return json.dumps({**json.loads(text), "version_torch": "1.0", "moon": "full"})

    code, out, _ = reproduce(changed(table, tmp_path, "provenance", change), trained / "runs", capsys)
    assert code == 0
    assert "\nprovenance that differs:\n  version_torch: 1.0 in the table, 2." in out
    assert out.endswith("\nprovenance recorded on one side alone: moon\n")


def test_the_table_has_the_hash_after_each_run_s_last_update(trained: Path, table: Path, tmp_path: Path) -> None:
    def last(name: str) -> str:
        history = (trained / "runs" / name / "history.jsonl").read_text()
        return str(json.loads(history.splitlines()[-1])[HASH])

    kept = sources.read(str(table)).hashes
    assert kept == {path.parent.name: last(path.parent.name) for path in trained.glob("runs/*/summary.json")}
    report.write(str(table), tmp_path, Options(table=True))
    assert sources.read(str(tmp_path / TABLE)).hashes == kept


def test_a_seed_that_is_not_in_the_table_is_refused(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = reproduce(table, tmp_path / "runs", capsys, seeds="0-5")
    assert (code, out, err) == (2, "", f"study: {table} has no run of seed 2: choose from 0-1 (--seeds)\n")
    assert not (tmp_path / "runs").exists()


def test_tables_of_other_origin_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = ROOT / "tests/data/adastop_walker.csv"
    options = Options(outcome="mean_return", table=True, reading=Reading(unpaired=True, outcome="mean_return"))
    report.write(str(own), tmp_path, options)
    assert HASH not in pq.read_schema(tmp_path / TABLE).names
    pq.write_table(pa.table({"condition": ["a", "b"], "seed": [0, 0], "score": [1.0, 2.0]}), tmp_path / "own.parquet")
    for table, words in (
        (own, " isn't the table of a report: give the table.parquet that `study report RUNS --table` writes\n"),
        (tmp_path / "own.parquet", " isn't the table of a report: "),
        (tmp_path / TABLE, " has runs that this program didn't train, such as 'row 2': give the table of a report on "),
        (tmp_path / "none.parquet", ": there is no such directory or table\n"),
    ):
        code, out, err = reproduce(table, tmp_path / "runs", capsys, seeds=0)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert err.startswith(f"study: {table}{words}")


def test_a_table_of_another_version_of_the_configs_is_refused(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = changed(table, tmp_path, "vf_coef", lambda _: 0.25)
    code, out, err = reproduce(other, tmp_path / "runs", capsys)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"study: {other} is of another version of the configs: none here has the id of its run ")
    assert ": use the version that trained it" in err


@pytest.mark.parametrize(
    ("factor", "levels", "others"),
    [
        ("engine", ["cohort", "reference"], {"condition": "mvn_var"}),
        ("precision", ["float32", "float64"], {}),
        ("adam_eps", [1e-5, 1e-8], {}),
        ("compensated", [False, True], {"replicate": 1, "perturbation": "jitter"}),
    ],
)
def test_configs_are_found_where_a_parameter_is_the_factor(
    factor: str, levels: list[Any], others: dict[str, Any], tmp_path: Path
) -> None:
    configs = [make_config({**SMALL, **others, factor: level}) for level in levels]
    for config in configs:
        with RunStore(tmp_path).begin(config, {}) as writer:  # type: ignore[union-attr]
            writer.finish({"status": "finished", "error": None, "final_return": 1.0})
    runs = sources.read(str(tmp_path), reading=Reading(factors=(factor,)))
    published = Published(path=TABLE, outcome="final_return", others=(), margin=None, goal="maximize")
    write_published(tmp_path / TABLE, runs, published, {}, {})
    rows = read_table(tmp_path / TABLE).table.to_dict("records")
    found = [find_config({str(name): value for name, value in row.items()}) for row in rows]
    assert sorted(found, key=str) == sorted(configs, key=str)


def test_failed_runs_are_the_same_if_their_errors_are() -> None:
    def failed(error: str, status: str = "failed") -> Record:
        nothing: dict[str, Any] = {"outcomes": {}, "history": {}, "params_sha256": None, "provenance": {}}
        return Record(status=status, error=error, **nothing)

    assert compare(failed("NaN"), failed("NaN")) is None
    assert compare(failed("NaN"), failed("inf")) == Difference(is_ending=True)
    assert compare(failed(""), failed("", "finished")) == Difference(is_ending=True)


def test_each_difference_of_provenance_is_told_once() -> None:
    one, other, third = {"cpu": "a", "os": "x"}, {"cpu": "b", "os": "x"}, {"cpu": "c"}
    assert compare_provenance([(one, one)]) == ({}, [])
    pairs = [(one, other), (one, other), (one, third), (other, other)]
    assert compare_provenance(pairs) == ({"cpu": [("a", "b"), ("a", "c")]}, ["os"])


def test_updates_are_compared_by_their_bits_and_number() -> None:
    def recorded(*numbers: float) -> Record:
        nothing: dict[str, Any] = {"outcomes": {}, "params_sha256": None, "provenance": {}}
        return Record(status="finished", error="", history={"a": np.array(numbers)}, **nothing)

    assert compare(recorded(1.0, np.nan), recorded(1.0, np.nan)) is None
    assert compare(recorded(1.0, 0.0), recorded(1.0, -0.0)) == Difference(update=2, columns=("a",))
    assert compare(recorded(1.0, 2.0), recorded(1.0)) == Difference(update=2, columns=("a",))
