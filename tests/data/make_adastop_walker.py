"""Write adastop_walker.csv: made-up returns of five algorithms on Walker2d, in the shape of AdaStop's comparison.

AdaStop (Mathieu et al. 2023) compares algorithms, with as many runs each as it took to tell them apart. What makes such
tables hard is kept: different numbers of runs, spreads that differ between algorithms, and runs that fail to learn.
"""

import csv
from pathlib import Path

import numpy as np

ALGORITHMS = {
    "PPO": (10, 3300.0, 1300.0, 0.1),
    "SAC": (10, 4500.0, 350.0, 0.0),
    "TRPO": (15, 1300.0, 650.0, 0.1),
    "DDPG": (30, 1000.0, 700.0, 0.3),
    "TD3": (12, 4100.0, 500.0, 0.1),
}
"""By algorithm: runs, the mean and the standard deviation of a run that learns, and how often one doesn't."""

LOWEST = 50.0
"""What a walker that falls at once returns."""


def rows() -> list[dict[str, object]]:
    """Return a row for each run. No seed of one algorithm has anything to do with the same seed of another."""
    rng = np.random.default_rng(2023)
    made: list[dict[str, object]] = []
    for name, (runs, mean, spread, failing) in ALGORITHMS.items():
        for seed in range(runs):
            value = rng.exponential(200.0) if rng.random() < failing else rng.normal(mean, spread)
            made.append({"condition": name, "seed": seed, "mean_return": round(LOWEST + max(0.0, float(value)), 2)})
    return made


if __name__ == "__main__":
    with Path(__file__).with_name("adastop_walker.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["condition", "seed", "mean_return"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows())
