"""The cluster: this machine's processes, or the workers of a scheduler that is there."""

import asyncio
import contextlib
import importlib.util
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Self

import dask
from distributed import Client, LocalCluster, Security, WorkerPlugin
from distributed.client import FutureCancelledError
from distributed.scheduler import KilledWorker

from study.cells import MistakeError
from study.errors import WorkerError, in_one_line
from study.pool.worker import EVENTS, Cohort, Files, Leaving, end_cohorts, train

DEATHS = 3
"""Workers that may die over a cohort, beside the first: it is probably what they die of."""
SECONDS_TO_ANSWER = 10
"""How long a scheduler may take to answer."""
SECONDS_BETWEEN_TRIES = 1.0
"""How long to wait before a scheduler that went away is looked for again."""
SECONDS_TO_END = 90
"""How long this machine's workers may take to end what they train: an update, checkpoints, and what W&B takes."""

SILENT = logging.CRITICAL + 1
"""Dask logs a message that it couldn't send to what has just ended as critical."""

CONFIG = {
    "distributed.scheduler.allowed-failures": DEATHS,
    "distributed.scheduler.work-stealing": False,
    "distributed.scheduler.worker-saturation": 1.0,
    "distributed.scheduler.worker-ttl": "20s",
    "distributed.worker.profile.enabled": False,
}
"""Of Dask, where this program begins the scheduler; `docs/clusters` has the same for others."""


class KilledError(RuntimeError):
    """The workers that had a cohort died, one after the other. Its text is one line."""


class LostError(RuntimeError):
    """The scheduler went away with what it had been given. It is back."""


class Engine:
    """Workers, and how to give them cohorts.

    Args:
        workers: Processes of this machine, where there is no scheduler.
        scheduler: The address of a scheduler, or the file that it wrote; empty for processes of this machine.
        tls: A folder with `ca.pem`, `cert.pem` and `key.pem`, for a scheduler at a `tls://` address.
        on_progress: Called with the key of a cohort, and how many updates its runs have made.
        say: Called with a line of text, when a scheduler is waited for.
    """

    def __init__(
        self,
        workers: int,
        scheduler: str,
        tls: Path | None,
        on_progress: Callable[[str, int], None],
        say: Callable[[str], None],
    ) -> None:
        self._workers = workers
        self._scheduler = scheduler
        self._tls = tls
        self._on_progress = on_progress
        self._say = say
        self._reconnecting = asyncio.Lock()

    async def __aenter__(self) -> Self:
        """Begin, or join.

        Raises:
            MistakeError: The scheduler can't be reached.
        """
        dask.config.set(CONFIG)
        for name in (
            "distributed",
            "distributed.client",
            "tornado",
            "asyncio",
        ):  # what matters of a worker's death is said by the driver
            logging.getLogger(name).setLevel(SILENT)
        self._cluster = None if self._scheduler else _begin_local(self._workers)
        self._client = await self._connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        # Ending while a worker begins raises in Dask: its processes are daemons, and end with this one.
        if self._cluster is not None:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(self._client.run(end_cohorts), SECONDS_TO_END)
        with contextlib.suppress(Exception):
            await self._client.close()
        if self._cluster is not None:
            with contextlib.suppress(Exception):
                self._cluster.close()

    @property
    def is_local(self) -> bool:
        """Whether the workers are this machine's."""
        return not self._scheduler

    @property
    def dashboard(self) -> str | None:
        """The address of Dask's dashboard, where what draws it is installed."""
        return str(self._client.dashboard_link) if importlib.util.find_spec("bokeh") else None

    async def threads(self) -> int:
        """Return how many cohorts can be trained at once by the workers that are there."""
        return sum((await self._client.nthreads()).values())

    async def train(self, cohort: Cohort) -> Files:
        """Have a cohort trained; what a worker had that died is given to another.

        Raises:
            KilledError: Several workers died over it.
            LostError: The scheduler was away.
            Exception: What training raised.
        """
        client = self._client
        try:
            files: Files = await client.submit(train, cohort, key=f"cohort-{cohort.key}", pure=True)
        except KilledWorker as error:
            raise KilledError(f"{DEATHS + 1} workers died over it") from error
        except FutureCancelledError as error:
            await self._reconnect(client)
            raise LostError(f"scheduler {self._scheduler} was away") from error
        return files

    async def _reconnect(self, lost: Client) -> None:
        """Wait for the scheduler, however long it takes, unless another cohort's loss has led to that."""
        async with self._reconnecting:
            if self._client is not lost:
                return
            self._say(f"scheduler {self._scheduler} can't be reached: waiting for it")
            with contextlib.suppress(Exception):
                await lost.close()
            while self._client is lost:
                await asyncio.sleep(SECONDS_BETWEEN_TRIES)
                with contextlib.suppress(MistakeError):
                    self._client = await self._connect()

    async def _connect(self) -> Client:
        address, security = self._where()
        try:
            client: Client = await Client(
                address, security=security, asynchronous=True, set_as_default=False, timeout=SECONDS_TO_ANSWER
            )
        except (OSError, ValueError, RuntimeError) as error:
            raise MistakeError(f"scheduler {address} can't be used: {in_one_line(error)}") from error
        await _register(client, Leaving())
        client.subscribe_topic(EVENTS, lambda event: self._on_progress(*event[1]))
        return client

    def _where(self) -> tuple[str, Security | None]:
        """Return the scheduler's address, and the certificates for it."""
        if self._cluster is not None:
            return self._cluster.scheduler_address, self._cluster.security
        address = self._scheduler if "://" in self._scheduler else _read_address(Path(self._scheduler))
        if self._tls is None and address.startswith("tls://"):
            raise MistakeError(f"scheduler {address} asks for certificates: give the folder that has them")
        return address, None if self._tls is None else _security(self._tls)


def _read_address(file: Path) -> str:
    """Return the address in a file that a scheduler wrote."""
    try:
        return str(json.loads(file.read_text(encoding="utf-8"))["address"])
    except OSError as error:
        raise MistakeError(f"scheduler file {file} can't be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise MistakeError(f"{file} isn't a file that a Dask scheduler wrote") from error


async def _register(client: Client, plugin: WorkerPlugin) -> None:
    """Register a plugin for all workers, though one may die meanwhile."""
    for _ in range(9):
        with contextlib.suppress(OSError):
            await client.register_plugin(plugin)
            return
        await asyncio.sleep(1.0)
    await client.register_plugin(plugin)


def _begin_local(workers: int) -> LocalCluster:
    """Return a cluster of this machine's processes.

    Raises:
        WorkerError: One of them died before it was there.
    """
    try:
        return LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            memory_limit=None,
            host="127.0.0.1",
            protocol="tls://",
            # Without certificates, anyone on this machine could have the workers run code as this user.
            security=Security.temporary(),
            dashboard_address="127.0.0.1:0",
            silence_logs=SILENT,
        )
    except (OSError, RuntimeError) as error:
        raise WorkerError(f"workers can't be begun: {in_one_line(error)}") from error


def _security(folder: Path) -> Security:
    """Return the certificates in a folder.

    Raises:
        MistakeError: One of them is missing.
    """
    files = {name: folder / f"{name}.pem" for name in ("ca", "cert", "key")}
    missing = [str(path) for path in files.values() if not path.is_file()]
    if missing:
        raise MistakeError(f"{missing[0]} isn't there: TLS needs ca.pem, cert.pem and key.pem")
    return Security(
        tls_ca_file=str(files["ca"]),
        tls_client_cert=str(files["cert"]),
        tls_client_key=str(files["key"]),
        require_encryption=True,
    )
