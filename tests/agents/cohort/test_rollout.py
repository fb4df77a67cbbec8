"""Advantages against their definition, and what a rollout holds."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from agents.cohort.actors import Actors, collect, evaluate
from agents.cohort.networks import ActorCritic
from agents.cohort.normalisation import Normaliser
from agents.cohort.rollout import Rollout, estimate_advantages
from agents.environments import CohortEnvironments
from agents.hyperparameters import Hyperparameters
from agents.randomness import streams

ENDS = st.lists(st.sampled_from(["goes on", "terminated", "truncated"]), min_size=1, max_size=12)


@given(ENDS, st.floats(0, 1), st.floats(0, 1))
def test_advantages_are_their_definition(ends: list[str], gamma: float, gae_lambda: float) -> None:
    rng = np.random.default_rng(len(ends))
    steps = len(ends)
    rewards, values, next_values = rng.normal(size=(3, steps))
    terminated = np.array([end == "terminated" for end in ends])
    done = np.array([end != "goes on" for end in ends])

    # Schulman et al. 2016: A_t is the sum over l of (gamma lambda)^l delta_{t+l}, to the end of t's episode.
    errors = rewards + gamma * np.where(terminated, 0.0, next_values) - values
    expected = np.zeros(steps)
    for start in range(steps):
        for step in range(start, steps):
            expected[start] += (gamma * gae_lambda) ** (step - start) * errors[step]
            if done[step]:
                break

    empty = np.empty(0)
    rewards, terminated, truncated, values, next_values = (
        array.reshape(1, steps, 1) for array in (rewards, terminated, done & ~terminated, values, next_values)
    )
    rollout = Rollout(empty, empty, empty, rewards, terminated, truncated, [], np.zeros(1, np.int64))
    ours = estimate_advantages(rollout, values, next_values, gamma, gae_lambda)
    np.testing.assert_allclose(ours.ravel(), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("state_dependent_scale", [False, True])
def test_a_rollout_holds_what_the_environments_did(state_dependent_scale: bool) -> None:
    hyperparameters = Hyperparameters(
        num_envs=2, num_steps=250, num_minibatches=1, norm_obs=False, norm_reward=False, hidden_size=16,
        state_dependent_scale=state_dependent_scale,
    )  # fmt: skip
    random = [streams(seed, num_envs=2) for seed in (1, 2)]
    actors = Actors(random, hyperparameters)
    agent = ActorCritic([0, 1], 3, 1, hyperparameters, torch.float64)
    noise = np.random.default_rng(0).normal(size=(2, 250, 2, 1))
    rollout = collect(agent, ["mvn_std", "normal_std"], actors, noise)

    replayed = CohortEnvironments("Pendulum-v1", [own.environments for own in random])
    assert np.array_equal(replayed.reset(), rollout.observations[:, 0])
    for step in range(250):
        again = replayed.step(rollout.actions[:, step].astype(np.float64))
        assert np.array_equal(again.rewards, rollout.rewards[:, step])
        assert np.array_equal(again.next_observations, rollout.next_observations[:, step])
        assert np.array_equal(again.truncated, rollout.truncated[:, step])
    assert np.array_equal(again.observations, actors.observations)
    assert [len(returns) for returns in rollout.episodic_returns] == [2, 2]
    mean, phi = agent.act(rollout.observations[:, 7])
    std = np.exp(phi / np.array([2, 1])[:, None, None])  # a variance, and a standard deviation
    np.testing.assert_allclose(rollout.actions[:, 7], mean + std * noise[:, 7], rtol=1e-12)
    np.testing.assert_allclose(rollout.episodic_returns[0], rollout.rewards[0, :200].sum(0), rtol=1e-12)


def test_evaluation_is_each_first_episode_of_the_mean_policy() -> None:
    hyperparameters = Hyperparameters(num_envs=3, hidden_size=16, norm_obs=False)
    agent = ActorCritic([0], 3, 1, hyperparameters, torch.float64)
    normaliser = Normaliser(1, 3, hyperparameters)
    returns = evaluate(agent, CohortEnvironments("Pendulum-v1", [[7, 8, 9]]), normaliser)
    cohort = CohortEnvironments("Pendulum-v1", [[7, 8, 9]])
    observations, totals = cohort.reset(), np.zeros((1, 3))
    for _ in range(200):
        step = cohort.step(agent.act(observations)[0].astype(np.float64))
        observations, totals = step.observations, totals + step.rewards
    np.testing.assert_allclose(returns, totals, rtol=1e-12)


def test_lengths_of_episodes_are_counted_across_rollouts() -> None:
    hyperparameters = Hyperparameters(
        env_id="InvertedPendulum-v5", num_envs=2, num_steps=7, num_minibatches=1, hidden_size=16
    )
    random = [streams(seed, num_envs=2) for seed in (1, 2)]
    actors = Actors(random, hyperparameters)
    agent = ActorCritic([0, 1], 4, 1, hyperparameters, torch.float64)
    replayed = CohortEnvironments(hyperparameters.env_id, [own.environments for own in random])
    replayed.reset()
    ages, lengths = np.zeros((2, 2), int), []
    for _ in range(8):
        rollout = collect(agent, ["mvn_std", "normal_std"], actors, actors.draw_noise(np.dtype(np.float64)))
        expected = np.zeros(2, int)
        for step in range(7):
            ages += 1
            ended = replayed.step(rollout.actions[:, step].astype(np.float64)).ended
            expected += np.where(ended, ages, 0).sum(1)
            lengths += ages[ended].tolist()
            ages[ended] = 0
        assert np.array_equal(rollout.episodic_steps, expected)
    assert min(lengths) < 7 < max(lengths)
