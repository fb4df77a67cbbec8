"""What a study's trials are for: which are wanted, what is trained for one, and what it is worth."""

import hashlib
from collections.abc import Callable, Generator, Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, Protocol

import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from study.cells import Cell
from study.ledger import Json, Ledger
from study.queueing.queue import Claim, Queue, cells_of

Steps = Generator[list[Cell], None, tuple[float, TrialState]]
"""Yields cells to train, and goes on once they have ended; returns the trial's value and state."""


class Plan(Protocol):
    """A study, as workers see it."""

    queue: Queue

    def extend(self) -> bool:
        """Enqueue what is wanted by now. **Returns**: whether nothing more will ever be."""
        ...

    def steps(self, claim: Claim) -> Steps:
        """What there is to do for a claimed trial."""
        ...


class Sweep:
    """Every cell once: a trial is a cohort, and its value the mean final return."""

    def __init__(self, queue: Queue) -> None:
        self.queue = queue

    @staticmethod
    def describe(file: Path, cells: Sequence[Cell]) -> tuple[str, Json]:
        """The study's name, which is another for other cells, and its plan."""
        digest = hashlib.sha256("".join(sorted(cell.id for cell in cells)).encode()).hexdigest()
        return f"{file.stem}-{digest[:8]}", {"kind": "sweep", "cells": len(cells)}

    def fill(self, cells: Sequence[Cell], cut: Callable[[list[Cell]], list[list[Cell]]]) -> None:
        """Enqueue those of the cells that haven't ended here and that nobody has, as `cut` cuts them."""
        self.queue.fill(self.queue.worker.ledger.waiting(cells), cut)

    def extend(self) -> bool:
        """Nothing more: a sweep is filled once."""
        return True

    def steps(self, claim: Claim) -> Steps:
        """Train the cohort."""
        yield claim.cells
        return mean_outcome(self.queue.worker.ledger, claim.cells, "final_return"), TrialState.COMPLETE


def mean_outcome(ledger: Ledger, cells: Sequence[Cell], outcome: str) -> float:
    """The mean over those cells that have finished; minus infinity if none has."""
    endings = [ending for cell in cells if (ending := ledger.outcome(cell)) is not None]
    values = [ending[outcome] for ending in endings if ending["status"] == "finished"]
    return fmean(values) if values else float("-inf")


def table_of_runs(trials: Iterable[FrozenTrial], outcome: str) -> pd.DataFrame:
    """The runs of finished trials, as `reports.attribution` takes them, from what the storage knows of them."""
    columns = ["run", "status", "error", "condition", "parameterization", "implementation", "seed", "precision"]
    rows: dict[str, list[Any]] = {}  # a cell that was trained again counts as it came out last
    for trial in trials:
        for cell in cells_of(trial):
            ending = trial.user_attrs["outcomes"].get(cell.id) or {"status": "missing", "error": "not in the ledger"}
            rows[cell.id] = [
                cell.id,
                ending["status"],
                ending["error"],
                cell.condition,
                cell.parameterization,
                cell.implementation,
                cell.seed,
                cell.precision,
                cell.replicate,
                ending.get(outcome, float("nan")),
            ]
    runs = pd.DataFrame(list(rows.values()), columns=[*columns, "replicate", outcome])
    return runs.sort_values(["seed", "run"], ignore_index=True)
