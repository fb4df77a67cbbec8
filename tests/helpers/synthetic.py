"""Studies of known truth."""

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from reports.thread import CONDITIONS


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
    configs = itertools.product(CONDITIONS.items(), range(seeds), ("float32", "float64"), (0, 1))
    rows = []
    for (condition, (what, how)), seed, precision, replicate in configs:
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


def write_run_store(folder: Path, runs: pd.DataFrame, **hyperparameters: Any) -> None:
    """Runs as a run store has them, of two updates, after which they have come apart."""
    for row in runs.to_dict("records"):
        path = folder / row["run"]
        path.mkdir(parents=True)
        words = ("condition", "seed", "precision", "replicate", "parameterization", "implementation")
        config = {"id": row["run"], **{name: row[name] for name in words}, "num_envs": 2, **hyperparameters}
        outcome = {"status": row["status"], "error": row["error"], "final_return": row["final_return"]}
        update = {"global_step": 1, "episodic_return": 0.0, "fingerprint": [1.0, row["final_return"]]}
        (path / "config.json").write_text(json.dumps({**config, "provenance": {"cpu": "a"}}))
        (path / "summary.json").write_text(json.dumps(outcome))
        (path / "history.jsonl").write_text(2 * (json.dumps(update) + "\n"))


def rewrite(path: Path, **changes: Any) -> None:
    """Change values of a JSON file; None takes them out."""
    values = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({name: value for name, value in values.items() if value is not None}))
