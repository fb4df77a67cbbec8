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

from study.config.run_config import RunConfig, make_config
from study.errors import UnwritableError
from study.store.adoption import FILES
from study.store.files import DRAFT
from study.store.run_store import RunStore
from study.training.cohort import train
from tests.helpers.quick import each
from tests.helpers.small import SMALL
from tests.helpers.sweeps import endings

MakeConfig = Callable[..., RunConfig]
Files = dict[str, bytes]


class KilledError(BaseException):
    """As if by `kill -9`."""


def left_in(runs_dir: Path, config: RunConfig) -> Files:
    folder = runs_dir / config.id
    return {name: (folder / name).read_bytes() for name in FILES if (folder / name).exists()}


def interrupt(config: RunConfig, runs_dir: Path, after: int) -> Files:
    """Train to a checkpoint, and return what that leaves."""
    made: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        train([config], runs_dir, "disabled", made.append, should_end=lambda: len(made) >= after)
    return left_in(runs_dir, config)


@pytest.fixture(scope="module")
def config() -> RunConfig:
    return make_config({**SMALL, "total_timesteps": 4096})


@pytest.fixture(scope="module")
def left(config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Files]:
    """What the run leaves: early and late, and when it has ended."""
    folder = tmp_path_factory.mktemp("left")
    early, late = interrupt(config, folder / "early", 2), interrupt(config, folder / "late", 5)
    train([config], folder / "ended", "disabled")
    ended = left_in(folder / "ended", config)
    elsewhere = {**late, "config.json": late["config.json"].replace(b'"cpu"', b'"CPU"')}
    return {"early": early, "late": late, "ended": ended, "elsewhere": elsewhere}


@pytest.fixture
def runs(tmp_path: Path, config: RunConfig, left: dict[str, Files]) -> Path:
    """A run store in which the run has an early checkpoint."""
    RunStore(tmp_path).adopt(config, left["early"])
    return tmp_path


def test_the_later_of_two_checkpoints_is_kept(runs: Path, config: RunConfig, left: dict[str, Files]) -> None:
    assert not RunStore(runs).adopt(config, left["early"])
    assert RunStore(runs).adopt(config, left["late"])
    assert not RunStore(runs).adopt(config, left["early"])
    assert left_in(runs, config) == left["late"]
    assert RunStore(runs).adopt(config, left["ended"])
    assert left_in(runs, config) == left["ended"]


def test_a_history_shorter_than_its_checkpoint_is_damaged(
    runs: Path, config: RunConfig, left: dict[str, Files]
) -> None:
    with pytest.raises(ValueError, match=r"history\.jsonl is shorter than its checkpoint"):
        RunStore(runs).adopt(config, {**left["late"], "history.jsonl": left["early"]["history.jsonl"]})
    assert left_in(runs, config) == left["early"]


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


@pytest.mark.parametrize("comes", each(["late", "elsewhere", "ended"], every=3))
def test_a_kill_while_it_is_taken_over_costs_no_bits(
    runs: Path, config: RunConfig, left: dict[str, Files], monkeypatch: pytest.MonkeyPatch, comes: str
) -> None:
    before = runs.parent / "before"
    shutil.copytree(runs, before, dirs_exist_ok=True)
    whole = left["ended"]
    for at in range(20):
        shutil.rmtree(runs / config.id)
        shutil.copytree(before / config.id, runs / config.id)
        is_killed = False
        with failing(monkeypatch, at, KilledError(), "replace", "rename", "unlink"):
            try:
                RunStore(runs).adopt(config, left[comes])
            except KilledError:
                is_killed = True
        if not is_killed:
            assert at >= 4
            return
        there = left_in(runs, config)
        if "checkpoint" in there:  # with the very version that wrote it
            pairs = [(of["config.json"], of.get("checkpoint")) for of in (left["early"], left[comes])]
            assert (there["config.json"], there["checkpoint"]) in pairs or comes == "ended"
        if "summary.json" not in there:
            train([config], runs, "disabled")
        for name in ("config.json", "history.jsonl", "policy.pt", "summary.json"):
            assert left_in(runs, config)[name] == whole[name]
    pytest.fail("it never came to its end")


def test_a_full_disk_leaves_all_as_it_was(
    runs: Path, config: RunConfig, left: dict[str, Files], monkeypatch: pytest.MonkeyPatch
) -> None:
    for at in range(len(left["ended"])):
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with (
            failing(monkeypatch, at, full, "fsync"),
            pytest.raises(UnwritableError, match=r"can't be written: No space left on device"),
        ):
            RunStore(runs).adopt(config, left["ended"])
        assert left_in(runs, config) == left["early"]
        assert not any(DRAFT in path.name for path in (runs / config.id).iterdir())
    assert RunStore(runs).adopt(config, left["ended"])


CHILD = """
import pathlib, pickle, sys
from study.store.run_store import RunStore
runs, received = map(pathlib.Path, sys.argv[1:])
print("begins", flush=True)
for run, files in pickle.loads(received.read_bytes()):
    RunStore(runs).adopt(run, files)
"""


@pytest.mark.slow
def test_a_driver_that_is_killed_takes_the_rest_over_later(tmp_path: Path, left: dict[str, Files]) -> None:
    configs = [make_config({**SMALL, "seed": seed}) for seed in range(200)]
    received, runs, rng, kills = tmp_path / "received", tmp_path / "runs", random.Random(0), 0
    received.write_bytes(pickle.dumps([(config, left["ended"]) for config in configs]))
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
    assert endings(runs).keys() == {config.id for config in configs}
    assert not any(DRAFT in path.name for path in runs.glob("*/.*"))
