"""Running normalisation of observations and rewards, in float64, with one set of statistics a run.

CleanRL's, with two more differences: the discounted return starts anew also where an episode was truncated, as in
Gymnasium's vector wrapper, and an episode's last observation, which no action follows, isn't counted.
"""

import functools

import numpy as np
from gymnasium.wrappers.utils import update_mean_var_count_from_moments

from agents.environments import Array, Step
from agents.envstate import State
from agents.hyperparameters import Hyperparameters

LIMIT = 10.0
"""Normalised observations and rewards are clipped to this magnitude."""

EPSILON = 1e-8
"""Added to a variance before it divides."""


class RunningMeanVar:
    """Running mean and variance by run, by the algorithm of Chan et al. that Gymnasium's wrappers use."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        """Start at mean 0 and variance 1. **Arguments**: `shape`, of the statistics, `[runs, ...]`."""
        self.mean = np.zeros(shape)
        self.var = np.ones(shape)
        self.count = 1e-4

    def update(self, batch: Array) -> None:
        """Take in `[runs, envs, ...]`, a sample from each environment."""
        count = batch.shape[1]
        # One environment after the other: numpy's reductions choose their order of summation by the layout of the
        # whole array, and so by how many runs there are.
        mean = functools.reduce(np.add, batch.swapaxes(0, 1)) / count
        var = functools.reduce(np.add, np.square(batch - mean[:, None]).swapaxes(0, 1)) / count
        self.mean, self.var, self.count = update_mean_var_count_from_moments(
            self.mean, self.var, self.count, mean, var, count
        )

    def state(self, run: int) -> State:
        """One run's statistics."""
        return {"mean": np.array(self.mean[run]), "var": np.array(self.var[run]), "count": self.count}

    def restore(self, run: int, state: State) -> None:
        """Take over another's. The count is the same for all runs."""
        self.mean[run], self.var[run], self.count = state["mean"], state["var"], state["count"]


class Normaliser:
    """What stands between the environments and the agents of a cohort: each run's own running statistics."""

    def __init__(self, runs: int, observation: int, hyperparameters: Hyperparameters) -> None:
        self._norm_obs, self._norm_reward = hyperparameters.norm_obs, hyperparameters.norm_reward
        self._gamma = hyperparameters.gamma
        self._observations = RunningMeanVar((runs, observation))
        self._returns = RunningMeanVar((runs,))
        self._discounted_returns = np.zeros((runs, hyperparameters.num_envs))

    def reset(self, observations: Array) -> Array:
        """Take in and normalise the first observations, `[runs, envs, observation]`."""
        self._observations.update(observations)
        return self.normalise(observations)

    def step(self, step: Step) -> Step:
        """Take in what the policy sees next and what it earned, and return the step normalised."""
        self._observations.update(step.observations)
        observations = next_observations = self.normalise(step.observations)
        if step.ended.any():
            next_observations = np.where(step.ended[:, :, None], self.normalise(step.next_observations), observations)
        return step._replace(
            observations=observations,
            next_observations=next_observations,
            rewards=self._normalise_rewards(step),
        )

    def normalise(self, observations: Array) -> Array:
        """Normalise `[runs, envs, observation]` by the statistics so far, and leave these as they are."""
        if not self._norm_obs:
            return observations
        mean, var = self._observations.mean[:, None], self._observations.var[:, None]
        return np.clip((observations - mean) / np.sqrt(var + EPSILON), -LIMIT, LIMIT)

    def state(self, run: int) -> State:
        """What one run's normalisation depends on."""
        return {
            "observations": self._observations.state(run),
            "returns": self._returns.state(run),
            "discounted_returns": self._discounted_returns[run].copy(),
        }

    def restore(self, run: int, state: State) -> None:
        """Take over another run's."""
        self._observations.restore(run, state["observations"])
        self._returns.restore(run, state["returns"])
        self._discounted_returns[run] = state["discounted_returns"]

    def _normalise_rewards(self, step: Step) -> Array:
        """As Gymnasium's `vector.NormalizeReward`: by the deviation of the discounted return, not centred."""
        if not self._norm_reward:
            return step.rewards
        self._discounted_returns = self._discounted_returns * self._gamma * ~step.terminated + step.rewards
        self._returns.update(self._discounted_returns)
        self._discounted_returns[step.ended] = 0.0
        return np.clip(step.rewards / np.sqrt(self._returns.var[:, None] + EPSILON), -LIMIT, LIMIT)
