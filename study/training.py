"""Train a cohort of cells, each into its own ledger entry and its own W&B run."""

import dataclasses
import itertools
import math
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from agents.audit import precision_leaks
from agents.cohort import Cohort
from agents.environments import can_be_put_aside
from agents.records import Failure, Outcome, Run
from agents.threads import use_one_thread
from study import provenance
from study.cells import Cell
from study.ledger import Entry, Json, Ledger
from study.tracking import TrackedRun

CHECKPOINT_SECONDS = 60.0
"""Time between two checkpoints of a run, at least: the most that an interruption costs."""


def train(
    cells: Sequence[Cell],
    runs_dir: Path,
    wandb_mode: str,
    on_update: Callable[[int], None] = lambda _: None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> None:
    """Train those of the cells that haven't ended, and that no other process is training, to their end.

    **Arguments**: `cells`, all of one `Cell.cohort_key`; `wandb_mode`, W&B's "online", "offline" or "disabled";
    `on_update`, called with the numbers of updates that runs have made.
    """
    use_one_thread()
    ledger = Ledger(runs_dir)
    facts = {
        **provenance.describe(),
        "leaks_precision": precision_leaks(cells[0].hyperparameters),
        "can_be_put_aside": can_be_put_aside(cells[0].env_id),
    }
    with ExitStack() as stack:
        entries: list[Entry] = [
            stack.enter_context(entry) for cell in cells if (entry := ledger.begin(cell, facts)) is not None
        ]
        if starting_over := sum(entry.starts_over for entry in entries):
            print(
                f"{starting_over} interrupted cells start over: they were begun by another version of this program or "
                "its packages, or on another processor, or their updates.jsonl isn't whole",
                file=sys.stderr,
            )
        # A process may have been killed between the checkpoints of its runs: those of an update go on together.
        for _, alike in itertools.groupby(sorted(entries, key=_updates_made), key=_updates_made):
            _train(list(alike), runs_dir, wandb_mode, on_update, checkpoint_seconds)


def _updates_made(entry: Entry) -> int:
    return len(entry.updates)


def _train(
    entries: Sequence[Entry],
    runs_dir: Path,
    wandb_mode: str,
    on_update: Callable[[int], None],
    checkpoint_seconds: float,
) -> None:
    cells = [entry.cell for entry in entries]
    cohort = Cohort(
        [Run(condition=cell.condition, seed=cell.seed, replicate=cell.replicate) for cell in cells],
        cells[0].hyperparameters,
        cells[0].precision,
    )
    states = [entry.state for entry in entries if entry.state is not None]
    if states:
        cohort.restore(states)
    with ExitStack() as stack:
        tracked = [stack.enter_context(TrackedRun(entry.cell, runs_dir, wandb_mode)) for entry in entries]
        for entry, run in zip(entries, tracked, strict=True):
            for line in entry.updates:
                run.log(line)
        if cohort.update:
            on_update(len(entries) * cohort.update)
        ended: set[int] = set()
        kept_at = time.monotonic()
        for records in cohort.train():
            for place, record in records.items():
                line = vars(record)
                entries[place].append(line)
                tracked[place].log(line)
            for place in cohort.failures.keys() - ended:
                _finish(entries[place], tracked[place], cohort.failures[place])
                ended.add(place)
            on_update(len(records))
            if time.monotonic() - kept_at >= checkpoint_seconds:
                _keep(cohort, entries)
                kept_at = time.monotonic()
        for place, outcome in enumerate(cohort.outcomes()):
            if place not in ended:
                _finish(entries[place], tracked[place], outcome)


def _keep(cohort: Cohort, entries: Sequence[Entry]) -> None:
    for place, entry in enumerate(entries):
        if place not in cohort.failures and (state := cohort.state(place)) is not None:
            entry.keep(state)


def _finish(entry: Entry, run: TrackedRun, outcome: Outcome | Failure) -> None:
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
