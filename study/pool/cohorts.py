"""Cells, cut into cohorts that fit into memory and keep every core busy: an efficiency, never a result."""

import itertools
from collections.abc import Sequence
from typing import Any

from study.cells import Cell
from study.memory import WORKER_BYTES, require_fit, run_bytes

COHORT_SIZE = 40
"""Cells of a cohort at most: beyond it a run gets hardly cheaper."""


def cohorts(cells: Sequence[Cell], workers: int, memory: float, most: int = COHORT_SIZE) -> list[list[Cell]]:
    """Cut the cells into cohorts: evenly, enough for every worker, the longest first.

    Within a cohort the cells of a condition stand together, so that one torch distribution serves them all.

    **Arguments**: `memory`, bytes for all workers together; `most`, cells of a cohort at most.

    **Raises**: `MistakeError`, when that isn't enough for a run.
    """

    def order(cell: Cell) -> tuple[Any, ...]:
        # As text: a perturbation is a word or a number.
        return (cell.precision != "float64", repr(cell.cohort_key), cell.condition, cell.replicate, cell.seed)

    each = memory / workers
    has = f"each of {workers} workers has {each / 1e9:.1f} GB" if workers > 1 else f"a worker has {each / 1e9:.1f} GB"
    cut = []
    for _, group in itertools.groupby(sorted(cells, key=order), key=lambda cell: cell.cohort_key):
        alike = list(group)
        require_fit(alike[0], each, has)
        fitting = max(1, int((each - WORKER_BYTES) / run_bytes(alike[0])))
        size = min(COHORT_SIZE, most, fitting, -(-len(cells) // workers))
        number = -(-len(alike) // size)
        bounds = [len(alike) * part // number for part in range(number + 1)]
        cut += [alike[start:end] for start, end in itertools.pairwise(bounds)]
    return cut
