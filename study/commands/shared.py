"""What several commands do and take."""

import asyncio
import contextlib
import dataclasses
import signal
import sys
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from agents import environments
from study.config.run_config import RunConfig, require_trainable
from study.errors import ConfigError
from study.pool.cohorts import cohorts
from study.pool.options import PoolOptions

if TYPE_CHECKING:
    from study.pool.driver import Driver
    from study.store.run_store import RunStore

T = TypeVar("T")

LONGEST_STEP = 86400
"""Seconds: a step of more than a day is likely a mistake."""


def check_pool(options: PoolOptions) -> None:
    """Check the options of the pool.

    Raises:
        ConfigError: One of them can't be used.
    """
    if options.workers < 0:
        raise ConfigError(f"--workers must be zero or positive, not {options.workers}")
    if not 0 <= options.memory < float("inf"):
        raise ConfigError(f"--memory must be zero or positive, not {options.memory}")
    if options.cohort < 1:
        raise ConfigError(f"--cohort must be at least 1, not {options.cohort}")
    check_step_timeout(options.step_timeout)
    if options.scheduler and options.workers:
        raise ConfigError("--workers and --scheduler exclude each other: the scheduler's workers are begun elsewhere")
    if options.tls is not None and not options.scheduler:
        raise ConfigError("--tls goes with --scheduler: this machine's own workers make certificates of their own")


def require_pool_memory(options: PoolOptions, configs: list[RunConfig]) -> None:
    """Check that each worker has memory for any of the runs.

    Args:
        options: Of the pool.
        configs: The runs.

    Raises:
        ConfigError: A worker hasn't.
    """
    if options.scheduler and options.memory:
        return  # how much each worker has is known only once they are counted
    workers = 1 if options.scheduler else options.processes
    try:
        cohorts(configs, workers, workers * options.memory_each)
    except ConfigError as error:
        advice = "give --memory" if options.scheduler else "give more --memory"
        advice = f"take fewer --workers, or {advice}" if workers > 1 else advice
        raise ConfigError(f"{error}, or {advice}") from error


def train_all(options: PoolOptions, sources: Mapping[Path, Sequence[RunConfig]]) -> None:
    """Train every run of some files that hasn't ended, and print how many have ended, and which have failed.

    Args:
        options: Of the pool.
        sources: The runs, by the file that names them.

    Raises:
        ConfigError: The runs can't be trained here.
        WorkerError: Runs have no outcome.
    """
    from rich.console import Console

    from study.store.run_store import RunStore

    configs = list({config.id: config for own in sources.values() for config in own}.values())
    require_trainable(configs)
    store = RunStore(options.runs_dir)
    waiting = store.waiting(configs)
    waiting_ids = {config.id for config in waiting}
    console = Console(stderr=True, soft_wrap=True)
    for path, own in sources.items():
        ended = sum(config.id not in waiting_ids for config in own)
        console.print(f"{path}: {len(own)} runs, {ended} of them ended before", markup=False)
    if not waiting:
        return
    require_pool_memory(options, waiting)
    say_what_starts_over(waiting)
    try:
        run_with_pool(options, lambda driver: driver.train(configs))
    finally:
        for config in configs:
            with contextlib.suppress(ConfigError):  # of one that is damaged, the driver has said so
                outcome = store.summary(config)
                if outcome is not None and outcome["status"] == "failed":
                    console.print(f"failed: {store.path(config)}: {outcome['error']}", markup=False)
    ended = len(configs) - len(store.waiting(configs))
    console.print(f"{ended} of {len(configs)} runs have ended: {options.runs_dir}", markup=False)


def run_with_pool(options: PoolOptions, work: Callable[["Driver"], Awaitable[T]]) -> T:
    """Start a pool, do work that trains runs, and end the pool.

    Nothing is written, and W&B isn't asked, before this is called.

    Args:
        options: Of the pool.
        work: Given the pool's driver.

    Returns:
        What the work returns.

    Raises:
        KeyboardInterrupt: Of Ctrl-C or SIGTERM, after checkpoints were written. Its text says what is kept.
    """
    from rich.console import Console

    from study.pool.driver import Driver
    from study.store.run_store import RunStore
    from study.tracking import runs as tracking

    wandb_mode = tracking.choose_mode(options.runs_dir)

    store = RunStore(options.runs_dir)
    pool = Driver(store, options, wandb_mode, Console(stderr=True, soft_wrap=True))

    async def go() -> T:
        async with pool as driver:
            return await work(driver)

    try:
        return _run_until_cancelled(go())
    except KeyboardInterrupt:
        raise KeyboardInterrupt(what_is_kept(store, pool.asked)) from None


def what_is_kept(store: "RunStore", configs: Collection[RunConfig]) -> str:
    """Return how far an interrupted command has come, from the files from which it would continue.

    Args:
        store: The run store.
        configs: The runs that it trains.
    """
    ended = updates = 0
    for config in configs:
        with contextlib.suppress(ConfigError):  # of what is damaged nothing is kept
            has_ended = store.summary(config) is not None
            ended += has_ended
            updates += config.num_updates if has_ended else store.updates_kept(config)
    runs = "run has" if len(configs) == 1 else "runs have"
    total = sum(config.num_updates for config in configs)
    return f"{ended} of {len(configs)} {runs} ended, and {updates} of {total} updates are kept" if configs else ""


def _run_until_cancelled(work: Coroutine[Any, Any, T]) -> T:
    """Do what `asyncio.run` does, but have SIGTERM and each Ctrl-C cancel the work where it waits.

    An exception anywhere else would come out of the midst of Dask.
    """

    async def go() -> T:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel)
        return await work

    before = signal.getsignal(signal.SIGTERM)
    try:
        return asyncio.run(go())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    finally:
        signal.signal(signal.SIGTERM, before)


def check_step_timeout(seconds: float) -> None:
    """Check the option.

    Raises:
        ConfigError: It can't be used.
    """
    if not 0 <= seconds <= LONGEST_STEP:
        raise ConfigError(f"--step-timeout must be between 0 and {LONGEST_STEP} seconds, not {seconds}")


def check_comparison(outcome: str, margin: float | None) -> None:
    """Check the outcome and the equivalence margin of a study that has no runs yet.

    Args:
        outcome: An outcome's name.
        margin: The equivalence margin, if one is given.

    Raises:
        ConfigError: There is no such outcome, or no such margin.
    """
    from agents.records import Outcome

    if margin is not None and not 0 < margin < float("inf"):
        raise ConfigError(f"--margin must be positive, not {margin}")
    outcomes = [field.name for field in dataclasses.fields(Outcome)]
    if outcome not in outcomes:
        raise ConfigError(f"--outcome {outcome}: there is no such outcome; choose from {', '.join(outcomes)}")


def say_what_starts_over(configs: Iterable[RunConfig]) -> None:
    """Warn of environments whose interrupted runs can't be resumed."""
    for env_id in sorted({config.env_id for config in configs}):
        if not environments.can_be_checkpointed(env_id):
            print(
                f"{env_id} doesn't tell where it keeps its state: a run of it that is interrupted starts over.",
                file=sys.stderr,
            )
