"""A run's environments as its policy sees them: CleanRL's stack of wrappers, for `agents.ppo`.

The differences from CleanRL's wrappers:

- A run's environments share their running statistics. CleanRL's wrappers have those of one environment each.
- An episode's last observation, which no action follows, is normalised but not counted. CleanRL counts it.
- The discounted return, whose variance scales rewards, starts at zero in each episode, as in Gymnasium's
  `vector.NormalizeReward`. CleanRL's continues past a truncation, and from the reward with which an episode terminated.
- Actions and observations stay in float64. CleanRL's observations are float32, as Gymnasium's Pendulum has them.
- Either normalisation can be turned off, and observations that aren't flat are refused.
"""

import copy
from collections.abc import Sequence

import gymnasium as gym
import numpy as np
from gymnasium.wrappers.utils import RunningMeanStd

from agents.environments import Array, Flags, Step, make_vector
from agents.errors import EnvironmentFailedError
from agents.hyperparameters import Hyperparameters

LIMIT = 10.0
"""Normalised observations and rewards are clipped to this magnitude."""

EPSILON = 1e-8
"""Added to a variance before it divides."""


class NormalisedEnvs:
    """Environments that clip actions to their bounds, and normalise observations and rewards by running statistics.

    An environment resets in the step in which its episode ends.

    Attributes:
        seen: Statistics of the observations.
        unfinished: How many steps each environment's present episode has, `[envs]`.
    """

    def __init__(self, hyperparameters: Hyperparameters, step_timeout: float | None = None) -> None:
        """Make the environments.

        Args:
            hyperparameters: The run's.
            step_timeout: Seconds that a step or a reset may take; None for any.

        Raises:
            UnsuitableEnvironmentError: There is no environment of this name, or not of this kind.
        """
        self._hp = hyperparameters
        self._step_timeout = step_timeout
        self._begin(hyperparameters.num_envs)
        self.seen = RunningMeanStd(shape=self._envs.single_observation_space.shape)
        self._earned = RunningMeanStd(shape=())

    def reset(self, seeds: Sequence[int]) -> Array:
        """Begin every environment's first episode, and return its observations, `[envs, observation]`.

        Raises:
            EnvironmentFailedError: An environment raised an error, returned a malformed value, or took too long.
        """
        observed, _ = self._envs.reset(seed=list(seeds))
        self._require_sound()
        return self._see(observed)

    def step(self, actions: Array) -> Step:
        """Step every environment by its action, `[envs, action]`.

        Raises:
            EnvironmentFailedError: An environment raised an error, returned a malformed value, or took too long.
        """
        space = self._envs.single_action_space
        assert isinstance(space, gym.spaces.Box)
        within_bounds = np.clip(actions.astype(np.float64), space.low.astype(np.float64), space.high.astype(np.float64))
        observed, rewards, terminated, truncated, infos = self._envs.step(within_bounds)
        self._require_sound()
        ended = terminated | truncated
        observations = self._see(observed)
        next_observations = observations.copy()
        self._returns += rewards
        episodic_returns = np.where(ended, self._returns, np.nan)
        self._returns[ended] = 0.0
        self.unfinished += 1
        self.unfinished[ended] = 0
        if ended.any():
            next_observations[ended] = self._normalise(np.stack(infos["final_obs"][ended]))
        rewards = self._normalise_rewards(rewards, terminated, ended)
        return Step(observations, next_observations, rewards, terminated, truncated, episodic_returns)

    def frozen(self, count: int) -> "NormalisedEnvs":
        """Return other environments, `count` of them, that normalise by the statistics so far without updating them."""
        others = copy.copy(self)
        others._begin(count)
        others._is_learning = False
        return others

    def rest(self, which: Flags) -> None:
        """Stop stepping some environments, `[envs]`."""
        self._envs.resting |= which

    def close(self) -> None:
        """Close every environment."""
        self._envs.close()

    def _begin(self, count: int) -> None:
        self._envs = make_vector(self._hp.env_id, count, step_timeout=self._step_timeout)
        self._returns, self._discounted_returns = np.zeros(count), np.zeros(count)
        self.unfinished = np.zeros(count, np.int64)
        self._is_learning = True

    def _require_sound(self) -> None:
        for reason in self._envs.failures.values():
            raise EnvironmentFailedError(reason)

    def _see(self, observations: Array) -> Array:
        if self._hp.norm_obs and self._is_learning:
            self.seen.update(observations.astype(np.float64))
        return self._normalise(observations)

    def _normalise(self, observations: Array) -> Array:
        if not self._hp.norm_obs:
            return observations.astype(np.float64)
        return np.clip((observations - self.seen.mean) / np.sqrt(self.seen.var + EPSILON), -LIMIT, LIMIT)

    def _normalise_rewards(self, rewards: Array, terminated: Flags, ended: Flags) -> Array:
        """Divide rewards by the running standard deviation of the discounted return."""
        if not (self._hp.norm_reward and self._is_learning):
            return rewards
        self._discounted_returns = self._discounted_returns * self._hp.gamma * ~terminated + rewards
        self._earned.update(self._discounted_returns)
        self._discounted_returns[ended] = 0.0
        return np.clip(rewards / np.sqrt(self._earned.var + EPSILON), -LIMIT, LIMIT)
