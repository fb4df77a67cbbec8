"""How long cells take on this machine: measured, by training some for a moment."""

import time
from collections.abc import Callable, Sequence

from agents.cohort import use_one_thread
from study.cells import Cell
from study.training import make_cohort

PROBED = 10
"""Runs of the cohort that is measured, at most: larger ones are hardly cheaper, a run."""


def estimate(cells: Sequence[Cell], on_progress: Callable[[], None] = lambda: None) -> float:
    """Seconds of one core that the cells take, trained in cohorts: an update of each kind is made, and timed.

    **Arguments**: `on_progress`, called after each kind of cell.
    """
    use_one_thread()
    alike: dict[object, list[Cell]] = {}
    for cell in cells:
        alike.setdefault(cell.kind, []).append(cell)
    seconds = 0.0
    for kind in alike.values():
        probed = kind[: PROBED if kind[0].engine == "cohort" else 1]
        updates = make_cohort(probed).train()
        start = time.perf_counter()
        next(updates, None)  # there is none where all runs fail at once
        seconds += (time.perf_counter() - start) * kind[0].num_updates * len(kind) / len(probed)
        on_progress()
    return seconds
