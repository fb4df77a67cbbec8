"""What Optuna's tools show of a study. It is a record: whatever happens to it costs no run."""

import json
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from optuna.distributions import IntDistribution
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, create_trial
from sqlalchemy.pool import NullPool

from study.errors import ConfigError
from study.plans.record import RUNS, Record
from tests.helpers import postgres


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.Postgres]:
    with postgres.running() as server:
        yield server


def trial(seed: int) -> FrozenTrial:
    return create_trial(
        value=float(seed),
        params={"seed": seed},
        distributions={"seed": IntDistribution(0, 9)},
        intermediate_values={0: 1.0},
        user_attrs={RUNS: [f"run{seed}"]},
    )


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_trials_are_recorded_once(tmp_path: Path, server: postgres.Postgres, kind: str) -> None:
    url = server.url if kind == "postgresql" else f"sqlite:///{tmp_path}/optuna.db"
    for _ in range(2):
        record = Record(tmp_path, url, "study", "disabled")
        for seed in (3, 4):
            record.add(seed, trial(seed))
        record.note("after 2 seeds", ["undecided"])
    driver = url.replace("postgresql:", "postgresql+psycopg:")
    storage = RDBStorage(driver, engine_kwargs={"poolclass": NullPool})
    study = optuna.load_study(study_name="study", storage=storage)
    assert [(t.value, t.params, t.user_attrs[RUNS]) for t in study.trials] == [
        (3.0, {"seed": 3}, ["run3"]),
        (4.0, {"seed": 4}, ["run4"]),
    ]
    assert study.user_attrs == {"after 2 seeds": ["undecided"]}


def test_runs_that_are_online_have_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("study.plans.record.addresses", lambda ids: {run_id: f"https://w/{run_id}" for run_id in ids})
    record = Record(tmp_path, "", "study", "online")
    record.add(0, trial(3))
    assert "https://w/run3" in (tmp_path / "optuna.journal").read_text()


def test_a_journal_that_a_full_disk_cut_short_is_made_again(tmp_path: Path) -> None:
    Record(tmp_path, "", "study", "disabled").add(0, trial(3))
    journal = tmp_path / "optuna.journal"
    whole = journal.read_text()
    journal.write_text(whole[:-20] + '{"op_code": 4}\n')
    again = Record(tmp_path, "", "study", "disabled")
    again.add(0, trial(3))
    assert [json.loads(line)["op_code"] for line in journal.read_text().splitlines()] == [
        json.loads(line)["op_code"] for line in whole.splitlines()
    ]


def test_a_storage_that_goes_away_costs_no_run(
    tmp_path: Path, server: postgres.Postgres, capsys: pytest.CaptureFixture[str]
) -> None:
    record = Record(tmp_path, server.url, "away", "disabled")
    server.stop()
    try:
        record.add(0, trial(3))
        record.add(1, trial(4))
    finally:
        server.start()
    said = capsys.readouterr().err
    assert said.count("doesn't record any more: ") == said.count("\n") == 1
    again = Record(tmp_path, server.url, "away", "disabled")
    again.add(0, trial(3))


@pytest.mark.parametrize(
    "url",
    [
        "nonsense",
        "sqlite:////nowhere/at/all.db",
        "postgresql://user:s3cr3t@127.0.0.1:1/database",
        "postgresql://127.0.0.1:1/database?password=s3cr3t",
        "mongodb://user:s3cr3t@127.0.0.1",
    ],
)
def test_a_storage_that_cannot_be_used_is_one_line(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError, match=r"^storage [^\n]* can't be used: [^\n]*$") as error:
        Record(tmp_path, url, "study", "disabled")
    assert "s3cr3t" not in str(error.value)
