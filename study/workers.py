"""Many cells on all cores: cohorts in processes of one thread each, with progress, and without losing anything.

A process trains one cohort and ends. What it finished is in the ledger, whatever becomes of it or of its parent.
"""

import itertools
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from queue import Empty
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from study.cells import Cell, MistakeError

COHORT_SIZE = 40
"""Cells of a cohort at most: beyond it a run gets hardly cheaper, and an interruption costs more."""


def available_cores() -> int:
    """Cores that this process may use, where the system says so: a cluster's job rarely has the whole machine."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class WorkerError(RuntimeError):
    """A worker ended without having trained its cells."""


def cohorts(cells: Sequence[Cell], workers: int, size: int = COHORT_SIZE) -> list[list[Cell]]:
    """Cut the cells into cohorts: evenly, enough for every worker, the longest first.

    Within a cohort the cells of a condition stand together, so that one torch distribution serves them all.
    """

    def order(cell: Cell) -> tuple[Any, ...]:
        return (cell.precision != "float64", cell.cohort_key, cell.condition, cell.replicate, cell.seed)

    size = max(1, min(size, -(-len(cells) // workers)))
    cut = []
    for _, group in itertools.groupby(sorted(cells, key=order), key=lambda cell: cell.cohort_key):
        alike = list(group)
        number = -(-len(alike) // size)
        bounds = [len(alike) * part // number for part in range(number + 1)]
        cut += [alike[start:end] for start, end in itertools.pairwise(bounds)]
    return cut


def train_all(cells: Sequence[Cell], runs_dir: Path, workers: int, wandb_mode: str, console: Console) -> None:
    """Train all cells, `workers` cohorts at a time.

    **Raises**: `WorkerError`, after the others have ended, when a cohort's process failed; `KeyboardInterrupt`, after
    the processes were ended.
    """
    context = multiprocessing.get_context("spawn")
    reports: multiprocessing.Queue[int] = context.Queue()
    waiting = [
        context.Process(target=_work, args=(cohort, runs_dir, wandb_mode, reports))
        for cohort in cohorts(cells, workers)
    ]
    running: list[BaseProcess] = []
    failed: list[BaseProcess] = []
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
        task = progress.add_task(f"{len(cells)} runs", total=sum(cell.num_updates for cell in cells))
        try:
            while waiting or running:
                while waiting and len(running) < workers:
                    running.append(waiting.pop(0))
                    running[-1].start()
                for report in _drain(reports):
                    progress.advance(task, report)
                # Asked once each: a process may end between two questions.
                codes = [(process, process.exitcode) for process in running]
                failed += [process for process, code in codes if code]
                running = [process for process, code in codes if code is None]
        finally:
            for process in running:
                process.terminate()
            for process in running:
                process.join()
        for report in _drain(reports):
            progress.advance(task, report)
    if failed:
        raise WorkerError(
            f"{len(failed)} of the worker processes failed (exit code {failed[0].exitcode}): "
            "what was finished is kept, and the same command goes on"
        )


def _drain(reports: "multiprocessing.Queue[int]") -> Iterator[int]:
    """What workers have said, waiting a moment for the first word."""
    try:
        yield reports.get(timeout=0.2)
        while True:
            yield reports.get_nowait()
    except Empty:
        return


def _work(cohort: Sequence[Cell], runs_dir: Path, wandb_mode: str, reports: "multiprocessing.Queue[int]") -> None:
    """A worker process. Ctrl-C is its parent's business; if the parent dies, so does it, and its cells are free."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    from study import training

    try:
        training.train(cohort, runs_dir, wandb_mode, reports.put)
    except MistakeError as error:
        raise SystemExit(f"study: {error}") from error


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
