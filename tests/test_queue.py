"""The queue: whoever dies, and however often work is listed, each cell belongs to one worker at a time."""

import shutil
import socket
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import TrialState

from study.cells import Cell, MistakeError, make_cell
from study.queueing import queue as queues
from study.queueing.queue import MOST_DEATHS, Queue, Worker, cells_of, open_queue
from study.queueing.storages import Storage
from tests import postgres
from tests.conftest import SMALL
from tests.test_cli import run

PLAN = {"kind": "sweep"}
CELLS = [make_cell({**SMALL, "seed": seed}) for seed in range(6)]


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.Postgres]:
    with postgres.running() as server:
        yield server


@pytest.fixture(params=["journal", "sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        server: postgres.Postgres = request.getfixturevalue("server")
        return server.url
    return f"journal:{tmp_path}/queue" if request.param == "journal" else f"sqlite:///{tmp_path}/queue.db"


OPENED: list[Storage] = []


@pytest.fixture(autouse=True)
def closed_storages() -> Iterator[None]:
    yield
    while OPENED:
        OPENED.pop().close()


def join(url: str, runs: Path, name: str = "study", heartbeat: float = 15.0) -> Queue:
    runs.mkdir(exist_ok=True)
    OPENED.append(Storage(url))
    return open_queue(OPENED[-1], name, Worker(runs), PLAN, heartbeat)


def one_by_one(cells: list[Cell]) -> list[list[Cell]]:
    return [[cell] for cell in cells]


def claim_all(url: str, runs: Path, name: str) -> list[str]:
    """What one of several workers gets of a queue."""
    queue = join(url, runs, name)
    return [claim.cells[0].id for claim in iter(queue.claim, None)]


def test_no_trial_is_claimed_twice(url: str, tmp_path: Path) -> None:
    cells = [make_cell({**SMALL, "seed": seed}) for seed in range(40)]
    join(url, tmp_path / "runs", "claims").fill(cells, one_by_one)
    with ThreadPoolExecutor(4) as workers:
        claims = workers.map(claim_all, [url] * 4, [tmp_path / f"runs{n}" for n in range(4)], ["claims"] * 4)
    assert Counter(name for claimed in claims for name in claimed) == {cell.id: 1 for cell in cells}


def test_work_that_is_listed_twice_is_done_once(url: str, tmp_path: Path) -> None:
    first, second = (join(url, tmp_path / name, "twice") for name in ("a", "b"))
    first.add(CELLS[:3])
    second.add(CELLS[2:5])
    claims = [second.claim(), first.claim(), first.claim()]
    assert [[cell.seed for cell in claim.cells] for claim in claims if claim] == [[0, 1, 2], [3, 4]]
    first.add(CELLS[:5])
    assert first.claim() is None
    assert [trial.user_attrs["error"] for trial in first.trials(TrialState.FAIL)] == [
        "its cells belong to earlier trials"
    ]


def test_a_worker_that_is_silent_loses_its_trial_and_learns_it(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent, other = (join(url, tmp_path / name, "silent", heartbeat=0.1) for name in ("a", "b"))
    silent.fill(CELLS[:1], one_by_one)
    lost = silent.claim()
    assert lost is not None
    clock = time.monotonic()
    for seconds in range(2):
        monkeypatch.setattr(time, "monotonic", lambda seconds=seconds: clock + seconds)
        other.beat()
    taken = other.claim()
    assert taken is not None
    assert taken.cells == CELLS[:1]
    assert taken.number > lost.number
    assert silent.beat() == set()
    assert not silent.complete(lost, 1.0, {})
    assert other.complete(taken, 2.0, {})
    assert [trial.value for trial in other.trials(TrialState.COMPLETE)] == [2.0]


def test_on_one_machine_a_dead_worker_is_known_at_once(url: str, tmp_path: Path) -> None:
    dead, other = (join(url, tmp_path / "runs", "dead") for _ in range(2))
    dead.fill(CELLS[:1], one_by_one)
    assert dead.claim()
    other.beat()
    assert other.claim() is None
    dead.worker.leave()
    later = join(url, tmp_path / "runs", "dead")
    later.beat()
    claim = later.claim()
    assert claim is not None
    assert claim.cells == CELLS[:1]


def test_what_kills_its_workers_is_left(tmp_path: Path) -> None:
    url = f"journal:{tmp_path}/queue"
    join(url, tmp_path / "runs").fill(CELLS[:1], one_by_one)
    for _ in range(MOST_DEATHS):
        queue = join(url, tmp_path / "runs")
        queue.beat()
        assert queue.claim()
        queue.worker.leave()
    queue = join(url, tmp_path / "runs")
    queue.beat()
    assert queue.unfinished() == 0
    queue.fill(CELLS[:1], one_by_one)
    assert queue.claim()


def test_a_cell_that_was_deleted_from_our_ledger_is_enqueued_again(tmp_path: Path) -> None:
    queue = join(f"journal:{tmp_path}/queue", tmp_path / "runs")
    queue.fill(CELLS[:1], one_by_one)
    claim = queue.claim()
    assert claim is not None
    with queue.worker.ledger.begin(CELLS[0], {}) as entry:  # type: ignore[union-attr]
        entry.finish({"status": "finished", "error": None})
    assert queue.complete(claim, 0.0, {})
    queue.fill(CELLS[:1], one_by_one)
    assert queue.unfinished() == 0
    shutil.rmtree(queue.worker.ledger.path(CELLS[0]))
    queue.fill(CELLS[:1], one_by_one)
    again = queue.claim()
    assert again is not None
    assert again.cells == CELLS[:1]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from("fcdxb")), max_size=30), st.randoms())
