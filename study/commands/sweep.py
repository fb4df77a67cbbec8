"""`study sweep`."""

import dataclasses
from pathlib import Path

from rich.console import Console
from tyro.conf import Positional

from study.cells import MistakeError, require_trainable
from study.commands.shared import say_what_starts_over
from study.sweepfile import read_cells
from study.workers import available_cores, cohorts, machine_memory, train_all


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sweep:
    """Train every cell of a W&B sweep file, here. What has ended is skipped, what was cut off goes on."""

    file: Positional[Path]
    """a sweep file, such as sweeps/thread.yaml"""
    workers: int = 0
    """processes, of one thread each; 0: as many as cores"""
    memory: float = 0.0
    """GB for all workers together, by which cohorts are sized; 0: three quarters of the machine's"""
    runs_dir: Path = Path("runs")
    """where runs are kept: the ledger"""

    def run(self) -> None:
        """Check everything, then train."""
        if self.workers < 0:
            raise MistakeError(f"--workers must be zero or positive, not {self.workers}")
        if not 0 <= self.memory < float("inf"):
            raise MistakeError(f"--memory must be zero or positive, not {self.memory}")
        cells = read_cells(self.file)
        require_trainable(cells)
        from study.ledger import Ledger

        ledger = Ledger(self.runs_dir)
        waiting = ledger.waiting(cells)
        console = Console(stderr=True, soft_wrap=True)
        console.print(f"{self.file}: {len(cells)} cells, {len(cells) - len(waiting)} of them ended before")
        if waiting:
            from study import tracking

            workers = self.workers or available_cores()
            cut = cohorts(waiting, workers, 1e9 * self.memory or 0.75 * machine_memory())
            say_what_starts_over(waiting)
            mode = tracking.choose_mode(self.runs_dir)
            ledger.prepare()
            train_all(cut, self.runs_dir, workers, mode, console)
        outcomes = [(cell, ledger.outcome(cell)) for cell in cells]
        for cell, outcome in outcomes:
            if outcome is not None and outcome["status"] == "failed":
                console.print(f"failed: {ledger.path(cell)}: {outcome['error']}")
        elsewhere = sum(outcome is None for _, outcome in outcomes)
        if elsewhere:
            console.print(f"{elsewhere} cells are being trained by another process")
