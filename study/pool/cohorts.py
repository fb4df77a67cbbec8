"""Cells, cut into cohorts that fit into memory and keep every core busy: an efficiency, never a result."""

import itertools
import os
from collections.abc import Sequence
from typing import Any

from agents import environments
from study.cells import Cell, MistakeError

COHORT_SIZE = 40
"""Cells of a cohort at most: beyond it a run gets hardly cheaper."""

WORKER_BYTES = 500e6
"""What a worker needs before it has a single run."""

ENVIRONMENT_BYTES = 1.5e6
"""What an environment needs: MuJoCo's largest, with a margin."""


def available_cores() -> int:
    """Cores that this process may use, where the system says so: a cluster's job rarely has the whole machine."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine_memory() -> float:
    """Bytes of memory that this machine has."""
    return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


def run_bytes(cell: Cell) -> float:
    """What a run adds to the memory of its cohort, at most and roughly: its environments, those it is evaluated in,
    its parameters, and what is kept of every transition while a rollout is learned from.
    """
    observation, action = environments.sizes(cell.env_id)
    number, hidden = 4 if cell.precision == "float32" else 8, cell.hidden_size
    # The last rollout is kept while the next is collected, and shuffled copies are learned from.
    transition = number * (6 * observation + 8 * action + 2 * action**2) + 8 * (2 * action + 16)
    weights = 2 * hidden * (hidden + observation + action + 32)
    activations = 2 * cell.minibatch_size * (4 * hidden + observation)
    places = cell.num_envs + cell.eval_episodes
    alone = cell.batch_size * transition + number * (5 * weights + activations) + places * ENVIRONMENT_BYTES
    return alone if cell.rollouts == "own" else 2 * alone  # beside it, the run from whose rollouts it learns


def cohorts(cells: Sequence[Cell], workers: int, memory: float) -> list[list[Cell]]:
    """Cut the cells into cohorts: evenly, enough for every worker, the longest first.

    Within a cohort the cells of a condition stand together, so that one torch distribution serves them all.

    **Arguments**: `memory`, bytes for all workers together.

    **Raises**: `MistakeError`, when that isn't enough for a run.
    """

    def order(cell: Cell) -> tuple[Any, ...]:
        # As text: a perturbation is a word or a number.
        return (cell.precision != "float64", repr(cell.cohort_key), cell.condition, cell.replicate, cell.seed)

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
