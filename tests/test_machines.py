"""Four workers, a real PostgreSQL, and disasters: every cell once, and the report of a single worker."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from optuna.trial import TrialState

from study.queueing.queue import Queue, Worker, listed
from study.queueing.storages import Storage
from study.sweepfile import read_cells
from tests import postgres
from tests.test_cli import run
from tests.test_workers import histories, write_sweep
from tests.wandb_desk import Desk
from tests.wandb_server import WandbServer


class Machine:
    """A worker with a ledger of its own, as on a machine of its own."""

    def __init__(self, command: list[str], url: str, runs: Path) -> None:
        self.runs = runs
        where = ["--storage", url, "--runs-dir", str(runs), "--workers", "1", "--heartbeat", "1"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "study", *command, *where],
            env={**os.environ, "WANDB_MODE": "disabled"},
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def is_in_the_middle(self) -> bool:
        """Whether a cell of its is being trained, and has made some updates."""
        return any(
            path.stat().st_size > 5_000 and not (path.parent / "outcome.json").exists()
            for path in self.runs.glob("*/updates.jsonl")
        )


def wait_for(what: str, holds: object) -> None:
    assert callable(holds)
    deadline = time.monotonic() + 180
    while not holds():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)


@pytest.mark.slow
def test_two_of_four_killed_and_the_database_restarted_every_cell_is_trained_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = write_sweep(tmp_path, total_timesteps=20_480)
    cells = {cell.id for cell in read_cells(sweep)}
    with postgres.running() as server:
        begin = Machine(["sweep", str(sweep), "--cohort", "2"], server.url, tmp_path / "machine0")
        storage = Storage(server.url)
        wait_for("the study", lambda: len(storage.backend.get_all_studies()) == 1)
        machines = [begin, *(Machine(["work"], server.url, tmp_path / f"machine{n}") for n in range(1, 4))]
        wait_for("two to work", lambda: sum(machine.is_in_the_middle for machine in machines) >= 2)
        killed = [machine for machine in machines if machine.is_in_the_middle][:2]
        for machine in killed:
            machine.process.send_signal(signal.SIGKILL)
        server.stop()
        time.sleep(1)
        server.start()
        for machine in machines:
            _, complaints = machine.process.communicate(timeout=300)
            assert "Traceback" not in complaints
            assert machine.process.returncode == (-signal.SIGKILL if machine in killed else 0), complaints
        study = storage.backend.get_all_studies()[0]
        trials = Queue(storage, study.study_name, Worker(tmp_path)).trials()
        storage.close()
    trained = Counter(name for machine in machines for name in histories(machine.runs))
    assert trained == dict.fromkeys(cells, 1)
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    assert Counter(name for trial in complete for name in listed(trial)) == trained
    assert sum(trial.state == TrialState.FAIL for trial in trials) >= 2
    assert all(trial.state.is_finished() for trial in trials)
    together = tmp_path / "together" / "runs"
    for machine in machines:
        for name in histories(machine.runs):
            shutil.copytree(machine.runs / name, together / name)

    alone = tmp_path / "alone" / "runs"
    single = ["--runs-dir", str(alone), "--workers", "1"]
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert run("sweep", str(sweep), *single, capsys=capsys)[0] == 0
    assert histories(together) == histories(alone)
    reports = []
    for runs in (together, alone):
        monkeypatch.chdir(runs.parent)
        for cost in Path("runs").glob("*/cost.json"):  # processor time is never twice the same
            cost.unlink()
        assert run("report", "runs", capsys=capsys)[0] == 0
        reports.append({path.name: path.read_bytes() for path in Path("runs/report").iterdir()})
    assert reports[0] == reports[1]


@pytest.mark.slow
def test_trials_say_where_their_runs_are_in_wandb(tmp_path: Path) -> None:
    sweep = write_sweep(tmp_path, total_timesteps=512)
    with WandbServer() as server:
        Desk(server, tmp_path).type("study", "sweep", str(sweep), "--workers", "1")
        runs = tmp_path / "runs"
        storage = Storage(f"journal:{runs}/queue.journal")
        (study,) = storage.backend.get_all_studies()
        trials = Queue(storage, study.study_name, Worker(tmp_path / "other")).trials()
        links = {name: link for trial in trials for name, link in trial.user_attrs["wandb"].items()}
        assert links.keys() == {cell.id for cell in read_cells(sweep)}
        assert all(link.endswith(f"/rl-roundoff/runs/{name}") for name, link in links.items())
        assert all(link.startswith(server.url) for link in links.values())
