"""The ledger: `RUNS/CELL_ID/` with `cell.json`, `updates.jsonl` and, once a run has ended, `outcome.json`.

`outcome.json` is written last and at once, so a cell has ended if and only if it is there. A cell that was cut off goes
on from its `checkpoint`, if it left one; whatever else it left is written anew. These three files say the same whenever
a cell is trained. `policy.pt` is what a finished run has learned, and `cost.json` the processor time of one that wasn't
interrupted.
"""

import contextlib
import dataclasses
import json
import math
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from filelock import FileLock, Timeout

from study.cells import Cell, MistakeError
from study.files import drafts, read_if_there, remove_drafts, write_atomically, writing

if TYPE_CHECKING:  # a driver reads and writes run stores without torch
    from agents.cohort.state import RunState
    from agents.saved import Learned

Json = dict[str, Any]

FILES = ("cell.json", "updates.jsonl", "checkpoint", "policy.pt", "cost.json", "outcome.json")
"""What a cell may leave in its folder, in the order in which it is taken over from another machine's ledger."""


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
        content = read_if_there(path)
        if content is None:
            return None
        try:
            return _outcome(content)
        except (ValueError, RecursionError) as error:
            raise MistakeError(f"{path} is damaged: delete its folder, and the cell is trained again") from error

    def updates(self, cell: Cell) -> list[Json]:
        """What a cell that has ended recorded. **Raises**: `MistakeError`, if that can't be read or is damaged."""
        path = self.path(cell) / "updates.jsonl"
        content = read_if_there(path)
        try:
            if content is None:
                raise ValueError("it isn't there")
            return _objects(content.splitlines())
        except (ValueError, RecursionError) as error:
            raise MistakeError(f"{path} is damaged: delete its folder, and the cell is trained again") from error

    def waiting(self, cells: Iterable[Cell]) -> list[Cell]:
        """Those of the cells that haven't ended.

        **Raises**: `MistakeError`, when what one of them left is damaged.
        """
        waiting = [cell for cell in cells if self.outcome(cell) is None]
        for cell in waiting:
            _left_by_interruption(self.path(cell))
        return waiting

    def prepare(self) -> None:
        """Make the directory, if it isn't there. **Raises**: `MistakeError`, when it can hold no runs."""
        try:
            self._locks.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=self._locks).close()
        except OSError as error:
            raise MistakeError(
                f"{self.runs_dir} can hold no runs: {error.strerror}. Mend that, or choose another --runs-dir"
            ) from error

    def begin(self, cell: Cell, provenance: Mapping[str, Any]) -> "Entry | None":
        """Take the cell, for this process alone. None if it has ended, or another process is training it.

        **Raises**: `MistakeError`, when the directory can hold no runs, or what the cell left is damaged;
        `UnwritableError`.
        """
        with contextlib.ExitStack() as stack:
            lock = self._take(cell)
            if lock is None:
                return None
            stack.callback(lock.release)
            if self.outcome(cell) is not None:
                return None
            entry = Entry(self.path(cell), cell, provenance, lock)
            stack.pop_all()
            return entry

    def adopt(self, cell: Cell, files: Mapping[str, bytes]) -> bool:
        """Take over what a run has left in another run store.

        Args:
            cell: The run.
            files: What its folder has, by name. Names that no run store has are left out.

        Returns:
            Whether it was: not if the run has ended here, has a checkpoint here that is as new, or is being trained.

        Raises:
            MistakeError: What it has left is damaged.
            UnwritableError: There is no room for it. What was here is as it was.
        """
        known = {name: files[name] for name in FILES if name in files}
        update = _update_of(cell, known)
        lock = self._take(cell)
        if lock is None:
            return False
        try:
            return self.outcome(cell) is None and _adopt(self.path(cell), known, update)
        finally:
            lock.release()

    def held(self, cells: Iterable[Cell]) -> list[Cell]:
        """Those of the cells that another process is training, or takes over."""

        def is_held(cell: Cell) -> bool:
            path = self._locks / cell.id
            try:
                if path.exists():
                    FileLock(path).acquire(blocking=False).lock.release()
            except Timeout:
                return True
            return False

        return [cell for cell in cells if is_held(cell)]

    def _take(self, cell: Cell) -> FileLock | None:
        """A cell's lock, for this process alone; None, if another has it."""
        self.prepare()
        lock = FileLock(self._locks / cell.id)
        with writing(self._locks / cell.id):
            try:
                lock.acquire(blocking=False)
            except Timeout:
                return None
        return lock

    @property
    def _locks(self) -> Path:
        return self.runs_dir / ".locks"


