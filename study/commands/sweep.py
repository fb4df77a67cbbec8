"""`study sweep`."""

import dataclasses
from pathlib import Path

from rich.console import Console
from tyro.conf import OmitArgPrefixes, Positional

from study.cells import require_trainable
from study.commands.shared import PoolOptions, say_what_starts_over
from study.sweepfile import read_cells


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sweep:
    """Train every cell of a W&B sweep file. What has ended is skipped, what was cut off goes on."""

    file: Positional[Path]
    """a sweep file, such as sweeps/thread.yaml"""
    pool: OmitArgPrefixes[PoolOptions] = dataclasses.field(default_factory=PoolOptions)

    def run(self) -> None:
        """Check everything, then train."""
        self.pool.check()
        cells = read_cells(self.file)
        require_trainable(cells)
        from study.ledger import Ledger

        ledger = Ledger(self.pool.runs_dir)
        waiting = ledger.waiting(cells)
        console = Console(stderr=True, soft_wrap=True)
        ended = len(cells) - len(waiting)
        console.print(f"{self.file}: {len(cells)} cells, {ended} of them ended before", markup=False)
        if not waiting:
            return
        self.pool.require_memory(waiting)
        say_what_starts_over(waiting)
        try:
            self.pool.run(lambda driver: driver.train(cells))
        finally:
            for cell in cells:
                outcome = ledger.outcome(cell)
                if outcome is not None and outcome["status"] == "failed":
                    console.print(f"failed: {ledger.path(cell)}: {outcome['error']}", markup=False)
