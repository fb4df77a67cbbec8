"""Writes a run's files while it is trained."""

import contextlib
import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from filelock import FileLock

from reports.files import Json
from study.config.run_config import RunConfig
from study.store.files import read_if_there, remove_drafts, write_atomically, writing
from study.store.interrupted import read_interrupted
from study.store.records import dump

if TYPE_CHECKING:  # a driver reads and writes run stores without torch
    from agents.cohort.state import RunState
    from agents.saved import Learned


class RunWriter:
    """A run being trained. Closing it without `finish` leaves a run that hasn't ended.

    It starts over, or continues from its checkpoint if that was made under the very same provenance: another version or
    another processor would compute other bits.

    Attributes:
        path: The run's directory.
        config: The run's config.
        state: What it continues from; None where it starts over.
        history: Its updates up to there.
        starts_over: Whether it has a checkpoint from which it can't continue.
    """

    def __init__(self, path: Path, config: RunConfig, provenance: Mapping[str, Any], lock: FileLock) -> None:
        """Begin the run, or resume it.

        Args:
            path: The run's directory.
            config: Its config.
            provenance: With what it is trained.
            lock: The run's lock, held. Closing the writer releases it.

        Raises:
            ConfigError: What the run has left is damaged.
            UnwritableError: The directory can't be written.
        """
        self.path = path
        self.config = config
        self.state: RunState | None = None
        self.history: list[Json] = []
        self.starts_over = False
        self._lock = lock
        factors = {"parameterization": config.parameterization, "implementation": config.implementation}
        description = {"id": config.id, **dataclasses.asdict(config), **factors, "provenance": dict(provenance)}
        self._begin((dump(description, indent=2) + "\n").encode())

    def _begin(self, description: bytes) -> None:
        if read_if_there(self.path / "config.json") == description:
            self.state, self.history = read_interrupted(self.path)
        if self.state is not None:
            from study.store import checkpoints

            checkpoints.require_fit(self._checkpoint, self.state, self.config)
        self.starts_over = self.state is None and self._checkpoint.exists()
        with writing(self.path):
            self.path.mkdir(exist_ok=True)
            remove_drafts(self.path)
            if self.state is None:
                self._checkpoint.unlink(missing_ok=True)
        write_atomically(self.path / "config.json", description)
        write_atomically(self._history, "".join(dump(line) + "\n" for line in self.history).encode())
        with writing(self._history):
            self._file = self._history.open("a", encoding="utf-8")

    @property
    def _checkpoint(self) -> Path:
        return self.path / "checkpoint"

    @property
    def _history(self) -> Path:
        return self.path / "history.jsonl"

    def append(self, record: Mapping[str, Any]) -> None:
        """Add an update's line to the history, at once on disk.

        Args:
            record: The update.

        Raises:
            UnwritableError: The line can't be written.
        """
        with writing(self._history):
            self._file.write(dump(record) + "\n")
            self._file.flush()

    def keep(self, state: "RunState") -> None:
        """Write a checkpoint."""
        from study.store import checkpoints

        checkpoints.write(self._checkpoint, state)

    def note_cost(self, core_seconds: float) -> None:
        """Write the run's core-seconds: its share of its cohort's processor time."""
        write_atomically(self.path / "cost.json", (dump({"core_seconds": core_seconds}) + "\n").encode())

    def keep_policy(self, learned: "Learned") -> None:
        """Write what the run has learned."""
        from agents.saved import dump_policy

        config = self.config
        content = dump_policy(learned, config.condition, config.precision, config.hyperparameters)
        write_atomically(self.path / "policy.pt", content)

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Write how the run ended, after all else is on disk.

        Args:
            summary: Of the run.

        Raises:
            UnwritableError: It can't be written.
        """
        with writing(self._history):
            os.fsync(self._file.fileno())
        write_atomically(self.path / "summary.json", (dump(summary, indent=2) + "\n").encode())
        with writing(self._checkpoint):
            self._checkpoint.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # of a line that is known not to have been written
            self._file.close()
        self._lock.release()
