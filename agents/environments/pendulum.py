"""Pendulum-v1, all environments of a cohort in one step, and in double precision."""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.classic_control.pendulum import DEFAULT_X, DEFAULT_Y, PendulumEnv, angle_normalize
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from agents.environments.clipping import clipped
from agents.environments.snapshots import State

Array = NDArray[np.float64]


class VectorPendulum(VectorEnv[Any, Any, Any]):
    """Gymnasium's Pendulum-v1, step for step and bit for bit, except that observations aren't rounded to float32.

    An environment resets in the same step in which its time is up, and never shares a random stream with another.

    Attributes:
        failures: Always empty: see `PlainVectorEnv`.
        resting: Which environments aren't needed any more, `[envs]`. They are stepped with the others, at no cost.
    """

    def __init__(self, num_envs: int) -> None:
        single = gym.make("Pendulum-v1")
        assert single.spec and single.spec.max_episode_steps
        assert isinstance(single.unwrapped, PendulumEnv) and isinstance(single.observation_space, gym.spaces.Box)
        self.metadata = {**single.metadata, "autoreset_mode": AutoresetMode.SAME_STEP}
        self.num_envs = num_envs
        high = single.observation_space.high.astype(np.float64)
        self.single_observation_space = gym.spaces.Box(-high, high, dtype=np.float64)
        self.single_action_space = single.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.failures: dict[int, str] = {}
        self.resting = np.zeros(num_envs, dtype=bool)
        self._physics = single.unwrapped
        self._time_limit = single.spec.max_episode_steps
        self._rngs = [seeding.np_random(None)[0] for _ in range(num_envs)]
        self._angle, self._velocity = np.zeros(num_envs), np.zeros(num_envs)
        self._elapsed = np.zeros(num_envs, dtype=int)

    def reset(
        self,
        *,
        seed: Any = None,
        options: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> tuple[Array, dict[str, Any]]:
        """Begin all episodes, and return observations and infos.

        Args:
            seed: A list with one for each environment, or a number to count up from, as in `SyncVectorEnv`.
            options: Ignored.
        """
        if seed is not None:
            seeds = [seed + index for index in range(self.num_envs)] if isinstance(seed, int) else seed
            self._rngs = [
                rng if one is None else seeding.np_random(one)[0] for rng, one in zip(self._rngs, seeds, strict=True)
            ]
        self._begin(np.ones(self.num_envs, dtype=bool))
        return self._observe(), {}

    def step(self, actions: Array) -> tuple[Array, Array, NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Step all environments by their torques, `[envs, 1]`.

        Where time is up, `infos["final_obs"]` has the last observation.
        """
        p = self._physics
        torque = clipped(actions[:, 0], -p.max_torque, p.max_torque)
        # float_power, since Gymnasium squares scalars: NumPy does so by `pow`, and squares arrays by a product, whose
        # last bit may differ.
        squared_angle, squared_velocity, squared_torque = (
            np.float_power(value, 2) for value in (angle_normalize(self._angle), self._velocity, torque)
        )
        costs = squared_angle + 0.1 * squared_velocity + 0.001 * squared_torque
        acceleration = 3 * p.g / (2 * p.l) * np.sin(self._angle) + 3.0 / (p.m * p.l**2) * torque
        self._velocity = clipped(self._velocity + acceleration * p.dt, -p.max_speed, p.max_speed)
        self._angle = self._angle + self._velocity * p.dt
        self._elapsed += 1

        truncated = self._elapsed >= self._time_limit
        observations = self._observe()
        infos: dict[str, Any] = {}
        if truncated.any():
            final = np.full(self.num_envs, None, dtype=object)
            for index in np.flatnonzero(truncated):
                final[index] = observations[index]
            infos = {"final_obs": final, "_final_obs": truncated}
            self._begin(truncated)
            observations = self._observe()
        return observations, -costs, np.zeros(self.num_envs, dtype=bool), truncated, infos

    def state(self, index: int) -> State:
        """Return one environment's state, for `restore`."""
        return {
            "physics": np.array([self._angle[index], self._velocity[index]]),
            "elapsed": int(self._elapsed[index]),
            "generator": self._rngs[index].bit_generator.state,
        }

    def restore(self, index: int, state: State) -> None:
        """Give one environment a state that `state` returned."""
        self._angle[index], self._velocity[index] = state["physics"]
        self._elapsed[index] = state["elapsed"]
        self._rngs[index].bit_generator.state = state["generator"]

    def _begin(self, which: NDArray[np.bool_]) -> None:
        high = np.array([DEFAULT_X, DEFAULT_Y])
        for index in np.flatnonzero(which):
            self._angle[index], self._velocity[index] = self._rngs[index].uniform(low=-high, high=high)
        self._elapsed[which] = 0

    def _observe(self) -> Array:
        return np.stack([np.cos(self._angle), np.sin(self._angle), self._velocity], axis=1)