class Entry:
    """A cell being trained. Closing it without `finish` leaves a cell that hasn't ended.

    It begins anew, or where its checkpoint was made, if that was under the very same circumstances: another version or
    another processor would compute other bits.
    """

    def __init__(self, path: Path, cell: Cell, provenance: Mapping[str, Any], lock: FileLock) -> None:
        self.path = path
        self.cell = cell
        self.state: RunState | None = None
        """what the run goes on from"""
        self.updates: list[Json] = []
        """what its updates up to there were"""
        self.starts_over = False
        """whether it has a checkpoint from which it can't go on"""
        self._lock = lock
        factors = {"parameterization": cell.parameterization, "implementation": cell.implementation}
        description = {"id": cell.id, **dataclasses.asdict(cell), **factors, "provenance": dict(provenance)}
        self._begin((dump(description, indent=2) + "\n").encode())

    def _begin(self, description: bytes) -> None:
        if read_if_there(self.path / "cell.json") == description:
            self.state, self.updates = _left_by_interruption(self.path)
        if self.state is not None:
            from study import checkpoints

            checkpoints.require_fit(self._checkpoint, self.state, self.cell)
        self.starts_over = self.state is None and self._checkpoint.exists()
        with writing(self.path):
            self.path.mkdir(exist_ok=True)
            remove_drafts(self.path)
            if self.state is None:
                self._checkpoint.unlink(missing_ok=True)
        write_atomically(self.path / "cell.json", description)
        write_atomically(self._history, "".join(dump(line) + "\n" for line in self.updates).encode())
        with writing(self._history):
            self._file = self._history.open("a", encoding="utf-8")

    @property
    def _checkpoint(self) -> Path:
        return self.path / "checkpoint"

    @property
    def _history(self) -> Path:
        return self.path / "updates.jsonl"

    def append(self, record: Mapping[str, Any]) -> None:
        """Add an update's line, on disk for whoever reads along."""
        with writing(self._history):
            self._file.write(dump(record) + "\n")
            self._file.flush()

    def keep(self, state: "RunState") -> None:
        """Write a checkpoint."""
        from study import checkpoints

        checkpoints.write(self._checkpoint, state)

    def note_cost(self, core_seconds: float) -> None:
        """Say what the run took: its share of its cohort's processor time."""
        write_atomically(self.path / "cost.json", (dump({"core_seconds": core_seconds}) + "\n").encode())

    def keep_policy(self, learned: "Learned") -> None:
        """Write what the run has learned."""
        from agents.saved import dump_policy

        cell = self.cell
        content = dump_policy(learned, cell.condition, cell.precision, cell.hyperparameters)
        write_atomically(self.path / "policy.pt", content)

    def finish(self, outcome: Mapping[str, Any]) -> None:
        """Say how the run ended: the last thing that is written."""
        with writing(self._history):
            os.fsync(self._file.fileno())
        write_atomically(self.path / "outcome.json", (dump(outcome, indent=2) + "\n").encode())
        with writing(self._checkpoint):
            self._checkpoint.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # of a line that is known not to have been written
            self._file.close()
        self._lock.release()


