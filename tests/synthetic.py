"""Studies of known truth."""

import itertools

import numpy as np
import pandas as pd

from reports.sources import FACTORS


def study(
    seeds: int = 10,
    parameterization: float = 0.0,
    implementation: float = 0.0,
    round_off: float = 1.0,
    between_seeds: float = 1.0,
    rng: np.random.Generator | None = None,
) -> pd.DataFrame:
    """Runs of a full factorial in which each effect, and each deviation, is what it is said to be."""
    rng = rng or np.random.default_rng(0)
    bases = rng.normal(0, between_seeds, size=seeds)
    cells = itertools.product(FACTORS.items(), range(seeds), ("float32", "float64"), (0, 1))
    rows = []
    for (condition, (what, how)), seed, precision, replicate in cells:
        mean = bases[seed] + parameterization * (what == "std") + implementation * (how == "normal")
        rows.append(
            {
                "run": f"{condition}-{seed}-{precision}-{replicate}",
                "status": "finished",
                "error": None,
                "condition": condition,
                "parameterization": what,
                "implementation": how,
                "seed": seed,
                "precision": precision,
                "replicate": replicate,
                "final_return": mean + rng.normal(0, round_off),
            }
        )
    return pd.DataFrame(rows)
