"""Cohorts in processes: nothing lost, nothing twice, whatever is killed."""

import io
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from agents.conditions import Condition
from agents.hyperparameters import Precision
from reports.statistics.sequential import Schedule
from study.cells import Cell, MistakeError, make_cell
from study.errors import WorkerError
from study.queueing import workers
from study.queueing.cohorts import COHORT_SIZE, WORKER_BYTES, cohorts, run_bytes
from study.queueing.plans import Sweep as SweepPlan
from study.queueing.team import Team
from study.seeds import Blocks, Seeds
from study.tuning import Search, Tune
from tests.conftest import SMALL

CELLS = [
    make_cell({**SMALL, "condition": condition, "seed": seed, "precision": precision, "gamma": gamma})
    for condition in get_args(Condition)
    for seed in range(3)
    for precision in get_args(Precision)
    for gamma in (0.9, 0.99)
]


@settings(deadline=None)
@given(st.lists(st.sampled_from(CELLS), unique=True, min_size=1), st.integers(1, 8), st.floats(0.01, 1.0))
def test_cohorts_are_all_cells_once_alike_and_within_memory(cells: list[Cell], number: int, spare: float) -> None:
    memory = number * (WORKER_BYTES + run_bytes(CELLS[0]) * 2 + spare * 1e9)
    cut = cohorts(cells, number, memory)
    assert sorted(cell.id for cohort in cut for cell in cohort) == sorted(cell.id for cell in cells)
    for cohort in cut:
        assert 1 <= len(cohort) <= COHORT_SIZE
        assert number * (WORKER_BYTES + len(cohort) * run_bytes(cohort[0])) <= memory
        assert len({cell.cohort_key for cell in cohort}) == 1
        changes = sum(a.condition != b.condition for a, b in itertools.pairwise(cohort))
        assert changes == len({cell.condition for cell in cohort}) - 1


def test_every_worker_has_work() -> None:
    alike = [cell for cell in CELLS if cell.cohort_key == CELLS[0].cohort_key]
    assert len(cohorts(alike, workers=3, memory=1e12)) == 3


def test_too_little_memory_is_said() -> None:
    with pytest.raises(MistakeError, match=r"2 workers need 1\.\d GB of memory .* and have 0\.5 GB"):
        cohorts(CELLS, workers=2, memory=0.5e9)


def work_or_die_in_the_middle_of_a_word(
    cohort: Sequence[Cell], runs: Path, _: float, __: str, reports: Connection
) -> None:
    """A worker whose cohort, of seed 0, makes one update of two, or all of them."""
    reports.send(1)
    if cohort[0].seed == 0:
        os.write(reports.fileno(), b"\0\0")
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.5)
    reports.send(1)
    (runs / "finished").touch()


def test_a_worker_that_dies_while_it_reports_blocks_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_train", work_or_die_in_the_middle_of_a_word)
    alone = [make_cell({**SMALL, "seed": seed}) for seed in (0, 1)]
    console = Console(file=io.StringIO(), width=120)
    with Team(tmp_path, "", processes=2, memory=1e12, heartbeat=15) as team:
        plan = SweepPlan(team.open_queue("two", {"kind": "sweep"}))
        plan.fill(alone, lambda cells: [[cell] for cell in cells])
        with pytest.raises(WorkerError, match=r"1 of the worker processes failed \(exit code -9\)"):
            team.work([plan], console)
    assert (tmp_path / "finished").exists()
    assert "3/4 updates" in console.file.getvalue()  # type: ignore[attr-defined]


def die(*_: Any) -> None:
    """A worker that always does."""
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("kind", ["seeds", "tune"])
def test_a_study_whose_every_trial_fails_ends_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(workers, "_train", die)
    small = [make_cell({**SMALL, "condition": condition}) for condition in ("normal_sqrt", "normal_std")]
    plans: dict[str, tuple[Any, dict[str, Any]]] = {
        "seeds": (
            Seeds,
            Blocks(cells=small, schedule=Schedule(looks=(2,)), outcome="final_return", margin=1.0).describe(),
        ),
        "tune": (
            Tune,
            Search(
                base=small[0],
                space={"gamma": {"type": "float", "low": 0.8, "high": 0.9}},
                trials=2,
                seeds=2,
                sampler_seed=0,
                outcome="final_return",
            ).describe(),
        ),
    }
    make, plan = plans[kind]
    with Team(tmp_path, "", processes=2, memory=1e12, heartbeat=15) as team:
        study = make(team.open_queue(kind, plan))
        with pytest.raises(WorkerError, match="2 of the worker processes failed"):
            team.work([study], Console(file=io.StringIO()))
        assert study.queue.unfinished() == 0


