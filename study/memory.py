"""Whether runs fit into this machine's memory, asked before anything is trained."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from study.cells import Cell, MistakeError, brief
from study.pool.cohorts import WORKER_BYTES, machine_memory, run_bytes

LEAST = {"hidden_size": 16, "num_envs": 1, "num_steps": 1, "eval_episodes": 1}
"""The parameters on which a run's memory depends, and their smallest values."""


def require_memory(cells: Sequence[Cell]) -> None:
    """Look whether cells of one kind can be trained together here.

    **Raises**: `MistakeError`, naming the parameter that takes the most memory.
    """
    cell, memory = cells[0], machine_memory()
    together = 1 if cell.engine == "reference" else len(cells)
    if WORKER_BYTES + together * _bytes(cell) <= memory:
        return
    has = f"and this machine has {memory / 1e9:.1f} GB"
    if WORKER_BYTES + _bytes(cell) <= memory:
        needed = WORKER_BYTES + together * _bytes(cell)
        raise MistakeError(
            f"{together} seeds together need {needed / 1e9:.1f} GB of memory, {has}: take fewer in one call"
        )
    name = min(LEAST, key=lambda name: _bytes(_with_least(cell, name)))
    needed = WORKER_BYTES + _bytes(cell)
    raise MistakeError(
        f"{name} {brief(getattr(cell, name))} is too large: a run needs {needed / 1e9:.1f} GB of memory, {has}: "
        f"choose a smaller {name}"
    )


def _with_least(cell: Cell, name: str) -> Cell:
    """The cell with a parameter's smallest value, of which any batch is one minibatch."""
    changes: dict[str, Any] = {name: LEAST[name], "num_minibatches": 1, "norm_adv": False}
    return dataclasses.replace(cell, **changes)


def _bytes(cell: Cell) -> float:
    try:
        return run_bytes(cell)
    except OverflowError:  # of numbers with hundreds of digits
        return math.inf
