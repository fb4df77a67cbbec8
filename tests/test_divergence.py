"""Gaps between runs, and what their first tells."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from reports.divergence import (
    Mechanism,
    compare,
    horizons,
    mechanism,
    onsets,
    rates,
    relative_gap,
    tensor_names,
)
from reports.sources.runs import FACTORS
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
    for row in mechanism(compare(runs, fingerprints(runs).__getitem__)):
        same_parameterization = (row.a in ("mvn_std", "normal_sqrt")) == (row.b in ("mvn_std", "normal_sqrt"))
        assert row.reading == ("round-off" if same_parameterization else "real")


def test_gaps_are_of_the_seeds_that_both_have() -> None:
    runs = study(seeds=3)
    histories = fingerprints(runs)
    runs = runs[~((runs["seed"] == 1) & (runs["condition"] == "mvn_var"))]
    (found,) = [
        row
        for row in compare(runs, histories.__getitem__)
        if (row.a, row.b, row.precision) == ("mvn_std", "mvn_var", "float64")
    ]
    assert (found.seeds, found.gaps.shape) == ([0, 2], (2, 2))
    a, b = (histories[f"{name}-2-float64-0"] for name in ("mvn_std", "mvn_var"))
    assert np.array_equal(found.gaps[1], relative_gap(a, b))


def test_all_pairs_and_each_condition_with_its_nudged_self_are_compared_in_each_precision() -> None:
    runs = study(seeds=2)
    found = compare(runs, fingerprints(runs).__getitem__)
    assert len(found) == 2 * (6 + 4)
    assert {row.name for row in found if row.kind == "one ulp"} == {f"one ulp: {name}" for name in FACTORS}


def grown(first: float, rate: float, updates: int = 12, largest: float = 1.0) -> Array:
    """A gap that grows by so many orders of magnitude an update, until runs are as far apart as runs get."""
    return np.asarray(np.minimum(largest, first * 10.0 ** (rate * np.arange(updates))))


def test_growth_is_the_slope_up_to_the_onset_and_not_beyond() -> None:
    gaps = np.array([grown(1e-8, 2.0), grown(1e-8, 0.5, largest=1e-4), [0.0, 0.0, *grown(1e-6, 1.5, 10)], [0.5] * 12])
    assert onsets(gaps).tolist() == [5.0, math.inf, 6.0, 1.0]
    expected = [2.0, stats.linregress(np.arange(12), np.log10(gaps[1])).slope, 1.5, math.nan]
    np.testing.assert_allclose(rates(gaps), expected)


def test_the_horizon_is_where_float64_comes_apart_if_it_grows_as_float32_does() -> None:
    single, double = grown(1e-7, 1.7)[None], grown(1e-7 / 2**29, 1.7)[None]
    assert math.ceil(horizons(single)[0]) == onsets(double)[0]
    assert np.isnan(horizons(np.full((1, 5), 0.5))).all()


@pytest.mark.parametrize("state_dependent", [False, True])
def test_a_fingerprint_knows_the_tensors_that_the_agent_has(state_dependent: bool) -> None:
    from agents.hyperparameters import Hyperparameters
    from agents.networks import ActorCritic
    from agents.records import FINGERPRINT_SIZE, fingerprint

    observation, action, hidden = 5, 3, 16
    hyperparameters = Hyperparameters(hidden_size=hidden, state_dependent_scale=state_dependent)
    agent = ActorCritic([np.random.default_rng(0)], observation, action, hyperparameters, torch.float64)
    layers = [
        (f"{tower} layer {number} {part}", tensor)
        for tower, own in (("actor", agent.actor(0)), ("critic", agent.critic(0)))
        for number, layer in enumerate(own, 1)
        for part, tensor in zip(("weight", "bias"), layer, strict=True)
    ]
    for value, (_, tensor) in enumerate(layers):
        tensor[:] = float(value)
    agent.phi[:] = 99.0
    values = fingerprint(agent.parameters(0), action)
    names = tensor_names(FINGERPRINT_SIZE + action, observation, action, hidden, state_dependent)
    assert names == [*(layers[int(value)][0] for value in values[:-action]), *["phi"] * action]


def test_the_first_tensor_is_where_the_first_gap_is_largest() -> None:
    runs = study(seeds=3)
    names = ["phi"] * 3 + ["weight"] * 47
    found = compare(runs, fingerprints(runs).__getitem__, names)
    assert {row.first_tensor for row in found if row.kind == "parameterization"} == {"phi"}
    assert {row.first_tensor for row in found if row.kind == "one ulp"} == {None}
