"""The readable agent: the engine's trajectory, until round-off parts them."""

import dataclasses
import functools
import shutil
from typing import Any, get_args

import numpy as np
import pytest
import torch

from agents.cohort import Cohort
from agents.conditions import Condition
from agents.fingerprints import flat
from agents.hyperparameters import Hyperparameters
from agents.numerics import Numerics
from agents.ppo import PPO, Agent
from agents.records import Failure, Outcome, Record, Run
from agents.reference import Reference

SMALL = Hyperparameters(
    total_timesteps=3 * 256, num_envs=2, num_steps=128, num_minibatches=4, update_epochs=2, hidden_size=16,
    eval_episodes=2,
)  # fmt: skip
DOUBLE = Numerics(precision="float64")


def trained(run: Run, hp: Hyperparameters, numerics: Numerics) -> tuple[list[Record], Outcome | Failure]:
    reference = Reference([run], hp, numerics)
    records = [by_place[0] for by_place in reference.train() if by_place]
    (outcome,) = reference.outcomes()
    reference.close()
    return records, outcome


def numbers(said: Record | Outcome | Failure) -> list[float]:
    values = dataclasses.asdict(said)
    hashes = ("params_sha256", "tensor_sha256")
    return [float(number) for name, value in values.items() if name not in hashes for number in np.atleast_1d(value)]


def gap(a: Record, b: Record) -> float:
    """The relative distance of two runs' parameters."""
    return float(np.linalg.norm(np.subtract(a.fingerprint, b.fingerprint)) / b.params_norm)


@pytest.mark.parametrize("env_id", ["Pendulum-v1", pytest.param("Reacher-v5", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"state_dependent_scale": True, "scale_transform": "softplus", "ent_coef": 0.01, "initial_scale": 0.5},
        {"optimizer": "sgd", "learning_rate": 0.01, "scale_lr_factor": 0.25, "anneal_lr": False},
        {"norm_obs": False, "norm_reward": False, "norm_adv": False, "clip_vloss": False},
    ],
)
def test_it_is_the_engine_up_to_round_off(env_id: str, changes: dict[str, Any]) -> None:
    hp = dataclasses.replace(SMALL, env_id=env_id, **changes)
    runs = [Run(condition=condition, seed=3, replicate=k) for k, condition in enumerate(get_args(Condition))]
    cohort = Cohort(runs, hp, "float64")
    updates = list(cohort.train())
    for place, (run, outcome) in enumerate(zip(runs, cohort.outcomes(), strict=True)):
        records, own_outcome = trained(run, hp, DOUBLE)
        assert len(records) == 3
        for record, update in zip(records, updates, strict=True):
            assert gap(record, update[place]) < 1e-12
            np.testing.assert_allclose(numbers(record), numbers(update[place]), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(numbers(own_outcome), numbers(outcome), rtol=1e-9)


def test_its_episodes_are_as_long_as_the_engine_s() -> None:
    hp = dataclasses.replace(SMALL, env_id="InvertedPendulum-v5", total_timesteps=8 * 16, num_steps=8)
    run = Run(condition="normal_std", seed=0)
    records, _ = trained(run, hp, DOUBLE)
    lengths = [update[0].episodic_length for update in Cohort([run], hp, "float64").train()]
    np.testing.assert_array_equal([record.episodic_length for record in records], lengths)
    assert any(length > hp.num_steps for length in lengths)  # begun in an update before
    assert any(length < hp.num_steps for length in lengths)


@pytest.mark.parametrize("condition", get_args(Condition))
def test_its_first_gap_to_the_engine_is_that_of_its_precision(condition: Condition) -> None:
    run, hp = Run(condition=condition, seed=0), dataclasses.replace(SMALL, total_timesteps=256)
    gaps = []
    for precision in ("float32", "float64"):
        (records, _), cohort = trained(run, hp, Numerics(precision=precision)), Cohort([run], hp, precision)
        gaps.append(gap(records[0], next(cohort.train())[0]))
    assert 1e-10 < gaps[0] < 1e-5
    assert 0 < gaps[1] < 1e-13


@pytest.mark.parametrize("precision", ["bfloat16", "float32", "float64"])
def test_it_repeats_bit_for_bit(precision: Any) -> None:
    run = Run(condition="mvn_std", seed=1)
    hashes = [
        [record.params_sha256 for record in trained(run, SMALL, Numerics(precision=precision))[0]] for _ in range(2)
    ]
    assert hashes[0] == hashes[1]


def test_bfloat16_is_autocast() -> None:
    agent = Agent("normal_std", SMALL, Numerics(precision="bfloat16"), seed=0)
    exact = Agent("normal_std", SMALL, Numerics(), seed=0)
    observations = torch.linspace(-1, 1, 30).reshape(10, 3)
    value, exact_value = agent.value(observations), exact.value(observations)
    assert {parameter.dtype for parameter in agent.parameters()} == {torch.float32}
    assert value.dtype == torch.float32
    assert torch.equal(value, value.bfloat16().float())
    gap = ((value - exact_value).norm() / exact_value.norm()).item()
    assert 2**-12 < gap < 2**-5


def test_compile_hands_both_networks_to_the_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    graphs = []

    def backend(graph: torch.fx.GraphModule, _: Any) -> Any:
        graphs.append(str(graph.code))
        return graph.forward

    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=backend))
    agent = Agent("normal_std", dataclasses.replace(SMALL, env_id="Reacher-v5"), Numerics(compile=True), seed=0)
    observations = torch.zeros(2, 10)
    assert agent.policy(observations).mean.shape == (2, 2)
    assert agent.value(observations).shape == (2,)
    assert [code.count("linear(") for code in graphs] == [3, 3]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch's compiler calls a C++ compiler")
def test_a_compiled_run_is_the_eager_one_up_to_round_off() -> None:
    run, hp = Run(condition="normal_std", seed=0), dataclasses.replace(SMALL, total_timesteps=2 * 256)
    eager, compiled, again = (
        trained(run, hp, dataclasses.replace(DOUBLE, compile=is_compiled))[0] for is_compiled in (False, True, True)
    )
    for ours, theirs in zip(compiled, eager, strict=True):
        assert gap(ours, theirs) < 1e-12
        np.testing.assert_allclose(numbers(ours), numbers(theirs), rtol=1e-9, atol=1e-12)
    assert [record.params_sha256 for record in compiled] == [record.params_sha256 for record in again]


def test_one_ulp_is_the_engine_own_perturbation() -> None:
    plain = flat(PPO(Run(condition="normal_std", seed=0), SMALL, DOUBLE).agent.tensors())
    moved = flat(PPO(Run(condition="normal_std", seed=0, replicate=5), SMALL, DOUBLE).agent.tensors())
    assert np.flatnonzero(plain != moved).tolist() == [4]
    theirs = Cohort([Run(condition="normal_std", seed=0, replicate=5)], SMALL, "float64").agent.parameters(0)
    assert np.array_equal(moved, theirs)


@pytest.mark.parametrize("condition", ["mvn_std", "normal_std"])
def test_a_run_that_blows_up_says_so(condition: Condition) -> None:
    hp = dataclasses.replace(SMALL, learning_rate=1e30)
    records, outcome = trained(Run(condition=condition, seed=0), hp, Numerics())
    assert records == []
    assert outcome == Failure("parameters became non-finite at update 1")
