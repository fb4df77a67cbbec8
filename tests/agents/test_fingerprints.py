"""Fingerprints of parameters: what a sketch estimates, and what hashes tell."""

import dataclasses
import hashlib
import math
from fractions import Fraction
from typing import get_args

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from agents.cohort import Cohort
from agents.cohort.networks import ActorCritic
from agents.conditions import Condition
from agents.fingerprints import (
    HASHED_UPDATES,
    SKETCH_SIZE,
    TENSORS,
    fingerprint,
    flat,
    hash_tensors,
    make_origin,
    sketch,
)
from agents.hyperparameters import Hyperparameters, Precision
from agents.numerics import Numerics
from agents.ppo import PPO
from agents.records import Record, Run

Numbers = NDArray[np.float64]

SMALL = Hyperparameters(
    total_timesteps=4 * 256, num_envs=2, num_steps=128, num_minibatches=4, update_epochs=2, hidden_size=16,
    eval_episodes=2,
)  # fmt: skip


def sketched(parameters: Numbers) -> Numbers:
    return np.array(sketch(parameters, np.zeros_like(parameters)))


LAYOUT = {1: 896, 3: 64, 17: -2, 21: 2047, 39: 512, 40: -32, 47: -4, 50: 16, 52: 8, 57: 256}
"""The sums of the first twelve powers of two that aren't zero, as they were when runs were first sketched."""

VECTORS = {
    "equal": np.ones(500),
    "one large": np.where(np.arange(500) == 7, 10.0, 1.0),
    "decaying": 0.98 ** np.arange(500),
    "alternating": np.where(np.arange(500) % 2 == 0, 1.0, -1.0),
}


@pytest.mark.parametrize("vector", VECTORS.values(), ids=[*VECTORS])
def test_the_squared_length_is_right_on_average(vector: Numbers) -> None:
    places = 400  # each has a layout of its own
    ratios = []
    for place in range(places):
        parameters = np.zeros((places, len(vector)))
        parameters[place] = vector
        ratios.append(np.square(sketched(parameters.ravel())).sum() / np.square(vector).sum())
    # Only products of two numbers that share a sum vary: the variance of each is what a random sign and sum give it.
    spread = math.sqrt(2 / SKETCH_SIZE * (1 - (vector**4).sum() / np.square(vector).sum() ** 2))
    assert abs(np.mean(ratios) - 1) < 4 * spread / math.sqrt(places)
    assert np.std(ratios) == pytest.approx(spread, rel=0.15)
    assert spread < math.sqrt(2 / 64)


def test_a_distance_is_estimated_to_about_nine_percent() -> None:
    rng = np.random.default_rng(0)
    sizes = 10.0 ** rng.uniform(-12, 0, 500)
    pairs = [(first := rng.normal(size=3_000), first + size * rng.normal(size=3_000)) for size in sizes]
    ratios = [np.linalg.norm(sketched(b) - sketched(a)) / np.linalg.norm(b - a) for a, b in pairs]
    assert np.mean(ratios) == pytest.approx(1, abs=0.02)
    assert np.std(ratios) == pytest.approx(0.09, abs=0.015)


def test_a_difference_in_one_parameter_is_measured_exactly() -> None:
    rng = np.random.default_rng(0)
    parameters = np.round(rng.normal(size=1_000), 3)
    for index in (0, 1, 500, 999):
        moved = parameters.copy()
        moved[index] += 2.0**-20
        difference = sketched(moved) - sketched(parameters)
        assert np.count_nonzero(difference) == 1
        assert np.linalg.norm(difference) == pytest.approx(2.0**-20, rel=1e-8, abs=0)


def test_a_sketch_is_linear() -> None:
    rng = np.random.default_rng(0)
    a, b, origin = rng.normal(size=(3, 5_000))
    difference = np.array(sketch(a, origin)) - np.array(sketch(b, origin))
    np.testing.assert_allclose(difference, sketched(a - b), rtol=0, atol=1e-13)


