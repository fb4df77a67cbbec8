"""The driver: which runs are wanted, and the one run store in which all of them come to lie."""

import asyncio
import contextlib
import dataclasses
import hashlib
import traceback
import uuid
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Self

from rich.console import Console

from study.cells import Cell, MistakeError
from study.errors import WorkerError, in_one_line
from study.files import UnwritableError
from study.ledger import Ledger
from study.pool.cohorts import cohorts
from study.pool.engine import Engine, KilledError, LostError
from study.pool.progress import Bar
from study.pool.worker import Cohort, Files, read_files

SECONDS_HELD = 3.0
"""How long to wait for runs that another process is training, before looking again."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Where and how runs are trained: an efficiency, never a result."""

    workers: int
    memory_each: float
    """bytes that a worker has"""
    memory: float | None = None
    """bytes for all workers together, however many there are; by default as many as they have"""
    cohort: int
    """runs of a cohort, at most"""
    wandb_mode: str
    scheduler: str = ""
    tls: Path | None = None
    step_timeout: float | None = None


class Driver:
    """Has runs trained: `async with Driver(...) as driver: await driver.train(cells)`."""

    def __init__(self, ledger: Ledger, options: Options, console: Console) -> None:
        self.ledger = ledger
        self._given_up: dict[str, str] = {}
        """by run id, why"""
        self.options = options
        self._bar = Bar(console)
        self._engine = Engine(options.workers, options.scheduler, options.tls, self._bar.report, self._bar.say)
        self._token = f"driver-{uuid.uuid4().hex}"
        self._threads = 0
        self._in_hand = 0
        self._changed = asyncio.Condition()

    async def __aenter__(self) -> Self:
        self.ledger.prepare()
        await self._engine.__aenter__()
        self._token_file.touch()
        if self._engine.dashboard:
            self._bar.say(f"dashboard: {self._engine.dashboard}")
        await self._count_workers()
        self._counting = asyncio.create_task(self._keep_counting())
        self._bar.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        self._bar.stop()
        self._counting.cancel()
        self._token_file.unlink(missing_ok=True)
        await self._engine.__aexit__(*error)

    @property
    def _token_file(self) -> Path:
        return self.ledger.runs_dir / ".locks" / self._token

    async def train(self, cells: Sequence[Cell]) -> None:
        """Have those of the runs trained that haven't ended, and return once each has ended, or was given up on.

        Raises:
            WorkerError: Runs were given up on. All others have ended.
        """
        waiting = self.ledger.waiting(dict.fromkeys(cells))
        self._bar.want(waiting)
        await asyncio.gather(*(self._have_trained(part) for part in self._cut(waiting)))
        reasons = [self._given_up[cell.id] for cell in waiting if cell.id in self._given_up]
        if reasons:
            number = "1 run has" if len(reasons) == 1 else f"{len(reasons)} runs have"
            raise WorkerError(f"{number} no outcome: {'; '.join(dict.fromkeys(reasons))}")

    def _cut(self, cells: list[Cell]) -> list[list[Cell]]:
        workers = max(self._threads, 1)
        parts = cohorts(cells, workers, self.options.memory or workers * self.options.memory_each)
        size = self.options.cohort
        return [part[start : start + size] for part in parts for start in range(0, len(part), size)]

    async def _have_trained(self, cells: Sequence[Cell], attempt: int = 0) -> None:
        """Hand a cohort out until all of its runs have ended."""
        try:
            while waiting := self.ledger.waiting(cells):
                with contextlib.suppress(LostError):
                    await self._hand_out(waiting, attempt)
                attempt += 1
        except KilledError as error:
            if len(waiting) == 1:
                self._give_up(waiting, str(error))
            else:  # it may be one of its runs that they died of
                middle = len(waiting) // 2
                halves = (waiting[:middle], waiting[middle:])
                await asyncio.gather(*(self._have_trained(half, attempt) for half in halves))
        except Exception as error:
            self._give_up(cells, _reason(error))

    async def _hand_out(self, cells: Sequence[Cell], attempt: int) -> None:
        cohort = self._describe(cells, attempt)
        async with self._slot():
            self._bar.begin(cohort.key)
            try:
                self._keep(cells, await self._engine.train(cohort))
            finally:
                ended = self._statuses(cells)
                self._bar.end(cohort.key, ended)
        if not cohort.files and not ended:
            if attempt == 1:
                self._bar.say(f"{len(cells)} runs are being trained by another process: waiting for it")
            await asyncio.sleep(SECONDS_HELD)

    def _describe(self, cells: Sequence[Cell], attempt: int) -> Cohort:
        ids = "".join(cell.id for cell in cells)
        return Cohort(
            cells=cells,
            key=f"{hashlib.sha256(ids.encode()).hexdigest()[:16]}-{attempt}",
            runs_dir=str(self.ledger.runs_dir.resolve()),
            token=self._token,
            wandb_mode=self.options.wandb_mode,
            step_timeout=self.options.step_timeout,
            files={} if self._engine.is_local else _with_checkpoints(read_files(self.ledger.runs_dir, cells)),
        )

    def _keep(self, cells: Sequence[Cell], files: Files) -> None:
        """Write what came back to the run store."""
        for cell in cells:
            if cell.id in files and (entry := self.ledger.begin(cell, {})) is not None:
                with entry:
                    entry.adopt(files[cell.id])

    def _statuses(self, cells: Sequence[Cell]) -> dict[str, str]:
        outcomes = {cell.id: self.ledger.outcome(cell) for cell in cells}
        return {run_id: outcome["status"] for run_id, outcome in outcomes.items() if outcome is not None}

    def _give_up(self, cells: Sequence[Cell], reason: str) -> None:
        self._given_up |= {cell.id: reason for cell in self.ledger.waiting(cells)}

    @contextlib.asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        """A worker's thread: what waits for one isn't given to a scheduler, which might blame it for a death."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._in_hand < self._threads)
            self._in_hand += 1
        try:
            yield
        finally:
            async with self._changed:
                self._in_hand -= 1
                self._changed.notify_all()

    async def _keep_counting(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            await self._count_workers()

    async def _count_workers(self) -> None:
        with contextlib.suppress(Exception):  # a scheduler that is away
            self._threads = await asyncio.wait_for(self._engine.threads(), timeout=5)
        self._bar.employ(self._threads)
        async with self._changed:
            self._changed.notify_all()


def _with_checkpoints(files: Files) -> Files:
    """Of runs, those that can be resumed."""
    return {run_id: of_run for run_id, of_run in files.items() if "checkpoint" in of_run}


def _reason(error: Exception) -> str:
    """Return one line on what training raised; where it is unexpected, with the place."""
    said = in_one_line(error)
    if isinstance(error, MistakeError | UnwritableError):
        return said
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__}: {said} ({Path(frames[-1].filename).name}, line {frames[-1].lineno})"
