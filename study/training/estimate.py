"""How long runs take on this machine: measured, by training some for a moment."""

import time
from collections.abc import Callable, Sequence

from agents.cohort import use_one_thread
from study.config.run_config import RunConfig
from study.training.cohort import make_cohort

PROBED = 10
"""Runs of the cohort that is measured, at most: larger ones are hardly cheaper, a run."""


def estimate(configs: Sequence[RunConfig], on_progress: Callable[[], None] = lambda: None) -> float:
    """Return the core-seconds of runs trained in cohorts, from one timed update of each kind.

    Args:
        configs: The runs.
        on_progress: Called after each kind of run.
    """
    use_one_thread()
    alike: dict[object, list[RunConfig]] = {}
    for config in configs:
        alike.setdefault(config.kind, []).append(config)
    seconds = 0.0
    for kind in alike.values():
        probed = kind[: PROBED if kind[0].engine == "cohort" else 1]
        updates = make_cohort(probed).train()
        start = time.perf_counter()
        next(updates, None)  # there is none where all runs fail at once
        seconds += (time.perf_counter() - start) * kind[0].num_updates * len(kind) / len(probed)
        on_progress()
    return seconds
