"""Many Gymnasium environments as one, each of which can be put aside and taken up again."""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from agents.environments import snapshots

Stepped = tuple[NDArray[Any], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]
"""Observations, rewards, terminations, truncations, infos."""


class PlainVectorEnv(VectorEnv[Any, Any, Any]):
    """Gymnasium's `SyncVectorEnv` for flat observations, without the infos, which cost as much as a step of MuJoCo.

    An environment resets in the same step in which its episode ends.
    """

    def __init__(self, make: Callable[[], gym.Env[Any, Any]], num_envs: int) -> None:
        self._envs = [make() for _ in range(num_envs)]
        first = self._envs[0]
        self.metadata = {**first.metadata, "autoreset_mode": AutoresetMode.SAME_STEP}
        self.num_envs = num_envs
        self.single_observation_space = first.observation_space
        self.single_action_space = first.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

    def reset(
        self,
        *,
        seed: Any = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """Begin all episodes. **Arguments**: as in `SyncVectorEnv`."""
        seeds = [seed + index for index in range(self.num_envs)] if isinstance(seed, int) else seed
        each = zip(self._envs, seeds or [None] * self.num_envs, strict=True)
        return np.stack([env.reset(seed=one, options=options)[0] for env, one in each]), {}

    def step(self, actions: NDArray[Any]) -> Stepped:
        """Step all. Where an episode has ended, `infos["final_obs"]` has its last observation."""
        observations, rewards, terminated, truncated, _ = zip(
            *(env.step(action) for env, action in zip(self._envs, actions, strict=True)), strict=True
        )
        return self._begin_where_ended(
            np.array(observations), np.array(rewards, dtype=np.float64), np.array(terminated), np.array(truncated)
        )

    def state(self, index: int) -> snapshots.State | None:
        """What one environment's future depends on; None if nobody knows."""
        return snapshots.capture(self._envs[index])

    def restore(self, index: int, state: snapshots.State) -> None:
        """Put one environment where another of its kind was. **Arguments**: `state`, the other's."""
        snapshots.restore(self._envs[index], state)

    def close_extras(self, **_: Any) -> None:
        """Close every environment."""
        for env in self._envs:
            env.close()

    def _begin_where_ended(
        self,
        observations: NDArray[Any],
        rewards: NDArray[np.float64],
        terminated: NDArray[np.bool_],
        truncated: NDArray[np.bool_],
    ) -> Stepped:
        """Return what a step returns, with the next episode's first observation where one has ended."""
        ended = terminated | truncated
        infos: dict[str, Any] = {}
        if ended.any():
            infos["final_obs"] = np.full(self.num_envs, None, dtype=object)
            for index in np.flatnonzero(ended):
                infos["final_obs"][index] = observations[index].copy()
                observations[index], _ = self._envs[index].reset()
        return observations, rewards, terminated, truncated, infos
