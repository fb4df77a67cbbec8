"""What runs came to, from the run store, as analyses take it."""

import math
from collections.abc import Sequence
from statistics import fmean

import pandas as pd

from study.cells import Cell
from study.ledger import Ledger


def table_of_runs(ledger: Ledger, cells: Sequence[Cell], outcome: str) -> pd.DataFrame:
    """Return the runs as `reports.attribution` takes them; one that hasn't ended is "missing"."""
    rows = []
    for cell in dict.fromkeys(cells):
        ending = ledger.outcome(cell) or {"status": "missing", "error": "not in the run store"}
        rows.append(
            {
                "run": cell.id,
                "status": ending["status"],
                "error": ending["error"],
                "condition": cell.condition,
                "parameterization": cell.parameterization,
                "implementation": cell.implementation,
                "seed": cell.seed,
                "precision": cell.precision,
                "replicate": cell.replicate,
                outcome: ending.get(outcome, math.nan),
            }
        )
    return pd.DataFrame(rows).sort_values(["seed", "run"], ignore_index=True)


def mean_outcome(ledger: Ledger, cells: Sequence[Cell], outcome: str) -> float:
    """Return the mean over those runs that have finished; minus infinity if none has."""
    endings = [ending for cell in cells if (ending := ledger.outcome(cell)) is not None]
    values = [ending[outcome] for ending in endings if ending["status"] == "finished"]
    return fmean(values) if values else -math.inf
