"""Where a queue is kept: an Optuna storage, named by a URL, with errors that are one line, and patience with restarts.

- `journal:PATH`: a file, the default, in the runs directory.
- `sqlite:///PATH`: a file that other programs read easily.
- `postgresql://USER@HOST/DATABASE`: for many machines.
- `grpc://HOST:PORT`: for more machines than a database has connections; `study serve` is the other end.
"""

import contextlib
import re
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import optuna
import sqlalchemy
from filelock import FileLock
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import BaseStorage, GrpcStorageProxy, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from study.cells import MistakeError
from study.files import UnwritableError

KINDS = ("journal:PATH", "sqlite:///PATH", "postgresql://USER@HOST/DATABASE", "grpc://HOST:PORT")
SECONDS_TO_ANSWER = 5
"""How long a server may take to be reached, or to take note of what it was asked."""

DISPENSABLE = "Delete it, and the same command makes a new one: what was finished is in the ledger"

T = TypeVar("T")


AWAY: tuple[type[Exception], ...] = (StorageInternalError, sqlalchemy.exc.SQLAlchemyError)
"""What storages raise while they aren't there."""
with contextlib.suppress(ImportError):
    import grpc

    AWAY = (*AWAY, grpc.RpcError)
UNUSABLE: tuple[type[Exception], ...] = (*AWAY, ImportError, OSError, RuntimeError, ValueError, KeyError)
"""What they raise beside, when they are opened in vain."""


class StorageLostError(MistakeError):
    """A storage that was there can't be reached any more."""


class Storage:
    """An Optuna storage, and how to call it.

    **Raises**: `MistakeError`, when it can't be opened.
    """

    def __init__(self, url: str) -> None:
        self.name = _without_password(url)
        """what to call it: its URL, without a password"""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        try:
            self.backend, self.close = _open(url)
            self.backend.get_all_studies()
        except MistakeError:
            raise
        except UNUSABLE as error:
            raise MistakeError(f"storage {self.name} can't be used: {_in_one_line(error)}") from error
        self._answered = time.monotonic()

    def call(self, ask: Callable[[BaseStorage], T], patience: float) -> T:
        """Ask the storage something, and ask again while it is away.

        A question may have been answered before the connection broke: ask only what may be asked twice.

        **Arguments**: `patience`, seconds since its last answer. **Raises**: `StorageLostError`, after them;
        `UnwritableError`, when its disk is full.
        """
        pause = 0.1
        while True:
            asked = time.monotonic()
            try:
                answer = ask(self.backend)
            except (FileNotFoundError, PermissionError) as error:
                raise StorageLostError(f"storage {self.name} is gone: {error.strerror}") from error
            except OSError as error:
                raise UnwritableError(
                    f"storage {self.name} can't be written: {error.strerror}. What was finished is kept, and once "
                    "that is mended, the same command goes on"
                ) from error
            except ValueError as error:
                raise MistakeError(f"storage {self.name} is damaged: {_in_one_line(error)}. {DISPENSABLE}") from error
            except AWAY as error:
                if time.monotonic() - self._answered > patience:
                    raise StorageLostError(
                        f"storage {self.name} has not answered for {patience:.0f} s: {_in_one_line(error)}. What was "
                        "finished is kept, and the same command goes on"
                    ) from error
                time.sleep(pause)
                pause = min(2 * pause, 2.0)
            else:
                self._answered = asked
                return answer


def serve(storage: Storage, host: str, port: int) -> None:
    """Be the other end of `grpc://HOST:PORT`, until interrupted. **Raises**: `MistakeError`, if the port is taken."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            optuna.storages.run_grpc_proxy_server(
                storage.backend, host=host, port=port, thread_pool=ThreadPoolExecutor(max_workers=32)
            )
    except (ImportError, RuntimeError) as error:
        raise MistakeError(f"{host}:{port} can't be served: {_in_one_line(error)}") from error


def default_url(runs_dir: Path) -> str:
    """The queue's place when none is named: a file in the runs directory."""
    return f"journal:{runs_dir / 'queue.journal'}"


def _open(url: str) -> tuple[BaseStorage, Callable[[], None]]:
    """The storage at a URL, of Optuna's classes, and how to close it."""
    scheme, _, rest = url.partition(":")
    if scheme == "journal" and rest:
        return JournalStorage(JournalFileBackend(rest, lock_obj=_JournalLock(rest))), lambda: None
    if scheme == "grpc":
        return _open_proxy(url)
    if scheme == "sqlite":
        storage = RDBStorage(url, engine_kwargs={"connect_args": {"timeout": 60}})
        _begin_immediately(storage.engine)
    elif scheme in ("postgresql", "postgresql+psycopg"):
        storage = RDBStorage(
            f"postgresql+psycopg:{rest}",
            engine_kwargs={
                "pool_size": 1,  # an idle worker holds one of the server's connections
                "pool_pre_ping": True,
                "connect_args": {"connect_timeout": SECONDS_TO_ANSWER, "tcp_user_timeout": 1000 * SECONDS_TO_ANSWER},
            },
        )
    else:
        raise MistakeError(f"storage {_without_password(url)} must be one of {', '.join(KINDS)}")
    return optuna.storages.get_storage(storage), storage.engine.dispose


def _open_proxy(url: str) -> tuple[BaseStorage, Callable[[], None]]:
    try:
        address = urlsplit(url)
        host, port = address.hostname, address.port
    except ValueError:
        host = port = None
    if not host or not port:
        raise MistakeError(f"storage {url} must be grpc://HOST:PORT")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        proxy = GrpcStorageProxy(host=host, port=port)
    proxy.wait_server_ready(timeout=SECONDS_TO_ANSWER)
    return proxy, proxy.close


def _begin_immediately(engine: sqlalchemy.Engine) -> None:
    """Let every transaction of SQLite hold the lock from its beginning, as SQLAlchemy's manual says to.

    Optuna claims a trial by reading its state and writing another, under a row lock that SQLite doesn't have: of 200
    trials, four processes claimed three twice.
    """

    @sqlalchemy.event.listens_for(engine, "connect")
    def leave_transactions_to_us(connection: Any, _: Any) -> None:
        connection.isolation_level = None

    @sqlalchemy.event.listens_for(engine, "begin")
    def begin(connection: sqlalchemy.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


class _JournalLock(JournalFileOpenLock):
    """A lock that the system lets go when a process dies; Optuna's own stay for half a minute, and then are broken."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._system_lock = FileLock(f"{path}.lock")

    def acquire(self) -> bool:
        self._system_lock.acquire()
        return True

    def release(self) -> None:
        self._system_lock.release()


def _without_password(url: str) -> str:
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", url)


def _in_one_line(error: Exception) -> str:
    """What went wrong: the first line of the first cause, for drivers say a lot."""
    while error.__cause__ is not None and isinstance(error, StorageInternalError | sqlalchemy.exc.SQLAlchemyError):
        error = error.__cause__  # type: ignore[assignment]
    details = getattr(error, "details", None)
    text = str(details() if callable(details) else error) or type(error).__name__
    return text.strip().splitlines()[0]