def test_the_layout_is_the_same_for_any_size_and_for_ever() -> None:
    parameters: Numbers = 2.0 ** np.arange(12.0)
    assert np.array_equal(sketched(parameters), sketched(np.concatenate([parameters, np.zeros(20_000)])))
    found = {index: value for index, value in enumerate(sketched(parameters)) if value}
    assert found == LAYOUT


def test_each_sum_is_rounded_once() -> None:
    rng = np.random.default_rng(0)
    parameters = rng.normal(size=600) * 10.0 ** rng.uniform(-9, 0, 600)
    by_sum: dict[int, Fraction] = dict.fromkeys(range(SKETCH_SIZE), Fraction(0))
    for index, value in enumerate(parameters):
        one = sketched(np.where(np.arange(600) == index, 1.0, 0.0))
        (place,) = np.flatnonzero(one)
        by_sum[int(place)] += Fraction(float(value)) * int(one[place])
    assert sketched(parameters).tolist() == [float(exact) for exact in by_sum.values()]


@pytest.mark.parametrize("initial_scale", [1.0, 0.6])
def test_one_ulp_is_seen_in_any_tensor_before_training(initial_scale: float) -> None:
    hp = Hyperparameters(initial_scale=initial_scale)
    agent = ActorCritic([0], 3, 1, hp, torch.float64)
    origin = make_origin(agent.tensors(0))
    before, sketch_before = agent.parameters(0), np.array(sketch(agent.parameters(0), origin))
    rng = np.random.default_rng(0)
    large = np.flatnonzero(np.abs(before) > 0.01)
    for index in rng.choice(large, 300):
        after = before.copy()
        after[index] = np.nextafter(before[index], np.inf)
        seen = np.linalg.norm(np.array(sketch(after, origin)) - sketch_before)
        shares_the_raw_scale_sum = initial_scale != 1 and seen in (0, np.spacing(0.5))
        assert shares_the_raw_scale_sum or seen == pytest.approx(after[index] - before[index], rel=0.01, abs=0)


@pytest.mark.parametrize("replicate", [1, 2, 3])
def test_one_ulp_is_seen_after_the_first_update(replicate: int) -> None:
    hp = Hyperparameters(
        total_timesteps=1024, num_envs=4, num_steps=256, num_minibatches=16, update_epochs=10, learning_rate=1e-3,
        gamma=0.9,
    )  # fmt: skip
    cohort = Cohort([Run(condition="normal_std", seed=0, replicate=k) for k in (0, replicate)], hp, "float64")
    records = next(cohort.train())
    seen = np.linalg.norm(np.array(records[0].fingerprint) - records[1].fingerprint)
    difference = cohort.agent.parameters(0) - cohort.agent.parameters(1)
    assert 0 < np.linalg.norm(difference) < 1e-15 * records[0].params_norm
    assert seen == pytest.approx(np.linalg.norm(difference), rel=0.35, abs=0)
    assert seen == pytest.approx(np.linalg.norm(sketched(difference)), rel=0.03, abs=0)  # nothing is lost by rounding


def test_runs_of_a_seed_are_measured_from_the_same_origin() -> None:
    runs = [Run(condition=condition, seed=3, replicate=k) for k, condition in enumerate(get_args(Condition))]
    single, double = Cohort(runs, SMALL, "float32"), Cohort(runs, SMALL, "float64")
    wide = Cohort(runs, dataclasses.replace(SMALL, initial_scale=0.5, scale_transform="softplus"), "float64")
    engine = PPO(runs[1], SMALL, Numerics(precision="float64"))
    origins = [*single._origins, *double._origins, *wide._origins, engine.origin]
    assert all(np.array_equal(origins[0], origin) for origin in origins)
    assert np.array_equal(origins[0], single.agent.parameters(0))
    other = Cohort([Run(condition="mvn_std", seed=4)], SMALL, "float64")
    assert not np.array_equal(origins[0], other._origins[0])


