"""Perturbations: of the size that they say, of their own run alone, in both engines."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from agents.cohort import Cohort
from agents.fingerprints import flat
from agents.hyperparameters import Hyperparameters, Perturbation
from agents.numerics import Numerics
from agents.perturbation import jitter
from agents.ppo import PPO
from agents.records import Failure, Run
from agents.reference import Reference
from study.config.run_config import RunConfig, make_config
from study.config.sweepfile import read_configs
from study.store.run_store import RunStore
from study.training import cohort as training
from tests.helpers.sweeps import write_sweep

SMALL = Hyperparameters(
    total_timesteps=256, num_envs=2, num_steps=64, num_minibatches=4, update_epochs=2, hidden_size=16, eval_episodes=1
)
PLAIN, PERTURBED = Run(condition="normal_std", seed=1), Run(condition="normal_std", seed=1, replicate=5)


def cohort(*runs: Run, precision: str = "float64", perturbation: Perturbation = "one_ulp") -> Cohort:
    return Cohort(runs, dataclasses.replace(SMALL, perturbation=perturbation), precision)  # type: ignore[arg-type]


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_one_ulp_moves_one_weight_of_one_run_to_the_next_number(precision: str) -> None:
    both = cohort(PLAIN, PERTURBED, precision=precision)
    before, after = both.agent.parameters(0), both.agent.parameters(1)
    assert np.flatnonzero(before != after).tolist() == [4]
    assert after[4] == np.nextafter(before[4], np.inf, dtype=before.dtype)
    assert np.array_equal(before, cohort(PLAIN, precision=precision).agent.parameters(0))


@pytest.mark.parametrize("size", [2.0**-52, 1e-10, 2.0**-4])
def test_a_number_moves_it_by_so_large_a_part_of_itself(size: float) -> None:
    both = cohort(PLAIN, PERTURBED, perturbation=size)
    before, after = both.agent.parameters(0), both.agent.parameters(1)
    assert np.flatnonzero(before != after).tolist() == [4]
    assert after[4] / before[4] - 1 == pytest.approx(size, rel=1e-5, abs=2.0**-52)


@pytest.mark.parametrize("perturbation", ["one_ulp", 1e-3])
def test_both_engines_perturb_alike(perturbation: Perturbation) -> None:
    hp = dataclasses.replace(SMALL, perturbation=perturbation)
    theirs = flat(PPO(PERTURBED, hp, Numerics(precision="float64")).agent.tensors())
    assert np.array_equal(cohort(PERTURBED, perturbation=perturbation).agent.parameters(0), theirs)


def test_jitter_moves_every_weight_to_a_neighbour() -> None:
    weights = torch.linspace(-1, 1, 1001, dtype=torch.float32)
    before = weights.clone()
    jitter(weights, np.random.default_rng(0))
    up = before.nextafter(torch.full_like(before, torch.inf))
    down = before.nextafter(torch.full_like(before, -torch.inf))
    moved = before != 0
    assert ((weights == up) | (weights == down))[moved].all()
    assert (weights[~moved] == 0).all()
    assert 0.45 < (weights == up)[moved].double().mean() < 0.55


def test_jittered_runs_differ_and_repeat_in_any_batch() -> None:
    def hashes(*runs: Run) -> list[list[str]]:
        updates = list(cohort(*runs, perturbation="jitter").train())
        return [[update[place].params_sha256 for update in updates] for place in range(len(runs))]

    other = dataclasses.replace(PERTURBED, replicate=2)
    plain, perturbed, third = hashes(PLAIN, PERTURBED, other)
    assert len({plain[0], perturbed[0], third[0]}) == 3
    assert hashes(PERTURBED) == [perturbed]
    assert hashes(other, PLAIN) == [third, plain]
    assert [plain] == [[record[0].params_sha256 for record in cohort(PLAIN).train()]]


def test_a_jittered_run_resumes_with_the_same_bits() -> None:
    whole = [update[0].params_sha256 for update in cohort(PERTURBED, perturbation="jitter").train()]
    before = cohort(PERTURBED, perturbation="jitter")
    next(before.train())
    state = before.state(0)
    assert state is not None
    after = cohort(PERTURBED, perturbation="jitter")
    after.restore([state])
    assert [update[0].params_sha256 for update in after.train()] == whole[1:]


def test_a_perturbation_below_the_precision_is_a_failure(tmp_path: Path, small: Callable[..., RunConfig]) -> None:
    reason = "perturbation 1e-10 changes no bit of a weight in torch.float32"
    both = cohort(PLAIN, PERTURBED, precision="float32", perturbation=1e-10)
    assert both.failures == {1: Failure(reason)}
    assert [sorted(update) for update in both.train()] == [[0], [0]]
    hp = dataclasses.replace(SMALL, perturbation=1e-10)
    alone = Reference([PERTURBED], hp, Numerics())
    assert list(alone.train()) == []
    assert alone.outcomes() == [Failure(reason)]
    for engine in ("cohort", "reference"):
        config = small(precision="float32", replicate=1, perturbation=1e-10, engine=engine)
        training.train([config], tmp_path, "disabled")
        assert RunStore(tmp_path).summary(config) == {"status": "failed", "error": reason}


def test_an_unperturbed_run_is_the_same_whatever_others_are(tmp_path: Path) -> None:
    base = {"condition": "mvn_std", "seed": 0, "precision": "float64"}
    assert make_config({**base, "perturbation": 0.1}).id == make_config(base).id
    assert make_config({**base, "perturbation": 0.1, "replicate": 1}).id != make_config({**base, "replicate": 1}).id
    path = write_sweep(tmp_path)
    sweep = json.loads(path.read_text())
    counts = []
    for doses in (["one_ulp"], ["one_ulp", 0.1, "jitter"]):
        sweep["parameters"] |= {"replicate": {"values": [0, 1]}, "perturbation": {"values": doses}}
        path.write_text(json.dumps(sweep))
        counts.append(len(read_configs(path)))
    assert counts == [2 * 12, (1 + 3) * 12]
