"""`study sweep`."""

import dataclasses
from pathlib import Path

from rich.console import Console
from tyro.conf import OmitArgPrefixes, Positional

from study.cells import Cell, MistakeError, require_trainable
from study.commands.shared import Workforce, say_what_starts_over
from study.sweepfile import read_cells


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sweep:
    """Train every cell of a W&B sweep file. What has ended is skipped, what was cut off goes on."""

    file: Positional[Path]
    """a sweep file, such as sweeps/thread.yaml"""
    cohort: int = 40
    """cells of a trial of the queue, at most: with few, many machines have work; with many, a run is cheaper"""
    workforce: OmitArgPrefixes[Workforce] = dataclasses.field(default_factory=Workforce)

    def run(self) -> None:
        """Check everything, then train."""
        self.workforce.check()
        if self.cohort < 1:
            raise MistakeError(f"--cohort must be at least 1, not {self.cohort}")
        cells = read_cells(self.file)
        require_trainable(cells)
        from study.ledger import Ledger

        ledger = Ledger(self.workforce.runs_dir)
        waiting = ledger.waiting(cells)
        console = Console(stderr=True, soft_wrap=True)
        console.print(f"{self.file}: {len(cells)} cells, {len(cells) - len(waiting)} of them ended before")
        if waiting:
            from study.queueing.plans import Sweep as Plan

            self._cut(waiting)
            say_what_starts_over(waiting)
            with self.workforce.gather() as team:
                name, plan = Plan.describe(self.file, cells)
                sweep = Plan(team.open_queue(name, plan))
                sweep.fill(cells, self._cut)
                team.work([sweep], console)
        outcomes = [(cell, ledger.outcome(cell)) for cell in cells]
        for cell, outcome in outcomes:
            if outcome is not None and outcome["status"] == "failed":
                console.print(f"failed: {ledger.path(cell)}: {outcome['error']}")
        elsewhere = sum(outcome is None for _, outcome in outcomes)
        if elsewhere:
            console.print(f"{elsewhere} cells are another process's, or in another machine's ledger")

    def _cut(self, cells: list[Cell]) -> list[list[Cell]]:
        return [
            cohort[start : start + self.cohort]
            for cohort in self.workforce.cut(cells)
            for start in range(0, len(cohort), self.cohort)
        ]