def _update_of(cell: Cell, files: Mapping[str, bytes]) -> float:
    """After how many updates a run left these files: infinity where it has ended, -1 where nothing is worth keeping.

    **Raises**: `MistakeError`, when they are damaged.
    """
    try:
        if not files.keys() >= {"cell.json", "updates.jsonl"}:
            raise ValueError("files are missing")
        if "outcome.json" in files:
            _outcome(files["outcome.json"])
            return math.inf
        if "checkpoint" not in files:
            return -1
        from study import checkpoints

        update = checkpoints.parse(files["checkpoint"], Path("checkpoint"))["update"]
        if len(_objects(files["updates.jsonl"].splitlines()[:update])) < update:
            raise ValueError("updates.jsonl is shorter than its checkpoint")
        return update
    except (ValueError, RecursionError) as error:
        raise MistakeError(f"what run {cell.id} has left elsewhere is damaged: {error}") from error


def _adopt(folder: Path, files: Mapping[str, bytes], update: float) -> bool:
    """Take over files that a run left after so many updates, if that is later than what is here.

    A process may be killed at any moment. So all is on disk before the first file is moved, a checkpoint never stands
    beside another version's `cell.json` or fewer updates, and the outcome is last.
    """
    checkpoint, description = folder / "checkpoint", folder / "cell.json"
    has_ended = update == math.inf
    if not has_ended and update <= _update_of_checkpoint(checkpoint):
        return False
    with writing(folder):
        folder.mkdir(exist_ok=True)
        remove_drafts(folder)
    kept = {name: content for name, content in files.items() if name != "checkpoint" or not has_ended}
    with drafts(folder, kept) as written, writing(folder):
        if read_if_there(description) != files["cell.json"]:
            checkpoint.unlink(missing_ok=True)
        for path, draft in written.items():
            draft.replace(path)
        if has_ended:
            checkpoint.unlink(missing_ok=True)
    return True


def _update_of_checkpoint(path: Path) -> int:
    """After how many updates a checkpoint was written; -1 where there is none that can be read."""
    if not path.exists():
        return -1
    from study import checkpoints

    try:
        state = checkpoints.read(path)
    except MistakeError:
        return -1
    return -1 if state is None else state["update"]


def _left_by_interruption(folder: Path) -> "tuple[RunState | None, list[Json]]":
    """A cell's checkpoint and the updates before it; nothing, if they don't fit each other.

    **Raises**: `MistakeError`, when one of them is damaged.
    """
    if not (folder / "checkpoint").exists():
        return None, []
    from study import checkpoints

    state = checkpoints.read(folder / "checkpoint")
    if state is None:
        return None, []
    history = folder / "updates.jsonl"
    lines = (read_if_there(history) or b"").splitlines()[: state["update"]]
    try:
        updates = _objects(lines)
    except (ValueError, RecursionError) as error:
        raise MistakeError(f"{history} is damaged: delete it, and its cell starts over") from error
    return (state, updates) if len(updates) == state["update"] else (None, [])


def _outcome(content: bytes) -> Json:
    """An outcome, from JSON. **Raises**: `ValueError`, when it is none; `RecursionError`."""
    (outcome,) = _objects([content])
    numbers = [value for name, value in outcome.items() if name not in ("status", "error")]
    match outcome:
        case {"status": "failed"} if isinstance(outcome.setdefault("error", None), str | None):
            return outcome
        case {"status": "finished"} if all(type(value) in (int, float) and math.isfinite(value) for value in numbers):
            return outcome
    raise ValueError("it is no outcome")


def _objects(lines: Sequence[bytes]) -> list[Json]:
    """The object that each line has in JSON. **Raises**: `ValueError`, when one has none; `RecursionError`."""
    found = [json.loads(line.decode()) for line in lines]
    if not all(isinstance(one, dict) for one in found):
        raise ValueError("it is no object")
    return found


def dump(values: Mapping[str, Any], indent: int | None = None) -> str:
    """JSON, with floats at full precision; what isn't finite is null, as JSON has no word for it."""
    finite = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in values.items()
    }
    return json.dumps(finite, indent=indent, allow_nan=False)
