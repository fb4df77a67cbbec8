"""The run store: `RUNS/RUN_ID/` with `config.json`, `history.jsonl` and, once a run has ended, `summary.json`.

`summary.json` is written last and at once, so a run has ended if and only if it is there. A run that was interrupted
continues from its `checkpoint`, if it left one; whatever else it left is written again. These three files are the same
whenever a run is trained. `policy.pt` is what a finished run has learned, and `cost.json` the processor time of one
that wasn't interrupted.
"""

import contextlib
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from reports.files import Json
from study.config.run_config import RunConfig
from study.errors import ConfigError
from study.store import adoption
from study.store.convert import is_old
from study.store.files import read_if_there, writing
from study.store.interrupted import read_interrupted
from study.store.records import parse_objects, parse_summary
from study.store.run_writer import RunWriter


class RunStore:
    """A directory of runs.

    Args:
        runs_dir: The directory, there or not.
    """

    def __init__(self, runs_dir: Path) -> None:
        self.runs_dir = runs_dir

    def path(self, config: RunConfig) -> Path:
        """Return the run's directory, there or not."""
        return self.runs_dir / config.id

    def summary(self, config: RunConfig) -> Json | None:
        """Return the run's summary; None for a run that hasn't ended.

        Args:
            config: The run.

        Raises:
            ConfigError: It is damaged, or the run store is of an earlier version.
        """
        path = self.path(config) / "summary.json"
        content = read_if_there(path)
        if content is None:
            self._require_current(config)
            return None
        try:
            return parse_summary(content)
        except (ValueError, RecursionError) as error:
            raise _damaged(path) from error

    def history(self, config: RunConfig) -> list[Json]:
        """Return the updates of a run that has ended.

        Args:
            config: The run.

        Raises:
            ConfigError: They are missing or damaged.
        """
        path = self.path(config) / "history.jsonl"
        content = read_if_there(path)
        try:
            if content is None:
                raise ValueError("it isn't there")
            return parse_objects(content.splitlines())
        except (ValueError, RecursionError) as error:
            raise _damaged(path) from error

    def waiting(self, configs: Iterable[RunConfig]) -> list[RunConfig]:
        """Return those of the runs that haven't ended.

        Args:
            configs: The runs.

        Raises:
            ConfigError: What one of them left is damaged.
        """
        waiting = [config for config in configs if self.summary(config) is None]
        for config in waiting:
            read_interrupted(self.path(config))
        return waiting

    def updates_kept(self, config: RunConfig) -> int:
        """Return from which update a run that hasn't ended would continue: 0 where it would start over.

        Args:
            config: The run.

        Raises:
            ConfigError: What it left is damaged.
        """
        state, _ = read_interrupted(self.path(config))
        return 0 if state is None else state["update"]

    def prepare(self) -> None:
        """Make the directory, if it isn't there.

        Raises:
            ConfigError: It can hold no runs.
        """
        try:
            self._locks.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=self._locks).close()
        except OSError as error:
            raise ConfigError(
                f"{self.runs_dir} can hold no runs: {error.strerror}. Fix that, or choose another run store"
            ) from error

    def begin(self, config: RunConfig, provenance: Mapping[str, Any]) -> RunWriter | None:
        """Begin the run, or resume it, for this process alone.

        Args:
            config: The run.
            provenance: With what it is trained.

        Returns:
            Its writer; None if it has ended, or another process is training it.

        Raises:
            ConfigError: The directory can hold no runs, or what the run left is damaged.
            UnwritableError: The run's directory can't be written.
        """
        with contextlib.ExitStack() as stack:
            lock = self._take(config)
            if lock is None:
                return None
            stack.callback(lock.release)
            if self.summary(config) is not None:
                return None
            writer = RunWriter(self.path(config), config, provenance, lock)
            stack.pop_all()
            return writer

    def adopt(self, config: RunConfig, files: Mapping[str, bytes]) -> bool:
        """Take over what a run has left in another run store.

        Args:
            config: The run.
            files: What its folder has, by name. Names that no run store has are left out.

        Returns:
            Whether that was done. It isn't if the run has ended here, has as new a checkpoint, or is being trained.

        Raises:
            ConfigError: What it has left is damaged.
            UnwritableError: There is no room for it. What was here is unchanged.
        """
        known = {name: files[name] for name in adoption.FILES if name in files}
        update = adoption.count_updates(config.id, known)
        lock = self._take(config)
        if lock is None:
            return False
        try:
            return self.summary(config) is None and adoption.adopt(self.path(config), known, update)
        finally:
            lock.release()

    def held(self, configs: Iterable[RunConfig]) -> list[RunConfig]:
        """Return those of the runs that another process is training, or takes over."""

        def is_held(config: RunConfig) -> bool:
            path = self._locks / config.id
            try:
                if path.exists():
                    FileLock(path).acquire(blocking=False).lock.release()
            except Timeout:
                return True
            return False

        return [config for config in configs if is_held(config)]

    def _require_current(self, config: RunConfig) -> None:
        if is_old(self.path(config)):
            raise ConfigError(
                f"{self.runs_dir} is of an earlier version: `study convert {self.runs_dir}` renames its files"
            )

    def _take(self, config: RunConfig) -> FileLock | None:
        """Return a run's lock, held by this process alone; None, if another has it."""
        self.prepare()
        lock = FileLock(self._locks / config.id)
        with writing(self._locks / config.id):
            try:
                lock.acquire(blocking=False)
            except Timeout:
                return None
        return lock

    @property
    def _locks(self) -> Path:
        return self.runs_dir / ".locks"


def _damaged(path: Path) -> ConfigError:
    return ConfigError(f"{path} is damaged: delete its folder, and the run is trained again")
