"""The cluster: this machine's processes, or the workers of a running scheduler."""

import asyncio
import contextlib
import importlib.util
import json
import logging
import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import dask
from distributed import Client, LocalCluster, Security, WorkerPlugin
from distributed.client import FutureCancelledError

from reports.errors import in_one_line
from study.errors import ConfigError, WorkerError
from study.pool.options import PoolOptions
from study.pool.worker import EVENTS, Cohort, Files, Leaving, end_cohorts, train

DEATHS = 3
"""Workers that may die over a cohort, beside the first: it is probably what they die of."""
SECONDS_TO_ANSWER = 10
"""How long a scheduler may take to answer."""
SECONDS_BETWEEN_TRIES = 1.0
"""How long to wait before a scheduler that went away is looked for again."""
TRIES_TO_REGISTER = 10
"""How often workers are told of something, while some of them die."""
SECONDS_TO_CLOSE = 10
"""How long processes may take to end that train nothing."""
SECONDS_TO_END = 90
"""How long this machine's workers may take to end what they train: an update, checkpoints, and what W&B takes."""

SILENT = logging.CRITICAL + 1
"""Dask logs a message that it couldn't send to what has just ended as critical."""

CONFIG = {
    # Dask's own limit for malloc gives large arrays new pages each time: a tenth of a run's time.
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None,
    "distributed.scheduler.allowed-failures": DEATHS,
    "distributed.scheduler.work-stealing": False,
    "distributed.scheduler.worker-saturation": 1.0,
    "distributed.scheduler.worker-ttl": "20s",
    "distributed.worker.profile.enabled": False,
}
"""Of Dask, where this program begins the scheduler; `docs/clusters` has the same for others."""


class Engine:
    """Workers that train cohorts.

    Args:
        options: Of the pool.
        on_progress: Called with a cohort's key, and how many updates its runs have made.
        say: Called with a line of text, when something is waited for.
    """

    def __init__(
        self, options: PoolOptions, on_progress: Callable[[str, int], None], say: Callable[[str], None]
    ) -> None:
        self._options = options
        self._on_progress = on_progress
        self._say = say
        self._cluster: LocalCluster | None = None
        self._reconnecting = asyncio.Lock()

    async def __aenter__(self) -> Self:
        """Start this machine's workers, or connect to a scheduler.

        Raises:
            ConfigError: The scheduler can't be reached.
            WorkerError: This machine's workers can't be started.
        """
        dask.config.set(CONFIG)
        # What matters of a worker's death is said by the driver.
        for name in ("distributed", "distributed.client", "tornado", "asyncio"):
            logging.getLogger(name).setLevel(SILENT)
        async with contextlib.AsyncExitStack() as stack:
            if self.is_local:
                self._cluster = _local_cluster(self._options.processes)
                stack.push_async_callback(_end_processes, self._cluster)
                try:
                    await self._cluster
                except (OSError, RuntimeError) as error:
                    raise WorkerError(f"workers can't be begun: {in_one_line(error)}") from error
                stack.callback(asyncio.create_task(_keep_up(self._cluster, self._options.processes)).cancel)
            self._client = await self._connect()
            stack.push_async_exit(self._end)
            self._exits = stack.pop_all()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._exits.__aexit__(*error)

    async def _end(self, kind: type[BaseException] | None, *_: object) -> None:
        """End what this machine's workers train. A scheduler's workers may serve other drivers."""
        try:
            if self.is_local:
                if kind is asyncio.CancelledError:
                    self._say(
                        f"interrupted: waiting up to {SECONDS_TO_END} s for checkpoints. Ctrl-C again ends at once"
                    )
                with contextlib.suppress(Exception):
                    await asyncio.wait_for(self._client.run(end_cohorts), SECONDS_TO_END)
        finally:
            with contextlib.suppress(Exception):
                await self._client.close()

    @property
    def is_local(self) -> bool:
        """Return whether the workers are this machine's."""
        return not self._options.scheduler

    @property
    def dashboard(self) -> str | None:
        """Return the address of Dask's dashboard; None where Bokeh, which draws it, isn't installed."""
        return str(self._client.dashboard_link) if importlib.util.find_spec("bokeh") else None

    async def threads(self) -> int:
        """Return how many cohorts the present workers can train at once."""
        return sum((await self._client.nthreads()).values())

    async def train(self, cohort: Cohort) -> Files:
        """Train a cohort, and return the files of its runs.

        If its worker dies, another gets the cohort. If the scheduler vanishes, the cohort waits until it is back.

        Args:
            cohort: The cohort.

        Raises:
            KilledWorker: Several workers died over it.
            Exception: What training raised.
        """
        while True:
            client = self._client
            try:
                files: Files = await client.submit(train, cohort, key=f"cohort-{cohort.key}", pure=True)
            except Exception as error:
                if client.status == "running" and not isinstance(error, FutureCancelledError):
                    raise
                await self._reconnect(client)
            else:
                return files

    async def _reconnect(self, lost: Client) -> None:
        """Wait for the scheduler, however long it takes, unless another cohort's loss has led to that."""
        async with self._reconnecting:
            if self._client is not lost:
                return
            self._say(f"scheduler {self._options.scheduler} can't be reached: waiting for it")
            with contextlib.suppress(Exception):
                await lost.close()
            while self._client is lost:
                await asyncio.sleep(SECONDS_BETWEEN_TRIES)
                with contextlib.suppress(ConfigError):
                    self._client = await self._connect()

    async def _connect(self) -> Client:
        address, security = self._where()
        try:
            async with contextlib.AsyncExitStack() as stack:
                client: Client = await stack.enter_async_context(
                    Client(
                        address, security=security, asynchronous=True, set_as_default=False, timeout=SECONDS_TO_ANSWER
                    )
                )
                await _register(client, Leaving())
                client.subscribe_topic(EVENTS, lambda event: self._on_progress(*event[1]))
                stack.pop_all()
                return client
        except Exception as error:  # a scheduler may go away at any moment
            raise ConfigError(f"scheduler {address} can't be used: {in_one_line(error)}") from error

    def _where(self) -> tuple[str, Security | None]:
        """Return the scheduler's address, and the certificates for it."""
        if self._cluster is not None:
            return self._cluster.scheduler_address, self._cluster.security
        scheduler, tls = self._options.scheduler, self._options.tls
        address = scheduler if "://" in scheduler else _read_address(Path(scheduler))
        if tls is None and address.startswith("tls://"):
            raise ConfigError(f"scheduler {address} asks for certificates: give the folder that has them")
        return address, None if tls is None else _security(tls)