def write_sweep(tmp_path: Path, **changes: Any) -> Path:
    values = {**SMALL, "precision": "float32", **changes}
    axes = {"condition": list(get_args(Condition)), "seed": [0, 1, 2]}
    parameters = {name: {"values": axes[name]} if name in axes else {"value": value} for name, value in values.items()}
    path = tmp_path / "sweep.yaml"
    # JSON is YAML.
    path.write_text(json.dumps({"method": "grid", "program": "x", "parameters": parameters}))
    return path


class Sweep:
    """A sweep in a process of its own."""

    def __init__(self, sweep: Path, runs: Path) -> None:
        command = [sys.executable, "-m", "study", "sweep", str(sweep), "--runs-dir", str(runs), "--workers", "2"]
        self.runs, self.started = runs, time.time()
        self.process = subprocess.Popen(
            command,
            env={**os.environ, "WANDB_MODE": "disabled"},
            stderr=subprocess.PIPE,
            text=True,
            # A test run in the background of a shell would hand down that Ctrl-C is to be ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def wait_until_in_the_middle(self) -> None:
        """Until some run has recorded a few updates since this process began, and none of its cohort has ended."""
        deadline = time.monotonic() + 120
        while not any(
            path.stat().st_mtime > self.started and path.stat().st_size > 20_000
            for path in self.runs.glob("*/updates.jsonl")
        ):
            assert time.monotonic() < deadline, "waited in vain"
            assert self.process.poll() is None, "it ended before it could be caught"
            time.sleep(0.02)

    def end(self) -> tuple[int, str]:
        """Wait for the end. **Returns**: exit code and complaints."""
        _, complaints = self.process.communicate(timeout=300)
        return self.process.returncode, complaints


def histories(runs: Path) -> dict[str, str]:
    """What each finished cell recorded."""
    return {path.parent.name: (path.parent / "updates.jsonl").read_text() for path in runs.glob("*/outcome.json")}


@pytest.mark.slow
def test_a_sweep_killed_in_the_middle_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    sweep, runs = write_sweep(tmp_path, total_timesteps=20_480, update_epochs=4), tmp_path / "runs"
    finished: dict[str, str] = {}
    for how, code in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)):
        disturbed = Sweep(sweep, runs)
        disturbed.wait_until_in_the_middle()
        disturbed.process.send_signal(how)
        returned, complaints = disturbed.end()
        assert returned == code
        assert "Traceback" not in complaints
        assert finished.items() <= histories(runs).items()
        finished = histories(runs)
    assert Sweep(sweep, runs).end()[0] == 0
    undisturbed = Sweep(sweep, tmp_path / "undisturbed")
    assert undisturbed.end()[0] == 0
    assert finished.items() <= histories(runs).items()
    assert len(histories(runs)) == 12
    assert histories(runs) == histories(undisturbed.runs)


@pytest.mark.slow
def test_a_killed_worker_is_said_and_costs_its_own_cells_only(tmp_path: Path) -> None:
    sweep, runs = write_sweep(tmp_path, total_timesteps=20_480), tmp_path / "runs"
    disturbed = Sweep(sweep, runs)
    disturbed.wait_until_in_the_middle()
    listed = subprocess.run(["ps", "-ww", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    children = [line.split(maxsplit=2) for line in listed.splitlines()]
    children_at_work = [
        int(pid) for pid, parent, name in children if int(parent) == disturbed.process.pid and "spawn_" in name
    ]
    os.kill(children_at_work[0], signal.SIGKILL)
    returned, complaints = disturbed.end()
    assert returned == 1
    assert "the same command goes on" in complaints.splitlines()[-1]
    assert len(histories(runs)) == 6
    assert Sweep(sweep, runs).end()[0] == 0
    assert len(histories(runs)) == 12