def test_precisions_and_scales_differ_as_their_parameters_do() -> None:
    run = Run(condition="normal_std", seed=0)
    cohorts = [
        Cohort([run], SMALL, "float64"), Cohort([run], SMALL, "float32"),
        Cohort([run], dataclasses.replace(SMALL, initial_scale=0.5), "float64"),
    ]  # fmt: skip
    values = [np.array(sketch(one.agent.parameters(0), one._origins[0])) for one in cohorts]
    parameters = [one.agent.parameters(0).astype(np.float64) for one in cohorts]
    for other in (1, 2):
        truth = np.linalg.norm(parameters[0] - parameters[other])
        assert np.linalg.norm(values[0] - values[other]) == pytest.approx(truth, rel=0.3, abs=0)


@pytest.mark.parametrize("state_dependent", [False, True])
def test_tensors_have_their_names_in_both_engines(state_dependent: bool) -> None:
    hp = dataclasses.replace(SMALL, env_id="Reacher-v5", num_steps=64, state_dependent_scale=state_dependent)
    run = Run(condition="normal_std", seed=0)
    engine, plain = Cohort([run], hp, "float32").agent, PPO(run, hp, Numerics()).agent
    layers = {
        f"{tower} layer {number} {part}": tensor
        for tower, own in (("actor", engine.actor(0)), ("critic", engine.critic(0)))
        for number, layer in enumerate(own, 1)
        for part, tensor in zip(("weight", "bias"), layer, strict=True)
    }
    named = {**layers, "raw scale": engine.raw_scale[0]}
    assert [*named] == [*TENSORS]
    before = hash_tensors(engine.tensors(0))
    assert before == hash_tensors(plain.tensors())
    for name, tensor in named.items():
        kept = tensor.copy()
        tensor.flat[-1] = np.nextafter(tensor.flat[-1], np.float32(np.inf))
        after = hash_tensors(engine.tensors(0))
        tensor[:] = kept
        assert [other for other in TENSORS if after[other] != before[other]] == [name]


def test_a_fingerprint_is_of_all_parameters() -> None:
    rng = np.random.default_rng(0)
    tensors = [rng.normal(size=(2, 3)) for _ in TENSORS]
    found = fingerprint(tensors, make_origin(tensors), update=1)
    assert found["params_sha256"] == hashlib.sha256(b"".join(tensor.tobytes() for tensor in tensors)).hexdigest()
    assert found["params_norm"] == pytest.approx(math.sqrt(sum((tensor**2).sum() for tensor in tensors)))
    assert found["fingerprint"] == sketch(flat(tensors), make_origin(tensors))
    assert found["tensor_sha256"] == {
        name: hashlib.sha256(tensor.tobytes()).hexdigest()[:8] for name, tensor in zip(TENSORS, tensors, strict=True)
    }


@pytest.mark.parametrize("precision", get_args(Precision))
def test_both_engines_record_the_same_of_their_parameters(precision: Precision) -> None:
    run = Run(condition="mvn_std", seed=0)
    engine = [records[0] for records in Cohort([run], SMALL, precision).train()]
    plain = list(PPO(run, SMALL, Numerics(precision=precision)).train())
    for records in (engine, plain):
        assert [record.tensor_sha256 is not None for record in records] == [
            update <= HASHED_UPDATES for update in range(1, 5)
        ]
    tolerance = {"float32": 1e-3, "float64": 1e-11}[precision]
    for own, other in zip(engine, plain, strict=True):
        assert own.params_norm == pytest.approx(other.params_norm, rel=tolerance)
        assert gap(own, other) < tolerance


def gap(a: Record, b: Record) -> float:
    """The relative distance of two runs, as reports measure it."""
    return float(np.linalg.norm(np.subtract(a.fingerprint, b.fingerprint)) / a.params_norm)