def _read_address(file: Path) -> str:
    """Return the address in a file that a scheduler wrote."""
    try:
        return str(json.loads(file.read_text(encoding="utf-8"))["address"])
    except OSError as error:
        raise ConfigError(f"scheduler file {file} can't be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{file} isn't a file that a Dask scheduler wrote") from error


async def _register(client: Client, plugin: WorkerPlugin) -> None:
    """Register a plugin for all workers, though one may die meanwhile."""
    for _ in range(TRIES_TO_REGISTER - 1):
        with contextlib.suppress(OSError):
            await client.register_plugin(plugin)
            return
        await asyncio.sleep(SECONDS_BETWEEN_TRIES)
    await client.register_plugin(plugin)


def _local_cluster(workers: int) -> LocalCluster:
    """Return a cluster of this machine's processes, to be awaited."""
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
        asynchronous=True,
    )


async def _keep_up(cluster: LocalCluster, workers: int) -> None:
    """Begin workers again that Dask no longer begins: those that died while they were being restarted."""
    while True:
        await asyncio.sleep(SECONDS_BETWEEN_TRIES)
        cluster.scale(workers)


async def _end_processes(cluster: LocalCluster) -> None:
    """End a cluster, also one that was interrupted while it began, and any process of it that doesn't end by itself."""
    try:
        with contextlib.suppress(Exception):
            closing = cluster.close()
            assert closing is not None  # since the cluster is asynchronous
            await asyncio.wait_for(closing, SECONDS_TO_CLOSE)
    finally:
        for process in multiprocessing.active_children():
            process.kill()


def _security(folder: Path) -> Security:
    """Return the certificates in a folder.

    Raises:
        ConfigError: One of them is missing.
    """
    files = {name: folder / f"{name}.pem" for name in ("ca", "cert", "key")}
    missing = [str(path) for path in files.values() if not path.is_file()]
    if missing:
        raise ConfigError(f"{missing[0]} isn't there: TLS needs ca.pem, cert.pem and key.pem")
    return Security(
        tls_ca_file=str(files["ca"]),
        tls_client_cert=str(files["cert"]),
        tls_client_key=str(files["key"]),
        require_encryption=True,
    )
