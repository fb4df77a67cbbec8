"""What several commands say and take."""

import contextlib
import dataclasses
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from agents import environments
from study.cells import Cell, MistakeError
from study.queueing.cohorts import available_cores, cohorts, machine_memory

if TYPE_CHECKING:
    from study.queueing.team import Team


class CellFailedError(RuntimeError):
    """A cell has ended without an outcome. Its text is one line."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Workforce:
    """Who works: this machine's part of it, and where all who do meet."""

    workers: int = 0
    """processes, of one thread each; 0: as many as cores"""
    memory: float = 0.0
    """GB for all workers together, by which cohorts are sized; 0: three quarters of the machine's"""
    runs_dir: Path = Path("runs")
    """where runs are kept: the ledger"""
    storage: str = ""
    """the queue, for several machines: sqlite:///PATH, postgresql://USER@HOST/DATABASE or grpc://HOST:PORT; by default
    a file in the runs directory"""
    heartbeat: float = 15.0
    """seconds between a worker's signs of life, agreed on by whoever begins a study; silent for four, it is dead"""

    def check(self) -> None:
        """Look at the options. **Raises**: `MistakeError`."""
        if self.workers < 0:
            raise MistakeError(f"--workers must be zero or positive, not {self.workers}")
        if not 0 <= self.memory < float("inf"):
            raise MistakeError(f"--memory must be zero or positive, not {self.memory}")
        if not 0.1 <= self.heartbeat <= 3600:
            raise MistakeError(f"--heartbeat must be between 0.1 and 3600 seconds, not {self.heartbeat}")

    @property
    def processes(self) -> int:
        """How many."""
        return self.workers or available_cores()

    @property
    def memory_bytes(self) -> float:
        """For all of them together."""
        return 1e9 * self.memory or 0.75 * machine_memory()

    def cut(self, cells: list[Cell]) -> list[list[Cell]]:
        """Cells as cohorts for these processes. **Raises**: `MistakeError`, when there is too little memory."""
        return cohorts(cells, self.processes, self.memory_bytes)

    @contextlib.contextmanager
    def gather(self) -> "Iterator[Team]":
        """The team, as long as it works. Only now is anything written, or are W&B and the storage asked."""
        from study.queueing.team import Team

        with Team(self.runs_dir, self.storage, self.processes, self.memory_bytes, self.heartbeat) as team:
            yield team


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
