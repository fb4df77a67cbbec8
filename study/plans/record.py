"""Studies as Optuna's own, for its dashboard and its plots. They are a record: nothing is read back from them."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial
from sqlalchemy.pool import NullPool

from study.errors import ConfigError, warn
from study.plans.urls import without_password
from study.tracking.runs import addresses

RUNS = "runs"
"""The user attribute of a trial's run ids."""
INDEX = "index"
"""The user attribute that says which of a study's trials one is, however often it is recorded."""

UNUSABLE = (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.OptunaError, ImportError, OSError, ValueError, KeyError)
"""What storages raise when they can't be used."""


class Record:
    """One Optuna study.

    Args:
        runs_dir: The run store, which keeps the record where no storage is named.
        storage: The URL of a database, or empty.
        name: The study's.
        wandb_mode: W&B's mode: runs that are online have links.

    Raises:
        ConfigError: The storage can't be used.
    """

    def __init__(self, runs_dir: Path, storage: str, name: str, wandb_mode: str) -> None:
        self._wandb_mode = wandb_mode
        self._storage = without_password(storage) if storage else str(runs_dir / "optuna.journal")
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        try:
            self._study = _load(_open(storage), name) if storage else _load_journal(runs_dir / "optuna.journal", name)
            self._recorded = {trial.user_attrs.get(INDEX) for trial in self._study.get_trials(deepcopy=False)}
        except UNUSABLE as error:
            raise ConfigError(f"storage {self._storage} can't be used: {_first_line(error)}") from error
        self._is_lost = False

    def add(self, index: int, trial: FrozenTrial) -> None:
        """Record a finished trial, unless it is there.

        Args:
            index: Of the trial in its study.
            trial: The trial.
        """
        if index not in self._recorded:
            trial.set_user_attr(INDEX, index)
            if self._wandb_mode == "online":
                trial.set_user_attr("wandb", addresses(trial.user_attrs[RUNS]))
            with self._said_if_lost():
                self._study.add_trial(trial)
            self._recorded.add(index)

    def note(self, key: str, value: Any) -> None:
        """Record something about the study."""
        with self._said_if_lost():
            self._study.set_user_attr(key, value)

    @contextlib.contextmanager
    def _said_if_lost(self) -> Iterator[None]:
        """Warn, once, of a storage that has failed. It costs no run: the same command records what is missing."""
        try:
            yield
        except UNUSABLE as error:
            if not self._is_lost:
                self._is_lost = True
                warn(f"storage {self._storage} doesn't record any more: {_first_line(error)}")


def _open(url: str) -> BaseStorage:
    scheme, _, rest = url.partition("://")
    # A server has few connections, and a study is recorded seldom: none is held in between.
    alone: dict[str, Any] = {"poolclass": NullPool}
    if scheme == "postgresql":  # SQLAlchemy would take another driver
        return RDBStorage(
            f"postgresql+psycopg://{rest}", engine_kwargs={**alone, "connect_args": {"connect_timeout": 5}}
        )
    return RDBStorage(url, engine_kwargs=alone)


def _load_journal(path: Path, name: str) -> optuna.Study:
    """Return the study in the run store's own record. One that a full disk has cut short is replaced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return _load(_journal(path), name)
    except (ValueError, KeyError):
        path.replace(path.with_suffix(".damaged"))
        return _load(_journal(path), name)


def _journal(path: Path) -> BaseStorage:
    return JournalStorage(JournalFileBackend(str(path), lock_obj=JournalFileOpenLock(str(path))))


def _load(storage: BaseStorage, name: str) -> optuna.Study:
    study = optuna.create_study(storage=storage, study_name=name, direction="maximize", load_if_exists=True)
    study.get_trials(deepcopy=False)
    return study


def _first_line(error: BaseException) -> str:
    """Return the first line of the first cause: drivers print many."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error) or type(error).__name__).strip().splitlines()[0]
