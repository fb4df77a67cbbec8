"""What the queue costs: `python -m study.queueing.cost URL ...` prints the table in docs/queue.md for these storages.

Workers claim, beat, and complete trials of forty cells as fast as they can, without training any. They are threads of
one process, so that what a storage's client costs is counted too: on machines of their own, they would wait less.
"""

import itertools
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from study.cells import Cell, make_cell
from study.queueing.cohorts import COHORT_SIZE
from study.queueing.queue import Queue, Worker, open_queue
from study.queueing.storages import Storage

WORKERS = (1, 4, 16, 64)
SECONDS = 6.0
"""How long each number of workers goes on, at most."""
TRIALS = 128
"""Trials that are there to be claimed."""
HEARTBEAT = 15.0


def measure(url: str, workers: int, seconds: float = SECONDS, trials: int = TRIALS) -> dict[str, float]:
    """Median milliseconds of a claim, a heartbeat and an end, and how many trials a second all workers do together."""
    name = f"cost-{time.time_ns()}"
    with tempfile.TemporaryDirectory() as folder:
        storages = [Storage(url) for _ in range(workers)]
        queues = [_open(storage, name, Path(folder) / str(number)) for number, storage in enumerate(storages)]
        for cohort in _cohorts(trials):
            queues[0].add(cohort)
        start = time.perf_counter()
        with ThreadPoolExecutor(workers) as threads:
            taken = list(itertools.chain(*threads.map(_work, queues, [start + seconds] * workers)))
        elapsed = time.perf_counter() - start
        for storage in storages:
            storage.close()
    claim, beat, complete = np.median(taken, axis=0) * 1000
    return {"claim": claim, "beat": beat, "complete": complete, "per second": len(taken) / elapsed}


def _open(storage: Storage, name: str, runs_dir: Path) -> Queue:
    return open_queue(storage, name, Worker(runs_dir), {"kind": "cost"}, HEARTBEAT)


def _cohorts(number: int) -> Sequence[list[Cell]]:
    cell = make_cell({"condition": "normal_std", "seed": 0, "precision": "float32"})
    seeds = iter(range(number * COHORT_SIZE))
    return [
        [make_cell({**vars(cell), "seed": seed}) for seed in itertools.islice(seeds, COHORT_SIZE)]
        for _ in range(number)
    ]


def _work(queue: Queue, until: float) -> list[tuple[float, float, float]]:
    """Trials, one after the other. **Returns**: seconds of claim, heartbeat and end."""
    taken = []
    while time.perf_counter() < until:
        times = [time.perf_counter()]
        claim = queue.claim()
        if claim is None:
            break
        times.append(time.perf_counter())
        queue.beat(at_once=True)
        times.append(time.perf_counter())
        outcomes = {cell.id: {"status": "finished", "error": None, "final_return": 0.0} for cell in claim.cells}
        queue.complete(claim, 0.0, outcomes)
        times.append(time.perf_counter())
        taken.append((times[1] - times[0], times[2] - times[1], times[3] - times[2]))
    return taken


def main(urls: Sequence[str]) -> None:
    """Print the table."""
    print("| storage | workers | claim, ms | heartbeat, ms | end, ms | trials/s |")
    print("|---|---|---|---|---|---|")
    for url, workers in itertools.product(urls, WORKERS):
        cost = measure(url, workers)
        times = " | ".join(f"{cost[name]:.0f}" for name in ("claim", "beat", "complete"))
        print(f"| {url.partition(':')[0]} | {workers} | {times} | {cost['per second']:.1f} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
