"""Many cells on all cores: cohorts in processes of one thread each, with progress, and without losing anything.

A process trains one cohort and ends. What it finished is in the ledger, whatever becomes of it or of its parent.
"""

import contextlib
import itertools
import multiprocessing
import os
import signal
import threading
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from agents import environments
from study.cells import Cell, MistakeError
from study.files import UnwritableError

COHORT_SIZE = 40
"""Cells of a cohort at most: beyond it a run gets hardly cheaper."""

WORKER_BYTES = 500e6
"""What a worker needs before it has a single run."""

ENVIRONMENT_BYTES = 2e6
"""What an environment needs: MuJoCo's, with a margin."""


def available_cores() -> int:
    """Cores that this process may use, where the system says so: a cluster's job rarely has the whole machine."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class WorkerError(RuntimeError):
    """A worker ended without having trained its cells."""


def machine_memory() -> float:
    """Bytes of memory that this machine has."""
    return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


def run_bytes(cell: Cell) -> float:
    """What a run adds to the memory of its cohort, at most and roughly: its environments, those it is evaluated in,
    its parameters, and above all what is kept of every transition while a rollout is learned from.
    """
    observation, action = environments.sizes(cell.env_id)
    number = 4 if cell.precision == "float32" else 8
    hidden, filled_up = cell.hidden_size, observation + action + 32
    collected = 8 * (3 * observation + 2 * action + 8)
    learned_from = number * (5 * observation + 4 * action + 16 + 4 * (2 * hidden + filled_up))
    parameters = number * 5 * 2 * hidden * (hidden + filled_up)
    places = cell.num_envs + cell.eval_episodes
    alone = cell.batch_size * (collected + learned_from) + parameters + places * ENVIRONMENT_BYTES
    return alone if cell.rollouts == "own" else 2 * alone  # beside it, the run from whose rollouts it learns


def cohorts(cells: Sequence[Cell], workers: int, memory: float) -> list[list[Cell]]:
    """Cut the cells into cohorts: evenly, enough for every worker, the longest first.

    Within a cohort the cells of a condition stand together, so that one torch distribution serves them all.

    **Arguments**: `memory`, bytes for all workers together.

    **Raises**: `MistakeError`, when that isn't enough for a run.
    """

    def order(cell: Cell) -> tuple[Any, ...]:
        return (cell.precision != "float64", cell.cohort_key, cell.condition, cell.replicate, cell.seed)

    cut = []
    for _, group in itertools.groupby(sorted(cells, key=order), key=lambda cell: cell.cohort_key):
        alike = list(group)
        fitting = int((memory / workers - WORKER_BYTES) / run_bytes(alike[0]))
        if fitting < 1:
            needed = workers * (WORKER_BYTES + run_bytes(alike[0]))
            raise MistakeError(
                f"{workers} workers need {needed / 1e9:.1f} GB of memory for a run each of {alike[0].env_id} with "
                f"num_envs {alike[0].num_envs} and num_steps {alike[0].num_steps}, and have {memory / 1e9:.1f} GB: "
                "take fewer --workers, or more --memory"
            )
        size = min(COHORT_SIZE, fitting, -(-len(cells) // workers))
        number = -(-len(alike) // size)
        bounds = [len(alike) * part // number for part in range(number + 1)]
        cut += [alike[start:end] for start, end in itertools.pairwise(bounds)]
    return cut


def train_all(cut: Sequence[Sequence[Cell]], runs_dir: Path, workers: int, wandb_mode: str, console: Console) -> None:
    """Train all cohorts, `workers` at a time.

    **Raises**: `WorkerError`, after the others have ended, when a cohort's process failed; `KeyboardInterrupt`, after
    the processes were ended.
    """
    waiting = list(cut)
    updates = [cell.num_updates for cohort in cut for cell in cohort]
    running: list[_Worker] = []
    failed: list[_Worker] = []
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("updates, elapsed"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(f"{len(updates)} runs", total=sum(updates))
        try:
            while waiting or running:
                while waiting and len(running) < workers:
                    running.append(_Worker(waiting.pop(0), runs_dir, wandb_mode))
                wait([source for worker in running for source in worker.news()])
                # Asked before they are heard, so that what an ended one has said is all there.
                ended = [worker for worker in running if worker.process.exitcode is not None]
                progress.advance(task, sum(worker.hear() for worker in running))
                failed += [worker for worker in ended if worker.process.exitcode]
                running = [worker for worker in running if worker not in ended]
        finally:
            for worker in running:
                worker.process.terminate()
            for worker in running:
                worker.process.join()
    if failed:
        raise WorkerError(
            f"{len(failed)} of the worker processes failed (exit code {failed[0].process.exitcode}): "
            "what was finished is kept, and the same command goes on"
        )


class _Worker:
    """A process that trains a cohort, and the pipe by which it reports: its own, so that it can block no other."""

    def __init__(self, cohort: Sequence[Cell], runs_dir: Path, wandb_mode: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._reports, end = context.Pipe(duplex=False)
        self.process = context.Process(target=_work, args=(cohort, runs_dir, wandb_mode, end))
        self.process.start()
        end.close()

    def news(self) -> list[Connection | int]:
        """What to wait for: its next report, or its end."""
        return [self.process.sentinel] if self._reports.closed else [self.process.sentinel, self._reports]

    def hear(self) -> int:
        """Updates made since the last time."""
        updates = 0
        try:
            while self._reports.poll():
                updates += self._reports.recv()
        except (EOFError, OSError):
            self._reports.close()
        return updates


def _work(cohort: Sequence[Cell], runs_dir: Path, wandb_mode: str, reports: Connection) -> None:
    """A worker process. Ctrl-C is its parent's business; if the parent dies, so does it, and its cells are free."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    from study import training

    def report(updates: int) -> None:
        with contextlib.suppress(BrokenPipeError):  # the parent has died
            reports.send(updates)

    try:
        training.train(cohort, runs_dir, wandb_mode, report)
    except (MistakeError, UnwritableError) as error:
        raise SystemExit(f"study: {error}") from error


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
