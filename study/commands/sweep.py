"""`study sweep`."""

import contextlib
import dataclasses
from pathlib import Path

from rich.console import Console
from tyro.conf import OmitArgPrefixes, Positional

from study.cells import MistakeError, require_trainable
from study.commands.shared import PoolOptions, say_what_starts_over
from study.shipped import find_sweep
from study.sweepfile import read_cells


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sweep:
    """Train every cell of W&B sweep files. What has ended is skipped, what was cut off goes on."""

    files: Positional[tuple[Path, ...]]
    """sweep files, or names of shipped ones, such as thread"""
    pool: OmitArgPrefixes[PoolOptions] = dataclasses.field(default_factory=PoolOptions)

    def run(self) -> None:
        """Check everything, then train."""
        self.pool.check()
        if not self.files:
            raise MistakeError("no sweep file is given: give files, or names of shipped ones, such as thread")
        sweeps = {path: read_cells(path) for path in map(find_sweep, self.files)}
        cells = list({cell.id: cell for own in sweeps.values() for cell in own}.values())
        require_trainable(cells)
        from study.ledger import Ledger

        ledger = Ledger(self.pool.runs_dir)
        waiting = ledger.waiting(cells)
        waiting_ids = {cell.id for cell in waiting}
        console = Console(stderr=True, soft_wrap=True)
        for path, own in sweeps.items():
            ended = sum(cell.id not in waiting_ids for cell in own)
            console.print(f"{path}: {len(own)} cells, {ended} of them ended before", markup=False)
        if not waiting:
            return
        self.pool.require_memory(waiting)
        say_what_starts_over(waiting)
        try:
            self.pool.run(lambda driver: driver.train(cells))
        finally:
            for cell in cells:
                with contextlib.suppress(MistakeError):  # of one that is damaged, the driver has said so
                    outcome = ledger.outcome(cell)
                    if outcome is not None and outcome["status"] == "failed":
                        console.print(f"failed: {ledger.path(cell)}: {outcome['error']}", markup=False)
