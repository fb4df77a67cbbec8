"""Running normalisation of observations and rewards, in float64, with one set of statistics for each run.

`agents.environments.normalised` is the same for one run, and lists the differences from CleanRL's.
"""

import copy
import functools
from collections.abc import Sequence

import numpy as np
from gymnasium.wrappers.utils import update_mean_var_count_from_moments

from agents.environments import Array, Flags
from agents.environments.clipping import clipped
from agents.hyperparameters import Hyperparameters

LIMIT = 10.0
"""Normalised observations and rewards are clipped to this magnitude."""

EPSILON = 1e-8
"""Added to a variance before it divides."""


class RunningMeanVar:
    """Running mean and variance by run, by the algorithm of Chan et al. that Gymnasium's wrappers use."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        """Start at mean 0 and variance 1. The statistics have the shape `[runs, ...]`."""
        self.mean = np.zeros(shape)
        self.var = np.ones(shape)
        self.count = 1e-4

    def update(self, batch: Array) -> None:
        """Take in `[runs, envs, ...]`, a sample from each environment."""
        mean, var = _moments(batch.swapaxes(0, 1))
        self.mean, self.var, self.count = update_mean_var_count_from_moments(
            self.mean, self.var, self.count, mean, var, batch.shape[1]
        )

    def update_by_step(self, batches: Array) -> Array:
        """Take in `[runs, steps, envs]`, one step after the other, into statistics of shape `[runs]`.

        Returns:
            The variance after each step, `[runs, steps]`, as if `update` were called for each. Cumulative sums make all
            steps cost as much as one.
        """
        envs = batches.shape[2]
        mean, var = _moments(np.moveaxis(batches, 2, 0))
        counts = self.count + envs * np.arange(batches.shape[1] + 1)
        means = np.cumsum(np.column_stack([self.count * self.mean, envs * mean]), axis=1) / counts
        between = (mean - means[:, :-1]) ** 2 * counts[:-1] / counts[1:]
        variances: Array = np.cumsum(np.column_stack([self.count * self.var, envs * (var + between)]), axis=1) / counts
        self.mean, self.var, self.count = means[:, -1], variances[:, -1], float(counts[-1])
        return variances[:, 1:]

    def of(self, runs: Sequence[int]) -> "RunningMeanVar":
        """Return a copy of the statistics of some runs, each as often as it is named."""
        chosen = RunningMeanVar(())
        chosen.mean, chosen.var, chosen.count = self.mean[runs], self.var[runs], self.count
        return chosen


class Normaliser:
    """The normalisation between the environments and the agents of a cohort, with each run's own running statistics.

    Attributes:
        seen: Statistics of the observations.
        earned: Statistics of the discounted returns.
        discounted_returns: The discounted returns of the running episodes, `[runs, envs]`.
    """

    def __init__(self, runs: int, observation: int, hyperparameters: Hyperparameters) -> None:
        self._norm_obs, self._norm_reward = hyperparameters.norm_obs, hyperparameters.norm_reward
        self._gamma = hyperparameters.gamma
        self.seen = RunningMeanVar((runs, observation))
        self.earned = RunningMeanVar((runs,))
        self.discounted_returns = np.zeros((runs, hyperparameters.num_envs))

    def observe(self, observations: Array) -> Array:
        """Take in and normalise what the policy sees next, `[runs, envs, observation]`."""
        if self._norm_obs:
            self.seen.update(observations)
        return self.normalise(observations)

    def normalise(self, observations: Array) -> Array:
        """Normalise `[runs, envs, observation]` by the statistics so far, and leave these as they are."""
        if not self._norm_obs:
            return observations
        mean, var = self.seen.mean[:, None], self.seen.var[:, None]
        return clipped((observations - mean) / np.sqrt(var + EPSILON), -LIMIT, LIMIT)

    def rewards(self, rewards: Array, terminated: Flags, truncated: Flags) -> Array:
        """Take in and normalise a rollout's rewards: Gymnasium's `vector.NormalizeReward`, for all its steps at once.

        They are divided by the running standard deviation of the discounted return, and not centred.

        Args:
            rewards: `[runs, steps, envs]`.
            terminated: Where episodes terminated, `[runs, steps, envs]`.
            truncated: Where they were truncated, `[runs, steps, envs]`.

        Returns:
            The normalised rewards, `[runs, steps, envs]`.
        """
        if not self._norm_reward:
            return rewards
        returns = np.empty_like(rewards)
        current, ended = self.discounted_returns, terminated | truncated
        for step in range(rewards.shape[1]):
            returns[:, step] = current * self._gamma * ~terminated[:, step] + rewards[:, step]
            current = np.where(ended[:, step], 0.0, returns[:, step])
        self.discounted_returns = current
        std = np.sqrt(self.earned.update_by_step(returns) + EPSILON)
        return clipped(rewards / std[:, :, None], -LIMIT, LIMIT)

    def of(self, runs: Sequence[int]) -> "Normaliser":
        """Return a copy for some runs, each as often as it is named."""
        chosen = copy.copy(self)
        chosen.seen, chosen.earned = self.seen.of(runs), self.earned.of(runs)
        chosen.discounted_returns = self.discounted_returns[runs]
        return chosen


def _moments(samples: Array) -> tuple[Array, Array]:
    """Return mean and variance over the first axis, by sums that add one sample after the other.

    NumPy's reductions choose the order of summation by the layout of the whole array, and so by the number of runs.
    """
    mean = functools.reduce(np.add, samples) / len(samples)
    return mean, functools.reduce(np.add, np.square(samples - mean)) / len(samples)
