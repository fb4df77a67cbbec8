"""Runs in workers: nothing lost, nothing twice, and the same bits, whatever is killed."""

import contextlib
import os
import random
import re
import resource
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from distributed import Client, Security

from study.config.sweepfile import read_configs
from tests.helpers.misbehaving import DEADLY_SEED
from tests.helpers.sweeps import LONG, Study, children, endings, is_in_the_middle, wait_for, write_sweep

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("STUDY_TEST_KILLS", "15"))
"""An error that one kill in five brings about is found with 96% probability."""


def wait_for_the_end_of(pids: list[int]) -> None:
    wait_for("processes to be gone", lambda: not any(map(psutil.pid_exists, pids)), seconds=30)


def test_a_driver_that_is_ended_resumes_with_the_same_bits(tmp_path: Path, undisturbed: Path) -> None:
    sweep, runs = write_sweep(tmp_path, **LONG), tmp_path / "runs"
    for how, code in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 130)):
        disturbed = Study("sweep", sweep, runs=runs)
        disturbed.wait_until_in_the_middle()
        left = [pid for pid, _ in children(disturbed.process.pid)]
        disturbed.process.send_signal(how)
        returned, said = disturbed.end()
        assert (returned, "Traceback" in said) == (code, False), said
        wait_for_the_end_of(left)
        assert endings(runs).items() <= endings(undisturbed).items()
        assert any(runs.glob("*/checkpoint")) == (how != signal.SIGKILL)
    last = said.splitlines()[-1]
    assert re.search(r"runs have ended, and [1-9]\d* of \d+ updates are kept; the same command continues$", last), last
    assert Study("sweep", sweep, runs=runs).end()[0] == 0
    assert endings(runs) == endings(undisturbed)


def test_what_a_worker_had_that_is_ended_is_trained_by_another(tmp_path: Path, undisturbed: Path) -> None:
    sweep = Study("sweep", write_sweep(tmp_path, **LONG), runs=tmp_path / "runs")
    sweep.wait_until_in_the_middle()
    first, second = sweep.workers()
    os.kill(first, signal.SIGKILL)
    wait_for("another worker", lambda: len(set(sweep.workers()) - {first, second}) == 1)
    os.kill(second, signal.SIGTERM)
    returned, said = sweep.end()
    assert (returned, "Traceback" in said) == (0, False), said
    assert endings(tmp_path / "runs") == endings(undisturbed)


def test_a_worker_that_hangs_is_replaced(tmp_path: Path, undisturbed: Path) -> None:
    sweep = Study("sweep", write_sweep(tmp_path, **LONG), runs=tmp_path / "runs")
    sweep.wait_until_in_the_middle()
    hanging = sweep.workers()[0]
    os.kill(hanging, signal.SIGSTOP)
    returned, said = sweep.end()
    assert (returned, "Traceback" in said) == (0, False), said
    assert not Path(f"/proc/{hanging}").exists()
    assert endings(tmp_path / "runs") == endings(undisturbed)


def test_two_drivers_share_a_run_store(tmp_path: Path, undisturbed: Path) -> None:
    sweep, runs = write_sweep(tmp_path, **LONG), tmp_path / "runs"
    one, other = (Study("sweep", sweep, "--workers", "1", runs=runs) for _ in range(2))
    for study in (one, other):
        returned, said = study.end()
        assert (returned, "Traceback" in said) == (0, False), said
    assert endings(runs) == endings(undisturbed)


def test_a_moved_run_store_is_completed(tmp_path: Path, undisturbed: Path) -> None:
    sweep = write_sweep(tmp_path, **LONG)
    disturbed = Study("sweep", sweep, runs=tmp_path / "runs")
    disturbed.wait_until_in_the_middle()
    disturbed.process.kill()
    disturbed.end()
    moved = tmp_path / "elsewhere" / "moved"
    moved.parent.mkdir()
    shutil.move(tmp_path / "runs", moved)
    shutil.rmtree(next(path.parent for path in moved.glob("*/config.json")))
    assert Study("sweep", sweep, runs=moved).end()[0] == 0
    assert endings(moved) == endings(undisturbed)


def test_a_run_that_kills_its_workers_is_given_up_alone(tmp_path: Path) -> None:
    sweep = write_sweep(
        tmp_path, env_id="tests.helpers.misbehaving:Kills-v0", condition=["normal_std"], seed=list(range(8))
    )
    deadly = {config.id for config in read_configs(sweep) if config.seed == DEADLY_SEED}
    deaths = tmp_path / "deaths"
    for died, workers in ((4 + 4, "2"), (8 + 4, "1")):  # with its cohort, and alone; the same command tries again
        study = Study("sweep", sweep, "--workers", workers, runs=tmp_path / "runs", MISBEHAVING_DEATHS=str(deaths))
        returned, said = study.end()
        assert returned == 1
        assert "1 run has no outcome: 4 workers died over it: " in said
        assert "Traceback" not in said
        assert {config.id for config in read_configs(sweep)} - endings(tmp_path / "runs").keys() == deadly
        assert len(deaths.read_text().splitlines()) == died


