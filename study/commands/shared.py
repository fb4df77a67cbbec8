"""What several commands say and take."""

import asyncio
import dataclasses
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from agents import environments
from study.cells import Cell, MistakeError
from study.memory import available_cores, machine_memory
from study.pool.cohorts import cohorts

if TYPE_CHECKING:
    from study.pool.driver import Driver

T = TypeVar("T")

MEMORY_OF_A_WORKER = 2e9
"""Bytes that a scheduler's worker is taken to have."""
LONGEST_STEP = 86400
"""Seconds: a step of a day is a mistake."""


class CellFailedError(RuntimeError):
    """A cell has ended without an outcome. Its text is one line."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PoolOptions:
    """Where runs are trained, and where they are kept."""

    workers: int = 0
    """processes of this machine, of one thread each; 0: as many as cores"""
    memory: float = 0.0
    """GB for all workers together, by which cohorts are sized; 0: three quarters of this machine's, or, with
    --scheduler, 2 for each worker"""
    cohort: int = 40
    """runs that are trained together, at most: with few, many workers have work; with many, a run is cheaper"""
    runs_dir: Path = Path("runs")
    """where runs are kept: the run store"""
    scheduler: str = ""
    """a Dask scheduler, such as tls://HOST:8786, or the file that it wrote, instead of this machine's processes"""
    tls: Path | None = None
    """a folder with ca.pem, cert.pem and key.pem, for --scheduler"""
    step_timeout: float = 0.0
    """seconds that a step or a reset of an environment may take before its run has failed; 0: any"""

    def check(self) -> None:
        """Look at the options. **Raises**: `MistakeError`."""
        if self.workers < 0:
            raise MistakeError(f"--workers must be zero or positive, not {self.workers}")
        if not 0 <= self.memory < float("inf"):
            raise MistakeError(f"--memory must be zero or positive, not {self.memory}")
        if self.cohort < 1:
            raise MistakeError(f"--cohort must be at least 1, not {self.cohort}")
        check_step_timeout(self.step_timeout)
        if self.scheduler and self.workers:
            raise MistakeError(
                "--workers and --scheduler exclude each other: the scheduler's workers are begun elsewhere"
            )
        if self.tls is not None and not self.scheduler:
            raise MistakeError("--tls goes with --scheduler: this machine's own workers make certificates of their own")

    @property
    def processes(self) -> int:
        """How many, on this machine."""
        return self.workers or available_cores()

    @property
    def memory_each(self) -> float:
        """Bytes for each worker, where they are known before the workers are."""
        if self.scheduler:
            return MEMORY_OF_A_WORKER
        return (1e9 * self.memory or 0.75 * machine_memory()) / self.processes

    def require_memory(self, cells: list[Cell]) -> None:
        """Raise a MistakeError where a worker has too little memory for one of the runs."""
        if self.scheduler and self.memory:
            return  # how much each worker has is known only once they are counted
        workers = 1 if self.scheduler else self.processes
        try:
            cohorts(cells, workers, workers * self.memory_each)
        except MistakeError as error:
            options = "give --memory" if self.scheduler else "give more --memory"
            options = f"take fewer --workers, or {options}" if workers > 1 else options
            raise MistakeError(f"{error}, or {options}") from error

    def run(self, work: Callable[["Driver"], Awaitable[T]]) -> T:
        """Do work that has runs trained. Only now is anything written, or is W&B asked."""
        from rich.console import Console

        from study.ledger import Ledger
        from study.pool.driver import Driver
        from study.tracking import runs as tracking

        wandb_mode = tracking.choose_mode(self.runs_dir)

        async def go() -> T:
            console = Console(stderr=True, soft_wrap=True)
            async with Driver(Ledger(self.runs_dir), self, wandb_mode, console) as driver:
                return await work(driver)

        return _run_until_cancelled(go())


def _run_until_cancelled(work: Coroutine[Any, Any, T]) -> T:
    """Do what `asyncio.run` does, but have SIGTERM and each Ctrl-C cancel the work where it waits.

    An exception anywhere else would come out of the midst of Dask.
    """

    async def go() -> T:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel)
        return await work

    before = signal.getsignal(signal.SIGTERM)
    try:
        return asyncio.run(go())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    finally:
        signal.signal(signal.SIGTERM, before)


def check_step_timeout(seconds: float) -> None:
    """Look at the option. **Raises**: `MistakeError`."""
    if not 0 <= seconds <= LONGEST_STEP:
        raise MistakeError(f"--step-timeout must be between 0 and {LONGEST_STEP} seconds, not {seconds}")


def check_comparison(outcome: str, margin: float | None) -> None:
    """Look at what is to be compared, while no run is there to tell. **Raises**: `MistakeError`."""
    from agents.records import Outcome

    if margin is not None and not 0 < margin < float("inf"):
        raise MistakeError(f"--margin must be positive, not {margin}")
    outcomes = [field.name for field in dataclasses.fields(Outcome)]
    if outcome not in outcomes:
        raise MistakeError(f"--outcome {outcome}: there is no such outcome; choose from {', '.join(outcomes)}")


def say_what_starts_over(cells: Iterable[Cell]) -> None:
    """A word on environments whose interrupted cells can't go on."""
    for env_id in sorted({cell.env_id for cell in cells}):
        if not environments.can_be_put_aside(env_id):
            print(
                f"Nobody knows where {env_id} keeps its state: a cell of it that is interrupted starts over.",
                file=sys.stderr,
            )
