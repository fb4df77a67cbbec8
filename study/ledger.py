"""The ledger: `RUNS/CELL_ID/` with `cell.json`, `updates.jsonl` and, once a run has ended, `outcome.json`.

`outcome.json` is written last and at once, so a cell has ended if and only if it is there. A cell that was cut off goes
on from its `checkpoint`, if it left one; whatever else it left is written anew.
"""

import dataclasses
import json
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

from filelock import FileLock, Timeout

from agents.envstate import State
from study import checkpoints
from study.cells import Cell, MistakeError
from study.files import remove_drafts, write_atomically

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

    def waiting(self, cells: Iterable[Cell]) -> list[Cell]:
        """Those of the cells that haven't ended.

        **Raises**: `MistakeError`, when what one of them left is damaged.
        """
        waiting = [cell for cell in cells if self.outcome(cell) is None]
        for cell in waiting:
            checkpoints.read(self.path(cell) / "checkpoint")
        return waiting

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
    """A cell being trained. Closing it without `finish` leaves a cell that hasn't ended.

    It begins anew, or where its checkpoint was made, if that was under the very same circumstances: another version or
    another processor would compute other bits.
    """

    def __init__(self, path: Path, cell: Cell, provenance: Mapping[str, Any], lock: FileLock) -> None:
        self.path = path
        self.cell = cell
        self.state: State | None = None
        """what the run goes on from"""
        self.updates: list[Json] = []
        """what its updates up to there were"""
        self._lock = lock
        factors = {"parameterization": cell.parameterization, "implementation": cell.implementation}
        description = {"id": cell.id, **dataclasses.asdict(cell), **factors, "provenance": dict(provenance)}
        self._begin((dump(description, indent=2) + "\n").encode())

    def _begin(self, description: bytes) -> None:
        self.path.mkdir(exist_ok=True)
        remove_drafts(self.path)
        kept: list[str] = []
        if _content(self.path / "cell.json") == description:
            self.state = checkpoints.read(self._checkpoint)
        if self.state is not None:
            kept = _content(self._history).decode().splitlines(keepends=True)[: self.state["update"]]
            if len(kept) < self.state["update"]:
                self.state, kept = None, []
        if self.state is None:
            self._checkpoint.unlink(missing_ok=True)
        write_atomically(self.path / "cell.json", description)
        write_atomically(self._history, "".join(kept).encode())
        self.updates = [json.loads(line) for line in kept]
        self._file = self._history.open("a", encoding="utf-8")

    @property
    def _checkpoint(self) -> Path:
        return self.path / "checkpoint"

    @property
    def _history(self) -> Path:
        return self.path / "updates.jsonl"

    def append(self, record: Mapping[str, Any]) -> None:
        """Add an update's line, on disk for whoever reads along."""
        self._file.write(dump(record) + "\n")
        self._file.flush()

    def keep(self, state: State) -> None:
        """Write a checkpoint."""
        checkpoints.write(self._checkpoint, state)

    def finish(self, outcome: Mapping[str, Any]) -> None:
        """Say how the run ended: the last thing that is written."""
        os.fsync(self._file.fileno())
        write_atomically(self.path / "outcome.json", (dump(outcome, indent=2) + "\n").encode())
        self._checkpoint.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._lock.release()


def _content(path: Path) -> bytes:
    """What a file says; nothing, if it isn't there."""
    return path.read_bytes() if path.exists() else b""


def dump(values: Mapping[str, Any], indent: int | None = None) -> str:
    """JSON, with floats at full precision; what isn't finite is null, as JSON has no word for it."""
    finite = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in values.items()
    }
    return json.dumps(finite, indent=indent, allow_nan=False)
