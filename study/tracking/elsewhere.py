"""What W&B knows of cells that other machines have trained, or are training: so that none is paid for twice."""

from collections.abc import Iterable, Sequence
from typing import Any

import wandb

from reports.sources.wandb import FILES, download
from study.cells import Cell, MistakeError
from study.errors import in_one_line, warn
from study.ledger import Ledger
from study.tracking.runs import TrackedRun, project

Run = Any
"""`wandb.apis.public.Run`, which has no types."""


def copy_finished(cells: Sequence[Cell], ledger: Ledger) -> dict[str, str]:
    """Copy to the ledger those of the cells that have finished in this W&B project.

    **Returns**: by cell, the run it was copied from.
    """
    by_id = {cell.id: cell for cell in cells}
    copied: dict[str, str] = {}
    for run in _runs_of(cells):
        cell = by_id[run.config["cell_id"]]
        if run.state != "finished" or run.summary.get("status") != "finished" or cell.id in copied:
            continue
        try:
            files = download(run)
        except (OSError, wandb.Error) as error:
            warn(f"Run {run.id} has trained this cell, and can't be read: {in_one_line(error)}")
            continue
        try:
            is_copied = files.keys() >= set(FILES) and ledger.adopt(cell, files)
        except MistakeError as error:
            warn(f"Run {run.id} has trained this cell, and can't be read: {in_one_line(error)}")
            continue
        if is_copied:
            copied[cell.id] = run.id
            print(f"{ledger.path(cell)} is copied from run {run.id}, which has trained this cell")
    return copied


def rivals(runs: Iterable[TrackedRun]) -> dict[str, str]:
    """Those of the runs whose cells other runs are training that claimed them before.

    A run says so in its config, before it looks for others: of two, at least one sees the other, and both tell alike
    which was first, if their clocks agree to a second or so. Where they don't, both train it, to the same bits.

    **Returns**: by cell, the other's id.
    """
    ours = {run.cell.id: run for run in runs}
    claims = {cell: (run.claimed, run.id) for cell, run in ours.items()}
    found = {}
    for other in _runs_of([run.cell for run in ours.values()]):
        cell = other.config["cell_id"]
        if other.state == "running" and (other.config.get("claimed", 0.0), other.id) < claims[cell]:
            found[cell] = other.id
    return found


def _runs_of(cells: Sequence[Cell]) -> list[Run]:
    """All runs of these cells, oldest first; none, if W&B doesn't say."""
    ids = [cell.id for cell in cells]
    filters = {"config.cell_id": {"$in": ids}}
    try:
        runs = wandb.Api(timeout=30).runs(project(), filters, order="+created_at", lazy=False)
        return [run for run in runs if run.config.get("cell_id") in ids]
    except (OSError, ValueError, wandb.Error) as error:
        warn(f"Whether others have trained these cells can't be told: {in_one_line(error)}")
        return []
