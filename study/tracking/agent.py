"""What `wandb agent` asks for: every cell of a call becomes a W&B run of its sweep, and none is paid for twice."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from study import training
from study.cells import Cell
from study.ledger import Ledger
from study.tracking import elsewhere
from study.tracking.runs import Tracker, settle_assigned_run


def carry_out(cells: Sequence[Cell], runs_dir: Path, mode: str, step_timeout: float | None = None) -> dict[str, str]:
    """Train the cells, or, of what has ended here or in W&B, have the sweep's runs repeat it.

    **Arguments**: `step_timeout`, as of `training.train`.

    **Returns**: by cell, who else is training it.
    """
    ledger = Ledger(runs_dir)
    waiting = ledger.waiting(cells)
    sources = elsewhere.copy_finished(waiting, ledger) if waiting and mode == "online" else {}
    tracker = Tracker(runs_dir, mode)
    for cell in cells:
        outcome = ledger.outcome(cell)
        if outcome is None:
            continue
        with tracker.begin(cell, ledger.path(cell)) as run:
            for update in ledger.updates(cell):
                run.log(update)
            run.finish(outcome, copied_from=sources.get(cell.id, "the ledger"))
    waiting = ledger.waiting(cells)
    left = training.train(waiting, runs_dir, tracker.mode, step_timeout=step_timeout) if waiting else {}
    here = {cell.id: "another process of this machine" for cell in ledger.waiting(cells) if cell.id not in left}
    if here:
        settle_assigned_run({"status": "elsewhere", "same_as": "another process of this machine"}, runs_dir)
    return left | here


def say_how_agents_give_up() -> None:
    """An agent stops for good after a few failures in its first minute, and says so nowhere."""
    wanted = {"WANDB_AGENT_DISABLE_FLAPPING": "true", "WANDB_AGENT_MAX_INITIAL_FAILURES": "1000000"}
    missing = [f"{name}={value}" for name, value in wanted.items() if name not in os.environ]
    if missing:
        print(
            "An agent gives up after 3 failures in its first minute, or 5 at its start, and its sweep's other cells "
            f"wait: {' '.join(missing)} wandb agent ... goes on.",
            file=sys.stderr,
        )
