"""What a worker does: trains a cohort in the driver's run store where it sees that, or in a folder of its own."""

import asyncio
import contextlib
import dataclasses
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil
from distributed import Worker, WorkerPlugin, get_worker

from study.config.run_config import RunConfig
from study.store.adoption import FILES

EVENTS = "study-updates"
"""Dask's topic of progress reports."""
REPORT_SECONDS = 1.0
"""Time between two progress reports of a cohort, at least."""
SECONDS_TO_HAND_BACK = 5.0
"""How long a worker that is to leave waits for its results to be fetched."""

SECONDS_TO_RETIRE = 15.0
"""How long it then waits for the scheduler to let it go."""

Files = dict[str, dict[str, bytes]]
"""The files of runs: by run id, by name."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cohort:
    """Runs to be trained together, and the driver that they are for."""

    configs: Sequence[RunConfig]
    key: str
    """what progress reports call it"""
    runs_dir: str
    """the driver's run store"""
    token: str
    """a file in it, as long as the driver lives: a worker that finds it sees the same run store"""
    wandb_mode: str
    step_timeout: float | None = None
    """seconds that a step of an environment may take before its run has failed"""
    files: Files = dataclasses.field(default_factory=dict)
    """what interrupted runs left, for a worker that doesn't see the run store"""


def train(cohort: Cohort) -> Files:
    """Train a cohort, on a Dask worker.

    Args:
        cohort: The cohort.

    Returns:
        The files of its runs, also of runs that were interrupted because the worker leaves; none where the worker
        wrote them to the driver's run store.
    """
    worker = get_worker()
    leaving = _leaving(worker)
    report = _once_a_second(lambda updates: worker.log_event(EVENTS, (cohort.key, updates)))
    with leaving.busy():
        if _sees_store(cohort):
            _train(cohort, Path(cohort.runs_dir), report, lambda: leaving.is_leaving() or not _sees_store(cohort))
            return {}
        with tempfile.TemporaryDirectory(dir=worker.local_directory) as folder:
            _write_files(Path(folder), cohort.files)
            # What W&B keeps offline would be lost with the folder: the driver has all of it.
            mode = "online" if cohort.wandb_mode == "online" else "disabled"
            _train(dataclasses.replace(cohort, wandb_mode=mode), Path(folder), report, leaving.is_leaving)
            return read_files(Path(folder), cohort.configs)


def _sees_store(cohort: Cohort) -> bool:
    """Return whether the driver's run store is visible, and the driver alive; False for a folder without permission."""
    return os.path.exists(os.path.join(cohort.runs_dir, ".locks", cohort.token))  # noqa: PTH110, PTH118 - Path raises


def _train(cohort: Cohort, runs_dir: Path, report: Callable[[int], None], should_end: Callable[[], bool]) -> None:
    from study.training import cohort as training

    with contextlib.suppress(training.Interrupted):
        training.train(
            cohort.configs, runs_dir, cohort.wandb_mode, report, should_end=should_end, step_timeout=cohort.step_timeout
        )


def _write_files(runs_dir: Path, files: Files) -> None:
    for run_id, of_run in files.items():
        (runs_dir / run_id).mkdir()
        for name, content in of_run.items():
            (runs_dir / run_id / name).write_bytes(content)


def read_files(runs_dir: Path, configs: Sequence[RunConfig]) -> Files:
    """Return what runs have left in a run store."""
    folders = {config.id: runs_dir / config.id for config in configs}
    return {
        run_id: {name: (folder / name).read_bytes() for name in FILES if (folder / name).is_file()}
        for run_id, folder in folders.items()
        if (folder / "config.json").is_file()
    }


async def end_cohorts(dask_worker: Worker) -> None:
    """Have a worker end what it trains at the next update, and wait for that."""
    await _leaving(dask_worker).teardown(dask_worker)


def _leaving(worker: Worker) -> "Leaving":
    plugin = worker.plugins[Leaving.name]
    assert isinstance(plugin, Leaving)
    return plugin


def _once_a_second(report: Callable[[int], None]) -> Callable[[int], None]:
    """Return a function that adds up numbers of updates and reports the sum: a message costs more than an update."""
    made, reported_at = 0, time.monotonic()

    def gather(updates: int) -> None:
        nonlocal made, reported_at
        made += updates
        if time.monotonic() - reported_at >= REPORT_SECONDS:
            reported_at = time.monotonic()
            report(made)

    return gather


def _seconds_to_train(lifetime: float) -> float:
    """Return after how many seconds a worker of this lifetime leaves: a minute before, since Dask ends it then."""
    return max(lifetime - 60, lifetime / 2)


class Leaving(WorkerPlugin):
    """Has a worker that is asked to leave end its cohort at the next update, with checkpoints, and hand it back.

    It is asked by SIGTERM, by its nanny, by the cluster's closing, or shortly before its `--lifetime` ends.
    """

    name = "leaving"
    idempotent = True

    def setup(self, worker: Worker) -> None:
        """Register for signals and, where the worker's lifetime is bounded, with the clock."""
        self._worker = worker
        self._asked = threading.Event()
        self._busy = 0
        self._loop = asyncio.get_running_loop()
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._on_signal)
            # Ctrl-C reaches all processes of a terminal: a nanny, or the driver, then tells its workers.
            signal.signal(signal.SIGINT, signal.SIG_IGN if worker.nanny else self._on_signal)
        if worker.lifetime:
            age = time.time() - psutil.Process().create_time()  # this plugin came with the first driver
            self._loop.call_later(
                max(0, _seconds_to_train(worker.lifetime) - age), self._leave, worker.lifetime_restart
            )

    async def teardown(self, worker: Worker) -> None:
        """Wait until what is being trained has its checkpoint, and is handed back."""
        self._asked.set()
        while self._busy:
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.1)  # a result comes from its thread
        deadline = time.monotonic() + SECONDS_TO_HAND_BACK
        while any(worker.data.values()) and time.monotonic() < deadline:  # files, that wait to be fetched
            await asyncio.sleep(0.02)

    def is_leaving(self) -> bool:
        """Return whether training is to end at the next update."""
        return self._asked.is_set()

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """Keep the worker from leaving while `with` lasts."""
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1

    def _on_signal(self, *_: object) -> None:
        has_successor = bool(self._worker.nanny)
        self._loop.call_soon_threadsafe(self._leave, has_successor)

    def _leave(self, has_successor: bool) -> None:
        self._task = self._loop.create_task(self._close(has_successor))

    async def _close(self, has_successor: bool) -> None:
        await self.teardown(self._worker)
        reason = "asked to leave"
        try:
            leave = self._worker.close_gracefully(restart=has_successor, reason=reason)
            await asyncio.wait_for(leave, SECONDS_TO_RETIRE)
        except TimeoutError:  # the scheduler looks for another worker for its results: all may be leaving
            await self._worker.close(nanny=not has_successor, reason=reason)
