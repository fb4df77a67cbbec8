"""The driver: has runs trained by workers, and keeps their files in one run store."""

import asyncio
import contextlib
import hashlib
import itertools
import traceback
import uuid
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import Any, Self

from distributed.scheduler import KilledWorker
from rich.console import Console

from reports.errors import in_one_line
from study.config.run_config import RunConfig
from study.errors import ConfigError, UnwritableError, WorkerError
from study.pool.cohorts import cohorts
from study.pool.engine import Engine
from study.pool.options import PoolOptions
from study.pool.progress import PoolProgress
from study.pool.worker import Cohort, Files, read_files
from study.store.files import writing
from study.store.run_store import RunStore

SECONDS_HELD = 3.0
"""How long to wait before looking again, where nothing came of a try: another process may be training the runs."""
TRIES_BEFORE_SAID = 2
"""How often a run must be another process's: one that was killed may keep its locks for a moment."""


class Driver:
    """Has runs trained: `async with Driver(...) as driver: await driver.train(runs)`.

    Args:
        store: The run store.
        options: Of the pool.
        wandb_mode: W&B's "online", "offline" or "disabled".
        console: Where progress is shown.
    """

    def __init__(self, store: RunStore, options: PoolOptions, wandb_mode: str, console: Console) -> None:
        self.store = store
        self.asked: dict[RunConfig, None] = {}
        """the runs that were to be trained, in the order in which they were asked for"""
        self.wandb_mode = wandb_mode
        self._options = options
        self._given_up: dict[str, str] = {}
        """by run id, why"""
        self._progress = PoolProgress(console)
        self._engine = Engine(options, self._progress.report, self._progress.say)
        self._token = f"driver-{uuid.uuid4().hex}"
        self._threads = 0
        self._in_hand = 0
        self._changed = asyncio.Condition()

    async def __aenter__(self) -> Self:
        self.store.prepare()
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(self._engine)
            token = self.store.runs_dir / ".locks" / self._token
            stack.callback(token.unlink, missing_ok=True)
            with writing(token):
                token.touch()
            if self._engine.dashboard:
                self._progress.say(f"dashboard: {self._engine.dashboard}")
            await self._count_workers()
            stack.callback(asyncio.create_task(self._keep_counting()).cancel)
            stack.enter_context(self._progress)
            self._exits = stack.pop_all()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._exits.__aexit__(*error)

    async def train(self, configs: Sequence[RunConfig]) -> None:
        """Train those of the runs that haven't ended, until each has ended or was given up on.

        Args:
            configs: The runs.

        Raises:
            WorkerError: Runs were given up on. All others have ended.
        """
        self.asked |= dict.fromkeys(configs)
        await asyncio.to_thread(self._give_up_damaged, configs)
        waiting = self._waiting(dict.fromkeys(configs))
        self._progress.update(wanted=waiting)
        workers = max(self._threads, 1)
        memory = 1e9 * self._options.memory or workers * self._options.memory_each
        cut = cohorts(waiting, workers, memory, self._options.cohort)
        await asyncio.gather(*(self._have_trained(cohort) for cohort in cut))
        reasons = [self._given_up[config.id] for config in dict.fromkeys(configs) if config.id in self._given_up]
        if reasons:
            number = "1 run has" if len(reasons) == 1 else f"{len(reasons)} runs have"
            raise WorkerError(f"{number} no outcome: {'; '.join(dict.fromkeys(reasons))}")

    async def _have_trained(self, configs: Sequence[RunConfig]) -> None:
        """Give a cohort to workers until each of its runs has ended, or was given up on."""
        waiting, tries_held = list(configs), 0
        try:
            for attempt in itertools.count():
                waiting = self._waiting(configs)
                if not waiting:
                    return
                held = {config.id for config in self.store.held(waiting)}
                free = [config for config in waiting if config.id not in held]
                if free and await self._hand_out(free, attempt):
                    continue
                tries_held = tries_held + 1 if held else 0
                if tries_held == TRIES_BEFORE_SAID:
                    number = "1 run is" if len(held) == 1 else f"{len(held)} runs are"
                    self._progress.say(f"{number} being trained by another process: waiting for it")
                await asyncio.sleep(SECONDS_HELD)
        except Exception as error:
            if len(waiting) == 1 or isinstance(error, UnwritableError):
                self._give_up(waiting, _reason(error))
            else:  # it may be one of them that the others' training came to nothing for
                await asyncio.gather(*(self._have_trained([config]) for config in waiting))

    async def _hand_out(self, configs: Sequence[RunConfig], attempt: int) -> bool:
        """Give a cohort to a worker, and return whether a run has ended or made updates."""
        async with self._slot():
            cohort = await asyncio.to_thread(self._describe, configs, attempt)
            self._progress.begin(cohort.key, [config.id for config in configs])
            try:
                files = await self._engine.train(cohort)
                is_further = await asyncio.to_thread(self._keep, configs, files)
            finally:
                ended = self._ended(configs)
                self._progress.end(cohort.key, ended)
        return is_further or bool(ended)

    def _describe(self, configs: Sequence[RunConfig], attempt: int) -> Cohort:
        ids = "".join(config.id for config in configs)
        return Cohort(
            configs=configs,
            key=f"{hashlib.sha256(ids.encode()).hexdigest()[:16]}-{attempt}",
            runs_dir=str(self.store.runs_dir.resolve()),
            token=self._token,
            wandb_mode=self.wandb_mode,
            step_timeout=self._options.step_timeout or None,
            files={} if self._engine.is_local else _with_checkpoints(read_files(self.store.runs_dir, configs)),
        )

    def _keep(self, configs: Sequence[RunConfig], files: Files) -> bool:
        """Adopt the files that came back, and return whether a run has made updates."""
        taken = False
        for config in configs:
            if config.id in files:
                try:
                    taken |= self.store.adopt(config, files[config.id])
                except ConfigError as error:
                    self._given_up[config.id] = str(error)
        return taken

    def _ended(self, configs: Iterable[RunConfig]) -> dict[str, str]:
        """Return the statuses of those that have ended, by run id. Those whose outcome is damaged are given up."""
        ended = {}
        for config in configs:
            try:
                outcome = self.store.summary(config)
            except ConfigError as error:
                self._given_up[config.id] = str(error)
            else:
                if outcome is not None:
                    ended[config.id] = outcome["status"]
        return ended

    def _waiting(self, configs: Iterable[RunConfig]) -> list[RunConfig]:
        """Return those that have neither ended nor been given up on."""
        known = list(configs)
        done = self._ended(known).keys() | self._given_up.keys()
        return [config for config in known if config.id not in done]

    def _give_up(self, configs: Iterable[RunConfig], reason: str) -> None:
        self._given_up |= {config.id: reason for config in self._waiting(configs)}

    def _give_up_damaged(self, configs: Iterable[RunConfig]) -> None:
        for config in configs:
            try:
                self.store.waiting([config])
            except ConfigError as error:
                self._given_up[config.id] = str(error)

    @contextlib.asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        """Reserve a worker's thread. Dask isn't given a cohort that waits for one: it might blame it for a death."""
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
        self._progress.update(workers=self._threads)
        async with self._changed:
            self._changed.notify_all()


def _with_checkpoints(files: Files) -> Files:
    """Return the files of those runs that can be resumed."""
    return {run_id: of_run for run_id, of_run in files.items() if "checkpoint" in of_run}


def _reason(error: Exception) -> str:
    """Return one line on what training raised, with the file and line where that is unexpected."""
    if isinstance(error, KilledWorker):
        return f"{error.allowed_failures + 1} workers died over it"
    said = in_one_line(error)
    if isinstance(error, ConfigError | UnwritableError):
        return said
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__}: {said} ({Path(frames[-1].filename).name}, line {frames[-1].lineno})"
