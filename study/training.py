"""Train a cohort of cells, each into its own ledger entry and its own W&B run."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import torch

from agents.cohort import Cohort
from agents.environments import leaks_precision
from agents.records import Failure, Outcome, Run
from study import provenance
from study.cells import Cell
from study.ledger import Entry, Json, Ledger
from study.tracking import TrackedRun


def train(
    cells: Sequence[Cell], runs_dir: Path, wandb_mode: str, on_update: Callable[[int], None] = lambda _: None
) -> None:
    """Train those of the cells that haven't ended, and that no other process is training, to their end.

    **Arguments**: `cells`, all of one `Cell.cohort_key`; `wandb_mode`, W&B's "online", "offline" or "disabled";
    `on_update`, called after each update with the number of runs it concerned.
    """
    torch.set_num_threads(1)
    ledger = Ledger(runs_dir)
    facts = {**provenance.describe(), "leaks_precision": leaks_precision(cells[0].env_id)}
    with ExitStack() as stack:
        entries: list[Entry] = [
            stack.enter_context(entry) for cell in cells if (entry := ledger.begin(cell, facts)) is not None
        ]
        if entries:
            tracked = [stack.enter_context(TrackedRun(entry.cell, runs_dir, wandb_mode)) for entry in entries]
            _train(entries, tracked, on_update)


def _train(entries: Sequence[Entry], tracked: Sequence[TrackedRun], on_update: Callable[[int], None]) -> None:
    cells = [entry.cell for entry in entries]
    runs = [Run(condition=cell.condition, seed=cell.seed, replicate=cell.replicate) for cell in cells]
    cohort = Cohort(runs, cells[0], cells[0].precision)
    for records in cohort.train():
        for place, record in records.items():
            line = vars(record)
            entries[place].append(line)
            tracked[place].log(line)
        on_update(len(records))
    for entry, run, outcome in zip(entries, tracked, cohort.outcomes(), strict=True):
        summary = summarise(outcome)
        run.finish(summary, entry.path)
        entry.finish(summary)


def summarise(outcome: Outcome | Failure) -> Json:
    """What `outcome.json` says: an outcome that isn't finite is no outcome."""
    if isinstance(outcome, Failure):
        return {"status": "failed", "error": outcome.reason}
    values = dataclasses.asdict(outcome)
    broken = [name for name, value in values.items() if not math.isfinite(value)]
    if broken:
        return {"status": "failed", "error": f"{broken[0]} is {values[broken[0]]}"}
    return {"status": "finished", "error": None, **values}
