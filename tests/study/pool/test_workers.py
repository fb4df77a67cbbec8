"""What drivers, their engine and workers do, without a cluster."""

import asyncio
import io
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, Self

import psutil
import pytest
from rich.console import Console

from study.config.run_config import RunConfig
from study.errors import ConfigError
from study.pool import driver, engine, worker
from study.pool.driver import Driver
from study.pool.engine import Engine
from study.pool.options import PoolOptions
from study.pool.worker import Cohort, Leaving
from study.store.run_store import RunStore


@pytest.mark.parametrize(
    ("lifetime", "age", "seconds"), [(3300, 0, 3240), (3300, 3000, 240), (3300, 4000, 0), (60, 10, 20)]
)
def test_a_worker_of_any_age_leaves_before_its_lifetime_ends(
    monkeypatch: pytest.MonkeyPatch, lifetime: float, age: float, seconds: float
) -> None:
    began = time.time() - age
    monkeypatch.setattr(psutil.Process, "create_time", lambda _: began)
    delays: list[float] = []

    async def set_up() -> None:
        loop: Any = asyncio.get_running_loop()
        loop.call_later = lambda delay, *_: delays.append(delay)
        plain: Any = SimpleNamespace(lifetime=lifetime, lifetime_restart=False, nanny=None)
        Leaving().setup(plain)

    # Signals belong to the main thread, which is pytest's.
    thread = threading.Thread(target=lambda: asyncio.run(set_up()))
    thread.start()
    thread.join()
    assert delays == [pytest.approx(seconds, abs=5)]


def test_a_run_store_that_may_not_be_looked_into_is_not_seen(
    small: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    cohort = Cohort(configs=[small()], key="a", runs_dir="/home/other/runs", token="driver-a", wandb_mode="disabled")
    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", denied)
        sees = worker._sees_store(cohort)
    assert not sees


class Flapping:
    """A client whose scheduler goes away a few times."""

    failures: ClassVar[list[str]] = []
    made: ClassVar[list[Any]] = []

    def __init__(self, *_: object, **__: object) -> None:
        self.status = "running"
        Flapping.made.append(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        self.status = "closed"

    def _fail(self, at: str) -> None:
        if self.failures and self.failures[0] == at:
            self.failures.pop(0)
            raise OSError(f"{at} failed")

    async def register_plugin(self, _: object) -> None:
        self._fail("register")

    def subscribe_topic(self, *_: object) -> None:
        pass

    async def submit(self, *_: object, **__: object) -> dict[str, Any]:
        if self.failures and self.failures[0] == "submit":
            self.status = "connecting"
        self._fail("submit")
        return {"a": {}}


@pytest.fixture
def flapping(monkeypatch: pytest.MonkeyPatch) -> type[Flapping]:
    monkeypatch.setattr(engine, "Client", Flapping)
    monkeypatch.setattr(engine, "SECONDS_BETWEEN_TRIES", 0.0)
    monkeypatch.setattr(engine, "TRIES_TO_REGISTER", 2)
    monkeypatch.setattr(Flapping, "failures", [])
    monkeypatch.setattr(Flapping, "made", [])
    return Flapping


def test_a_scheduler_that_ends_while_it_is_joined_is_one_line(flapping: type[Flapping]) -> None:
    async def join() -> None:
        async with Engine(PoolOptions(scheduler="tcp://host:1"), lambda *_: None, lambda _: None):
            pytest.fail("it was joined")

    flapping.failures += ["register"] * 2
    with pytest.raises(ConfigError, match="scheduler tcp://host:1 can't be used: register failed"):
        asyncio.run(join())
    assert [client.status for client in flapping.made] == ["closed"]


def test_a_scheduler_that_comes_and_goes_costs_no_cohort(
    small: Callable[..., RunConfig], flapping: type[Flapping]
) -> None:
    said: list[str] = []
    cohort = Cohort(configs=[small()], key="a", runs_dir="runs", token="driver-a", wandb_mode="disabled")

    async def train() -> dict[str, Any]:
        async with Engine(PoolOptions(scheduler="tcp://host:1"), lambda *_: None, said.append) as joined:
            flapping.failures += ["submit", *["register"] * 4, "submit", "register"]
            return await joined.train(cohort)

    assert asyncio.run(train()) == {"a": {}}
    assert said == ["scheduler tcp://host:1 can't be reached: waiting for it"] * 2
    assert {client.status for client in flapping.made} == {"closed"}


def test_what_training_raises_is_no_lost_scheduler(
    small: Callable[..., RunConfig], flapping: type[Flapping], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def submit(*_: object, **__: object) -> None:
        raise OSError("no simulator")

    monkeypatch.setattr(flapping, "submit", submit)
    cohort = Cohort(configs=[small()], key="a", runs_dir="runs", token="driver-a", wandb_mode="disabled")

    async def train() -> None:
        async with Engine(PoolOptions(scheduler="tcp://host:1"), lambda *_: None, lambda _: None) as joined:
            await joined.train(cohort)

    with pytest.raises(OSError, match="no simulator"):
        asyncio.run(train())


class Trains:
    """An engine that has nothing come of its first tries, and then writes outcomes."""

    is_local, dashboard = False, None

    def __init__(self, store: RunStore, tries: int) -> None:
        self.store, self.tries = store, tries
        self.had: list[list[int]] = []
        """the seeds of what it was given"""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def threads(self) -> int:
        return 2

    async def train(self, cohort: Cohort) -> dict[str, Any]:
        self.had.append([config.seed for config in cohort.configs])
        if len(self.had) > self.tries:
            for config in cohort.configs:
                end(self.store, config)
        return {}


def end(store: RunStore, config: RunConfig) -> None:
    entry = store.begin(config, {})
    assert entry is not None
    with entry:
        entry.finish({"status": "finished", "error": None})


async def drive(store: RunStore, configs: list[RunConfig], tries: int = 0) -> tuple[str, list[list[int]]]:
    """Return what a driver says, and the seeds of the cohorts that it hands out."""
    said = io.StringIO()
    options = PoolOptions(scheduler="tcp://host:1", runs_dir=store.runs_dir)
    drives = Driver(store, options, "disabled", Console(file=said, width=200))
    trains = Trains(store, tries)
    drives._engine = trains  # type: ignore[assignment]
    async with drives:
        await drives.train(configs)
    return said.getvalue(), trains.had


def test_what_another_process_trains_is_not_handed_out(
    tmp_path: Path, small: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "SECONDS_HELD", 0.1)
    store, configs = RunStore(tmp_path), [small(seed=seed) for seed in range(2)]

    async def train() -> tuple[str, list[list[int]]]:
        entry = store.begin(configs[0], {})
        assert entry is not None
        driven = asyncio.create_task(drive(store, configs))
        with entry:
            await asyncio.sleep(0.3)
            (entry.path / "checkpoint").touch()
            await asyncio.sleep(0.5)
            (entry.path / "checkpoint").unlink()
        return await driven

    said, had = asyncio.run(train())
    assert sorted(had) == [[0], [1]]
    assert said.count("1 run is being trained by another process: waiting for it") == 1


def test_what_nothing_came_of_is_tried_again_after_a_while(
    tmp_path: Path, small: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "SECONDS_HELD", 0.1)
    began = time.monotonic()
    said, had = asyncio.run(drive(RunStore(tmp_path), [small()], tries=3))
    assert had == [[0]] * 4
    assert time.monotonic() - began >= 0.3
    assert "another process" not in said
