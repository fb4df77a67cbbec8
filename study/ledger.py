"""The ledger: `RUNS/CELL_ID/` with `cell.json`, `updates.jsonl` and, once a run has ended, `outcome.json`.

`outcome.json` is written last and at once, so a cell has ended if and only if it is there. Whatever else a killed run
left is written anew when its cell is trained again.
"""

import dataclasses
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from filelock import FileLock, Timeout

from study.cells import Cell, MistakeError

Json = dict[str, Any]


class Ledger:
    """A runs directory."""

    def __init__(self, runs_dir: Path) -> None:
        self.runs_dir = runs_dir

    def path(self, cell: Cell) -> Path:
        """The cell's folder, there or not."""
        return self.runs_dir / cell.id

    def outcome(self, cell: Cell) -> Json | None:
        """What `outcome.json` says; None for a cell that hasn't ended. **Raises**: `MistakeError` if it is damaged."""
        path = self.path(cell) / "outcome.json"
        try:
            outcome = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValueError:
            outcome = None
        if not isinstance(outcome, dict) or outcome.get("status") not in ("finished", "failed"):
            raise MistakeError(f"{path} is damaged: delete its folder, and the cell is trained again")
        return outcome

    def begin(self, cell: Cell, provenance: Mapping[str, Any]) -> "Entry | None":
        """Take the cell, for this process alone. None if it has ended, or another process is training it."""
        self.runs_dir.mkdir(parents=True, exist_ok=True)
        locks = self.runs_dir / ".locks"
        locks.mkdir(exist_ok=True)
        lock = FileLock(locks / cell.id)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return None
        if self.outcome(cell) is not None:
            lock.release()
            return None
        return Entry(self.path(cell), cell, provenance, lock)


class Entry:
    """A cell being trained. Closing it without `finish` leaves a cell that hasn't ended."""

    def __init__(self, path: Path, cell: Cell, provenance: Mapping[str, Any], lock: FileLock) -> None:
        self.path = path
        self.cell = cell
        self._lock = lock
        path.mkdir(exist_ok=True)
        factors = {"parameterization": cell.parameterization, "implementation": cell.implementation}
        description = {"id": cell.id, **dataclasses.asdict(cell), **factors, "provenance": dict(provenance)}
        write_atomically(path / "cell.json", dump(description, indent=2) + "\n")
        self._updates = (path / "updates.jsonl").open("w", encoding="utf-8")

    def append(self, record: Mapping[str, Any]) -> None:
        """Add an update's line, on disk for whoever reads along."""
        self._updates.write(dump(record) + "\n")
        self._updates.flush()

    def finish(self, outcome: Mapping[str, Any]) -> None:
        """Say how the run ended: the last thing that is written."""
        os.fsync(self._updates.fileno())
        write_atomically(self.path / "outcome.json", dump(outcome, indent=2) + "\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._updates.close()
        self._lock.release()


def dump(values: Mapping[str, Any], indent: int | None = None) -> str:
    """JSON, with floats at full precision; what isn't finite is null, as JSON has no word for it."""
    finite = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in values.items()
    }
    return json.dumps(finite, indent=indent, allow_nan=False)


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that at any moment either the old or the new one is there, whole."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with draft.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
