"""Groups runs into cohorts that fit into memory and keep every core busy: an efficiency, never a result."""

import itertools
from collections.abc import Sequence
from typing import Any

from study.config.run_config import RunConfig
from study.training.memory import WORKER_BYTES, require_fit, run_bytes

COHORT_SIZE = 40
"""Runs of a cohort at most: beyond it a run gets hardly cheaper."""


def cohorts(
    configs: Sequence[RunConfig], workers: int, memory: float, most: int = COHORT_SIZE
) -> list[list[RunConfig]]:
    """Return the runs in cohorts: evenly, enough for every worker, the longest first.

    Within a cohort the runs of a condition stand together, so that one torch distribution serves them all.

    Args:
        configs: The runs.
        workers: How many cohorts are trained at once.
        memory: Bytes for all workers together.
        most: Runs of a cohort, at most.

    Raises:
        ConfigError: The memory isn't enough for a run.
    """

    def order(config: RunConfig) -> tuple[Any, ...]:
        # As text: a perturbation is a word or a number.
        return (config.precision != "float64", repr(config.cohort_key), config.condition, config.replicate, config.seed)

    each = memory / workers
    has = f"each of {workers} workers has {each / 1e9:.1f} GB" if workers > 1 else f"a worker has {each / 1e9:.1f} GB"
    cut = []
    for _, group in itertools.groupby(sorted(configs, key=order), key=lambda config: config.cohort_key):
        alike = list(group)
        require_fit(alike[0], each, has)
        fitting = max(1, int((each - WORKER_BYTES) / run_bytes(alike[0])))
        size = min(COHORT_SIZE, most, fitting, -(-len(configs) // workers))
        number = -(-len(alike) // size)
        bounds = [len(alike) * part // number for part in range(number + 1)]
        cut += [alike[start:end] for start, end in itertools.pairwise(bounds)]
    return cut
