"""What a study rests on: a run has the same bits again, and alone, and in any company."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.cohort import Cohort
from agents.cohort.replay import behaviour_run
from agents.conditions import Condition
from agents.fingerprints import fingerprint
from agents.hyperparameters import Hyperparameters, Precision
from agents.records import Failure, Outcome, Record, Run

SMALL = Hyperparameters(
    total_timesteps=1024, num_envs=2, num_steps=256, num_minibatches=4, update_epochs=2, hidden_size=16, eval_episodes=2
)
RUNS = [Run(condition=condition, seed=seed) for seed in range(3) for condition in get_args(Condition)]


def records(runs: Sequence[Run], hp: Hyperparameters, precision: Precision) -> dict[Run, list[str]]:
    """Every record of every run, written out, so that equal means equal to the bit and NaN equals NaN."""
    cohort = Cohort(runs, hp, precision)
    lines: dict[Run, list[str]] = {run: [] for run in runs}
    for by_place in cohort.train():
        for place, record in by_place.items():
            lines[runs[place]].append(repr(record))
    for run, outcome in zip(runs, cohort.outcomes(), strict=True):
        lines[run].append(repr(outcome))
    return lines


@pytest.mark.parametrize("precision", get_args(Precision))
def test_a_run_repeats_bit_for_bit(precision: Precision) -> None:
    assert records(RUNS[:4], SMALL, precision) == records(RUNS[:4], SMALL, precision)


@pytest.mark.slow
@pytest.mark.parametrize("precision", get_args(Precision))
@pytest.mark.parametrize(
    ("env_id", "num_envs", "num_steps", "num_minibatches"),
    [
        ("Pendulum-v1", 4, 64, 4),
        ("Pendulum-v1", 9, 37, 9),
        ("Reacher-v5", 2, 50, 2),
        ("Hopper-v5", 1, 74, 2),
        ("HalfCheetah-v5", 2, 74, 4),
    ],
)
def test_a_run_has_the_same_bits_in_any_batch(
    env_id: str, num_envs: int, num_steps: int, num_minibatches: int, precision: Precision
) -> None:
    hp = Hyperparameters(
        env_id=env_id, num_envs=num_envs, num_steps=num_steps, num_minibatches=num_minibatches, update_epochs=3,
        total_timesteps=2 * num_envs * num_steps, eval_episodes=1,
    )  # fmt: skip
    together = records(RUNS, hp, precision)

    @settings(max_examples=8, deadline=None, database=None, derandomize=True)
    @given(st.lists(st.sampled_from(RUNS), min_size=1, max_size=7, unique=True))
    def check(company: list[Run]) -> None:
        apart = records(company, hp, precision)
        assert apart == {run: together[run] for run in company}

    check()
    for run in RUNS[:4]:
        assert records([run], hp, precision) == {run: together[run]}


@pytest.mark.parametrize("precision", get_args(Precision))
@pytest.mark.parametrize(
    "changes",
    [
        {"state_dependent_scale": True, "scale_transform": "softplus", "ent_coef": 0.01, "env_id": "Reacher-v5"},
        {"state_dependent_scale": True, "scale_transform": "softplus", "clip_vloss": False},
        {"rollouts": "shared"},
    ],
)
def test_variants_have_the_same_bits_in_any_batch(changes: dict[str, Any], precision: Precision) -> None:
    hp = dataclasses.replace(SMALL, num_steps=74, num_minibatches=4, total_timesteps=2 * 148, **changes)
    together = records(RUNS, hp, precision)
    for company in (RUNS[:1], RUNS[3:4], RUNS[2:9], RUNS[::-2]):
        assert records(company, hp, precision) == {run: together[run] for run in company}


@pytest.mark.slow
@pytest.mark.parametrize("precision", get_args(Precision))
def test_a_run_has_the_same_bits_in_a_large_batch(precision: Precision) -> None:
    hp = Hyperparameters(
        num_envs=4, num_steps=64, num_minibatches=4, hidden_size=32, total_timesteps=512, eval_episodes=1
    )
    crowd = [Run(condition=condition, seed=seed) for condition in get_args(Condition) for seed in range(12)]
    together = records(crowd, hp, precision)
    for company in (crowd[:1], crowd[5:45], crowd[::-5], crowd[-1:]):
        assert records(company, hp, precision) == {run: together[run] for run in company}


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("env_id", ["Pendulum-v1", "Hopper-v5"])
@pytest.mark.parametrize("precision", get_args(Precision))
def test_a_run_resumes_from_a_checkpoint_with_the_same_bits(
    env_id: str, precision: Precision, optimizer: Literal["adam", "sgd"]
) -> None:
    hp = dataclasses.replace(
        SMALL, env_id=env_id, optimizer=optimizer, num_steps=64, num_minibatches=2, total_timesteps=4 * 128,
        rollouts="shared" if optimizer == "sgd" else "own",
    )  # fmt: skip
    company, others = RUNS[:4], [RUNS[1], RUNS[3]]
    whole = records(company, hp, precision)

    before = Cohort(company, hp, precision)
    updates = before.train()
    next(updates)
    next(updates)
    states = [before.state(company.index(run)) for run in others]
    next(updates)  # what is put aside must not change with what goes on
    after = Cohort(others, hp, precision)
    after.restore([state for state in states if state is not None])
    rest = list(after.train())
    for place, (run, outcome) in enumerate(zip(others, after.outcomes(), strict=True)):
        assert [*(repr(update[place]) for update in rest), repr(outcome)] == whole[run][2:]


def test_runs_of_a_seed_share_their_random_numbers() -> None:
    single = Cohort([Run(condition="mvn_std", seed=3)], SMALL, "float32")
    double = Cohort([Run(condition="normal_std", seed=3), Run(condition="normal_std", seed=4)], SMALL, "float64")
    assert torch.equal(single.agent.weights[0], double.agent.weights[0].float())
    first, second = single.actors, double.actors
    noise = second.draw_noise(np.dtype(np.float64))
    assert np.array_equal(first.draw_noise(np.dtype(np.float32))[0], noise[0].astype(np.float32))
    assert np.array_equal(first.observations[0], second.observations[0])
    assert not np.array_equal(noise[0], noise[1])


def test_a_record_is_the_run_own_state() -> None:
    cohort = Cohort(RUNS[:2], SMALL, "float64")
    first, second = cohort.train()
    record = second[1]
    own = fingerprint(cohort.agent.tensors(1), cohort._origins[1], update=2)
    assert vars(record).items() >= own.items()
    assert (record.update, record.global_step) == (2, 1024)
    assert record.std == pytest.approx(np.exp(cohort.agent.raw_scale[1, 0, 0]))
    assert first[1].params_sha256 != record.params_sha256 != second[0].params_sha256


def test_outcomes_are_what_the_records_say() -> None:
    cohort = Cohort(RUNS[:2], dataclasses.replace(SMALL, total_timesteps=4000, num_steps=200), "float32")
    updates = list(cohort.train())
    for place, outcome in enumerate(cohort.outcomes()):
        assert isinstance(outcome, Outcome)
        history = [update[place] for update in updates]
        assert outcome.auc_return == pytest.approx(np.mean([record.episodic_return for record in history]))
        assert sum(record.episodes for record in history) == 20
        # Two environments finish together: a tenth of 20 episodes are the two that ended last.
        assert outcome.final_return == pytest.approx(history[-1].episodic_return)
        assert outcome.final_std == pytest.approx(history[-1].std)
        assert -2000 < outcome.eval_return < 0


def test_one_ulp_changes_a_run_by_round_off_first() -> None:
    def first_gap(precision: Precision) -> float:
        runs = [Run(condition="normal_std", seed=0), Run(condition="normal_std", seed=0, replicate=1)]
        by_place: dict[int, Record] = next(Cohort(runs, SMALL, precision).train())
        difference = np.subtract(by_place[0].fingerprint, by_place[1].fingerprint)
        return float(np.linalg.norm(difference) / by_place[0].params_norm)

    assert 1e-9 < first_gap("float32") < 1e-5
    assert 1e-18 < first_gap("float64") < 1e-14


@pytest.mark.parametrize("precision", get_args(Precision))
def test_shared_rollouts_are_the_behaviour_runs_own(precision: Precision) -> None:
    """A leader that follows itself learns what it would alone, and its followers learn from just that."""
    shared = dataclasses.replace(SMALL, rollouts="shared")
    leaders = [run for run in RUNS if run == behaviour_run(run)]
    assert {run.condition for run in leaders} == {"normal_sqrt", "normal_std"}
    assert records(leaders, shared, precision) == records(leaders, SMALL, precision)

    follower = Run(condition="mvn_var", seed=1)
    alone = Cohort([behaviour_run(follower)], SMALL, precision)
    following = Cohort([follower, Run(condition="normal_std", seed=1, replicate=1)], shared, precision)
    by_leader, by_followers = next(alone.train()), next(following.train())
    assert np.array_equal(following.actors.observations, alone.actors.observations)
    assert torch.equal(following.agent.weights[0], alone.agent.weights[0])
    assert sorted(by_followers) == [0, 1]
    for record in by_followers.values():
        assert record.episodic_return == by_leader[0].episodic_return
        assert record.params_sha256 != by_leader[0].params_sha256
        np.testing.assert_allclose(record.fingerprint, by_leader[0].fingerprint, atol=1e-4)


def test_a_follower_fails_with_its_leader() -> None:
    cohort = Cohort(RUNS[:4], dataclasses.replace(SMALL, rollouts="shared"), "float32")
    cohort.agent.raw_scale[0] = np.nan  # of the leader of the two whose scale is a variance
    updates = list(cohort.train())
    assert sorted(updates[0]) == [1, 3]
    reason = "parameters became non-finite at update 1"
    follower = Failure(f"the run from whose rollouts it learns has failed: {reason}")
    assert cohort.failures == {0: follower, 2: Failure(reason)}


def test_a_run_that_fails_is_named_and_the_others_never_notice() -> None:
    company = records([RUNS[0], RUNS[1], RUNS[2], RUNS[3]], SMALL, "float32")
    cohort = Cohort(RUNS[:4], SMALL, "float32")
    cohort.agent.raw_scale[0] = np.nan
    updates = list(cohort.train())
    outcomes = cohort.outcomes()
    assert [sorted(update) for update in updates] == [[1, 2, 3], [1, 2, 3]]
    assert outcomes[0] == Failure("parameters became non-finite at update 1")
    for place in (1, 2, 3):
        lines = [repr(update[place]) for update in updates] + [repr(outcomes[place])]
        assert lines == company[RUNS[place]]


def test_a_cohort_whose_runs_have_all_failed_stops() -> None:
    cohort = Cohort(RUNS[:2], dataclasses.replace(SMALL, total_timesteps=5120), "float32")
    cohort.agent.weights.fill_(torch.inf)
    assert len(list(cohort.train())) == 1
    assert all(isinstance(outcome, Failure) for outcome in cohort.outcomes())


def test_a_run_without_an_episode_has_no_outcome() -> None:
    hp = dataclasses.replace(SMALL, total_timesteps=64, num_steps=32, num_minibatches=1)
    cohort = Cohort(RUNS[:1], hp, "float32")
    (update,) = cohort.train()
    assert np.isnan(update[0].episodic_return)
    assert cohort.outcomes() == [Failure("no training episode ended: train for longer")]


def test_threads_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    torch.set_num_threads(2)
    Cohort(RUNS[:1], SMALL, "float32")
    assert "use_one_thread()" in caplog.text
