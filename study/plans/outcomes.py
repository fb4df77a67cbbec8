"""Runs' outcomes from the run store, as analyses take them."""

import math
from collections.abc import Sequence
from statistics import fmean

import pandas as pd

from study.config.run_config import RunConfig
from study.store.run_store import RunStore


def table_of_runs(store: RunStore, configs: Sequence[RunConfig], outcome: str) -> pd.DataFrame:
    """Return the runs as `reports.attribution` takes them. A run that hasn't ended is "missing".

    Args:
        store: The run store.
        configs: The runs.
        outcome: The outcome's name.

    Returns:
        A row for each run, with its status, its error, its levels and its outcome.
    """
    rows = []
    for config in dict.fromkeys(configs):
        ending = store.summary(config) or {"status": "missing", "error": "not in the run store"}
        rows.append(
            {
                "run": config.id,
                "status": ending["status"],
                "error": ending["error"],
                "condition": config.condition,
                "parameterization": config.parameterization,
                "implementation": config.implementation,
                "seed": config.seed,
                "precision": config.precision,
                "replicate": config.replicate,
                outcome: ending.get(outcome, math.nan),
            }
        )
    return pd.DataFrame(rows).sort_values(["seed", "run"], ignore_index=True)


def mean_outcome(store: RunStore, configs: Sequence[RunConfig], outcome: str) -> float:
    """Return the mean outcome over those runs that have finished; minus infinity if none has."""
    endings = [ending for config in configs if (ending := store.summary(config)) is not None]
    values = [ending[outcome] for ending in endings if ending["status"] == "finished"]
    return fmean(values) if values else -math.inf
