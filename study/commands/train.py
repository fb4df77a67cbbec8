"""`study train`."""

import dataclasses
from pathlib import Path
from typing import Annotated

from tyro.conf import FlagConversionOff, arg

from study.cells import Cell, MistakeError, require_trainable
from study.commands.shared import CellFailedError, say_what_starts_over


@dataclasses.dataclass(frozen=True, kw_only=True)
class Train:
    """Train one cell. A sweep's agents call this, and so can you."""

    cell: FlagConversionOff[Annotated[Cell, arg(name="")]]  # `--anneal_lr=True`, as an agent says it
    runs_dir: Path = Path("runs")
    """where runs are kept: the ledger"""

    def run(self) -> None:
        """Train, unless it has been done."""
        require_trainable([self.cell])
        from study import tracking, training
        from study.ledger import Ledger

        ledger = Ledger(self.runs_dir)
        before = ledger.outcome(self.cell)
        if before is None:
            say_what_starts_over([self.cell])
            training.train([self.cell], self.runs_dir, tracking.choose_mode(self.runs_dir))
        outcome = ledger.outcome(self.cell)
        if outcome is None:
            raise MistakeError(f"cell {self.cell.id} is being trained by another process")
        if outcome["status"] == "failed":
            raise CellFailedError(f"{ledger.path(self.cell)} failed: {outcome['error']}")
        figures = ", ".join(f"{name} {outcome[name]:.6g}" for name in ("final_return", "eval_return", "final_std"))
        print(f"{ledger.path(self.cell)} {'had finished before' if before else 'finished'}: {figures}")