def test_a_run_whose_files_are_damaged_meanwhile_costs_no_other(tmp_path: Path) -> None:
    path, runs = write_sweep(tmp_path, **LONG, seed=[0]), tmp_path / "runs"
    sweep = Study("sweep", path, "--cohort", "1", runs=runs)
    sweep.wait_until_in_the_middle()
    in_the_middle = next(updates.parent for updates in runs.glob("*/history.jsonl") if is_in_the_middle(updates))
    (in_the_middle / "checkpoint").write_bytes(b"damaged")
    for pid in sweep.workers():
        os.kill(pid, signal.SIGKILL)
    returned, said = sweep.end()
    assert (returned, "Traceback" in said) == (1, False), said
    assert f"1 run has no outcome: {in_the_middle}/checkpoint is damaged: delete it, and its run starts over" in said
    assert {config.id for config in read_configs(path)} - endings(runs).keys() == {in_the_middle.name}
    assert "another process" not in said


@pytest.mark.parametrize(("seconds", "how"), [(1.5, signal.SIGTERM), (3.5, signal.SIGINT)])
def test_a_driver_that_is_ended_as_it_begins_says_so_in_a_line(
    tmp_path: Path, seconds: float, how: signal.Signals
) -> None:
    study = Study("sweep", write_sweep(tmp_path, total_timesteps=200_000), runs=tmp_path / "runs")
    time.sleep(seconds)
    study.process.send_signal(how)
    returned, said = study.end()
    # Where Python is interrupted in the midst of an import, it ends by the signal, which shells show as 130 too.
    assert returned in (130, -signal.SIGINT)
    assert said.splitlines()[-1].startswith("study: interrupted: ")
    assert not any(word in said for word in ("Traceback", "Error", "never awaited")), said


def test_waiting_for_a_hanging_environment_can_be_ended(tmp_path: Path) -> None:
    sweep = write_sweep(tmp_path, env_id="tests.helpers.misbehaving:Hangs-v0", condition=["normal_std"], seed=[0])
    hangs = tmp_path / "hangs"
    study = Study("sweep", sweep, runs=tmp_path / "runs", MISBEHAVING_DEATHS=str(hangs))
    wait_for("the hundredth step", hangs.exists)
    workers = study.workers()
    study.process.send_signal(signal.SIGINT)
    time.sleep(3)
    assert study.process.poll() is None
    study.process.send_signal(signal.SIGINT)
    began = time.monotonic()
    returned, said = study.end()
    assert time.monotonic() - began < 20
    assert returned == 130
    assert said.count("interrupted: waiting up to 90 s for checkpoints. Ctrl-C again ends at once") == 1
    assert not any(word in said for word in ("Traceback", "Error", "never awaited")), said
    wait_for_the_end_of(workers)


def test_what_a_full_disk_stopped_resumes(tmp_path: Path, undisturbed: Path) -> None:
    sweep, runs = write_sweep(tmp_path, **LONG), tmp_path / "runs"
    limit = 20_000  # no file may become larger, and an update's line doesn't fit any more
    full = Study("sweep", sweep, runs=runs, preexec=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    returned, said = full.end()
    assert returned == 1
    assert "12 runs have no outcome: " in said
    assert "can't be written: File too large" in said
    assert "Traceback" not in said
    assert Study("sweep", sweep, runs=runs).end()[0] == 0
    assert endings(runs) == endings(undisturbed)


def test_only_this_machine_is_listened_to_and_strangers_refused(tmp_path: Path) -> None:
    sweep = Study("sweep", write_sweep(tmp_path, **LONG, seed=[0]), runs=tmp_path / "runs")
    sweep.wait_until_in_the_middle()
    ours = {sweep.process.pid, *sweep.workers()}
    connections: list[Any] = psutil.net_connections("inet")
    listening = [
        (connection.laddr.ip, connection.laddr.port)
        for connection in connections
        if connection.pid in ours and connection.status == psutil.CONN_LISTEN
    ]
    assert {host for host, _ in listening} == {"127.0.0.1"}
    for _, port in listening:
        for scheme, security in (("tcp", None), ("tls", Security.temporary())):
            with pytest.raises((OSError, RuntimeError)):
                Client(f"{scheme}://127.0.0.1:{port}", security=security, timeout=1)
    assert sweep.end()[0] == 0


def test_kills_at_any_moment_lose_nothing(tmp_path: Path) -> None:
    sweep, runs = write_sweep(tmp_path, total_timesteps=4096, seed=list(range(6))), tmp_path / "runs"
    rng, kills, written = random.Random(0), 0, dict[Path, int]()
    while True:
        study = Study("sweep", sweep, "--cohort", "1", runs=runs)
        while study.process.poll() is None:
            time.sleep(rng.uniform(0.0, 2.0))
            for path in runs.glob("*/summary.json"):  # what has ended is never trained again
                assert written.setdefault(path, path.stat().st_mtime_ns) == path.stat().st_mtime_ns
            victims = [study.process.pid] if rng.random() < 0.1 else study.workers()
            for pid in victims if kills < KILLS else []:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    kills += 1
        returned, said = study.end()
        assert "Traceback" not in said, said
        if kills >= KILLS and returned == 0:
            break
        if len(endings(runs)) == 24:  # all done: begin again with less, to be killed more
            for run_id in rng.sample(sorted(endings(runs)), 12):
                written.pop(runs / run_id / "summary.json", None)
                shutil.rmtree(runs / run_id)
    undisturbed = Study("sweep", sweep, runs=tmp_path / "undisturbed")
    assert undisturbed.end()[0] == 0
    assert endings(runs) == endings(undisturbed.runs)
    assert len(endings(runs)) == 24