def test_whatever_workers_do_every_cell_is_done_once(deeds: list[tuple[int, str]], random: Any) -> None:
    """Workers fill, claim, are done, die, or give back, in any order; one that lives then does what is left."""
    with tempfile.TemporaryDirectory() as folder:
        play(Path(folder), deeds, random)


def play(runs: Path, deeds: list[tuple[int, str]], random: Any) -> None:
    url = f"journal:{runs}/queue"
    workers = [join(url, runs) for _ in range(3)]
    claims: dict[int, list[Any]] = {0: [], 1: [], 2: []}
    done: Counter[str] = Counter()

    def finish(queue: Queue, claim: Any) -> None:
        if queue.complete(claim, 0.0, {}):
            done.update(cell.id for cell in claim.cells)

    for who, deed in deeds:
        queue = workers[who]
        match deed:
            case "f":
                queue.add(random.sample(CELLS, 2))
            case "c":
                claims[who] += [claim for claim in [queue.claim()] if claim]
            case "d" if claims[who]:
                finish(queue, claims[who].pop())
            case "b" if claims[who]:
                queue.give_up(claims[who].pop(), None)
            case "x":
                queue.worker.leave()
                workers[who], claims[who] = join(url, runs), []
    for queue in workers:
        queue.worker.leave()
    last = join(url, runs)
    for _ in range(2):
        last._beaten = -1e9
        last.beat()
        for claim in iter(last.claim, None):
            finish(last, claim)
        last.fill([cell for cell in CELLS if cell.id not in done], one_by_one)
    assert done == {cell.id: 1 for cell in CELLS}
    assert last.unfinished() == 0


def test_a_restart_of_the_database_is_waited_for(server: postgres.Postgres, tmp_path: Path) -> None:
    queue = join(server.url, tmp_path / "runs", "restart", heartbeat=10)
    queue.fill(CELLS[:1], one_by_one)
    server.stop()
    server.start()
    assert queue.claim()


def test_a_storage_that_stays_away_is_one_line(server: postgres.Postgres, tmp_path: Path) -> None:
    queue = join(server.url, tmp_path / "runs", "away", heartbeat=0.2)
    server.stop()
    try:
        with pytest.raises(
            MistakeError, match=r"has not answered for 0 s: .*refused.* the same command goes on"
        ) as caught:
            queue.claim()
    finally:
        server.start()
    assert "\n" not in str(caught.value)


def test_a_study_with_another_plan_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    storage, worker = Storage(f"journal:{tmp_path}/queue"), Worker(tmp_path)
    open_queue(storage, "tune", worker, {"kind": "tune", "space": {"a": 1}}, 15)
    with pytest.raises(
        MistakeError, match=r"study 'tune' in journal:.* has another space: give this one another --name"
    ):
        open_queue(storage, "tune", worker, {"kind": "tune", "space": {"b": 1}}, 15)
    assert Queue(storage, "tune", worker).plan["space"] == {"a": 1}


def test_cells_of_another_version_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = join(f"journal:{tmp_path}/queue", tmp_path)
    described = queues._describe(CELLS[:1])
    monkeypatch.setattr(queues, "_describe", lambda _: {**described, "cells": {"0" * 16: {}}})
    queue.add(CELLS[:1])
    with pytest.raises(MistakeError, match="trial 0 was enqueued by another version of this program"):
        cells_of(queue.trials()[0])


def unused_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@pytest.mark.parametrize(
    ("storage", "words"),
    [
        ("mysql://host/database", "must be one of journal:PATH"),
        ("nonsense", "must be one of journal:PATH"),
        ("grpc://localhost", "must be grpc://HOST:PORT"),
        ("grpc://127.0.0.1:{port}", "can't be used: GRPC connection timeout"),
        ("postgresql://user:secret@127.0.0.1:{port}/database", "can't be used: connection failed"),
        ("postgresql://127.0.0.1:port/database", "can't be used: "),
        ("sqlite:////nowhere/queue.db", "can't be used: unable to open database file"),
        ("journal:/nowhere/queue", "can't be used: "),
    ],
)
def test_a_storage_that_cannot_be_reached_is_one_line_and_nothing_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, storage: str, words: str
) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    arguments = ["--storage", storage.format(port=unused_port()), "--runs-dir", str(tmp_path / "runs")]
    code, _, err = run("work", *arguments, capsys=capsys)
    assert code == 2
    assert words in err
    assert "secret" not in err
    assert err.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_a_storage_without_studies_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run("work", "--storage", f"sqlite:///{tmp_path}/q.db", "--runs-dir", str(tmp_path), capsys=capsys)
    assert code == 2
    assert "has no study: `study sweep`, `tune` and `seeds` begin them" in err


def test_a_damaged_journal_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "queue.journal").write_text("half a li\n{}\n")
    code, _, err = run("work", "--runs-dir", str(tmp_path), capsys=capsys)
    assert code == 2
    assert "queue.journal can't be used: " in err
