"""Gaps between runs, and what their first tells."""

import numpy as np
import pandas as pd
import pytest

from reports.divergence import Mechanism, gaps, mechanism, relative_gap
from reports.statistics import Array
from tests.synthetic import study


def test_a_gap_is_relative_to_the_first() -> None:
    a, b = np.array([[3.0, 4.0], [0.0, 2.0]]), np.array([[3.0, 4.0], [0.0, 2.5], [9.0, 9.0]])
    assert relative_gap(a, b).tolist() == [0.0, 0.25]


@pytest.mark.parametrize(
    ("single", "double", "scales", "reading"),
    [
        (5e-8, 1e-16, True, "round-off"),
        (2e-3, 2e-3, False, "real"),
        (1e-3, 1e-6, None, "suspicious"),
        (1e-7, 0.0, None, "untested"),
        (None, 1e-16, None, "untested"),
    ],
)
def test_the_ratio_of_first_gaps_says_what_it_is(
    single: float | None, double: float | None, scales: bool | None, reading: str
) -> None:
    row = Mechanism(a="a", b="b", gap={"float32": single, "float64": double})
    assert (row.scales_with_precision, row.reading) == (scales, reading)


def fingerprints(runs: pd.DataFrame) -> dict[str, Array]:
    """Runs that differ by round-off where only the class does, and by 1e-3 where theta means another thing."""
    histories = {}
    for row in runs.to_dict("records"):
        rng = np.random.default_rng(row["seed"])
        start = rng.normal(size=50)
        start[:3] *= 1 + (row["parameterization"] == "std") * 1e-3
        epsilon = np.finfo(row["precision"]).eps
        start *= 1 + epsilon * (row["implementation"] == "normal") * rng.integers(0, 2, size=50)
        histories[row["run"]] = np.array([start, start + 1])
    return histories


def test_the_mechanism_tells_round_off_from_a_real_difference() -> None:
    runs = study(seeds=3)
    histories = fingerprints(runs)
    for row in mechanism(runs, sorted(set(runs["condition"])), histories.__getitem__):
        same_parameterization = (row.a in ("mvn_std", "normal_sqrt")) == (row.b in ("mvn_std", "normal_sqrt"))
        assert row.reading == ("round-off" if same_parameterization else "real")


def test_gaps_are_of_the_seeds_that_both_have() -> None:
    runs = study(seeds=3)
    histories = fingerprints(runs)
    runs = runs[~((runs["seed"] == 1) & (runs["condition"] == "mvn_var"))]
    cells = [{"condition": name, "precision": "float64", "replicate": 0} for name in ("mvn_std", "mvn_var")]
    gap = gaps(runs, cells[0], cells[1], histories.__getitem__)  # type: ignore[arg-type]
    assert gap.shape == (2, 2)
    a, b = (histories[f"{name}-2-float64-0"] for name in ("mvn_std", "mvn_var"))
    assert np.array_equal(gap[1], relative_gap(a, b))
