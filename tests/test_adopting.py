"""What runs have left elsewhere is taken over whole, or not at all, whatever happens meanwhile."""

import contextlib
import errno
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from study.cells import Cell, make_cell
from study.files import DRAFT, UnwritableError
from study.ledger import FILES, Ledger
from study.training import train
from tests.conftest import SMALL
from tests.sweeps import endings

MakeCell = Callable[..., Cell]
Files = dict[str, bytes]


class KilledError(BaseException):
    """As if by `kill -9`."""


def left_in(runs_dir: Path, cell: Cell) -> Files:
    folder = runs_dir / cell.id
    return {name: (folder / name).read_bytes() for name in FILES if (folder / name).exists()}


def interrupt(cell: Cell, runs_dir: Path, after: int) -> Files:
    """Train to a checkpoint, and return what that leaves."""
    made: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        train([cell], runs_dir, "disabled", made.append, should_end=lambda: len(made) >= after)
    return left_in(runs_dir, cell)


@pytest.fixture(scope="module")
def cell() -> Cell:
    return make_cell({**SMALL, "total_timesteps": 4096})


@pytest.fixture(scope="module")
def left(cell: Cell, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Files]:
    """What the cell leaves: early and late, and when it has ended."""
    folder = tmp_path_factory.mktemp("left")
    early, late = interrupt(cell, folder / "early", 2), interrupt(cell, folder / "late", 5)
    train([cell], folder / "ended", "disabled")
    ended = left_in(folder / "ended", cell)
    elsewhere = {**late, "cell.json": late["cell.json"].replace(b'"cpu"', b'"CPU"')}
    return {"early": early, "late": late, "ended": ended, "elsewhere": elsewhere}


@pytest.fixture
def runs(tmp_path: Path, cell: Cell, left: dict[str, Files]) -> Path:
    """A run store in which the cell has an early checkpoint."""
    Ledger(tmp_path).adopt(cell, left["early"])
    return tmp_path


def test_the_later_of_two_checkpoints_is_kept(runs: Path, cell: Cell, left: dict[str, Files]) -> None:
    assert not Ledger(runs).adopt(cell, left["early"])
    assert Ledger(runs).adopt(cell, left["late"])
    assert not Ledger(runs).adopt(cell, left["early"])
    assert left_in(runs, cell) == left["late"]
    assert Ledger(runs).adopt(cell, left["ended"])
    assert left_in(runs, cell) == left["ended"]


def test_a_history_shorter_than_its_checkpoint_is_damaged(runs: Path, cell: Cell, left: dict[str, Files]) -> None:
    with pytest.raises(ValueError, match=r"updates\.jsonl is shorter than its checkpoint"):
        Ledger(runs).adopt(cell, {**left["late"], "updates.jsonl": left["early"]["updates.jsonl"]})
    assert left_in(runs, cell) == left["early"]


@contextlib.contextmanager
def failing(monkeypatch: pytest.MonkeyPatch, at: int, error: BaseException, *names: str) -> Iterator[None]:
    """Have such calls to the operating system fail, but for the first `at`."""
    made = 0

    def wrap(call: Callable[..., object]) -> Callable[..., object]:
        def fail(*arguments: object, **options: object) -> object:
            nonlocal made
            made += 1
            if made > at:
                raise error
            return call(*arguments, **options)

        return fail

    with monkeypatch.context() as patch:
        for name in names:
            patch.setattr(os, name, wrap(getattr(os, name)))
        yield


@pytest.mark.parametrize("comes", ["late", "elsewhere", "ended"])
def test_a_kill_while_it_is_taken_over_costs_no_bits(
    runs: Path, cell: Cell, left: dict[str, Files], monkeypatch: pytest.MonkeyPatch, comes: str
) -> None:
    before = runs.parent / "before"
    shutil.copytree(runs, before, dirs_exist_ok=True)
    whole = left["ended"]
    for at in range(20):
        shutil.rmtree(runs / cell.id)
        shutil.copytree(before / cell.id, runs / cell.id)
        is_killed = False
        with failing(monkeypatch, at, KilledError(), "replace", "rename", "unlink"):
            try:
                Ledger(runs).adopt(cell, left[comes])
            except KilledError:
                is_killed = True
        if not is_killed:
            assert at >= 4
            return
        there = left_in(runs, cell)
        if "checkpoint" in there:  # with the very version that wrote it
            pairs = [(of["cell.json"], of.get("checkpoint")) for of in (left["early"], left[comes])]
            assert (there["cell.json"], there["checkpoint"]) in pairs or comes == "ended"
        if "outcome.json" not in there:
            train([cell], runs, "disabled")
        for name in ("cell.json", "updates.jsonl", "policy.pt", "outcome.json"):
            assert left_in(runs, cell)[name] == whole[name]
    pytest.fail("it never came to its end")


def test_a_full_disk_leaves_all_as_it_was(
    runs: Path, cell: Cell, left: dict[str, Files], monkeypatch: pytest.MonkeyPatch
) -> None:
    for at in range(len(left["ended"])):
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with (
            failing(monkeypatch, at, full, "fsync"),
            pytest.raises(UnwritableError, match=r"can't be written: No space left on device"),
        ):
            Ledger(runs).adopt(cell, left["ended"])
        assert left_in(runs, cell) == left["early"]
        assert not any(DRAFT in path.name for path in (runs / cell.id).iterdir())
    assert Ledger(runs).adopt(cell, left["ended"])


CHILD = """
import pathlib, pickle, sys
from study.ledger import Ledger
runs, received = map(pathlib.Path, sys.argv[1:])
print("begins", flush=True)
for cell, files in pickle.loads(received.read_bytes()):
    Ledger(runs).adopt(cell, files)
"""


def test_a_driver_that_is_killed_takes_the_rest_over_later(tmp_path: Path, left: dict[str, Files]) -> None:
    cells = [make_cell({**SMALL, "seed": seed}) for seed in range(200)]
    received, runs, rng, kills = tmp_path / "received", tmp_path / "runs", random.Random(0), 0
    received.write_bytes(pickle.dumps([(cell, left["ended"]) for cell in cells]))
    while True:
        child = subprocess.Popen([sys.executable, "-c", CHILD, runs, received], stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(rng.uniform(0.0, 0.2))
        if kills < 20:
            child.send_signal(signal.SIGKILL)
            kills += 1
        child.communicate()
        for run_id in endings(runs):
            assert left["ended"].items() <= {path.name: path.read_bytes() for path in (runs / run_id).iterdir()}.items()
        if child.returncode == 0:
            break
    assert kills >= 3
    assert endings(runs).keys() == {cell.id for cell in cells}
    assert not any(DRAFT in path.name for path in runs.glob("*/.*"))
