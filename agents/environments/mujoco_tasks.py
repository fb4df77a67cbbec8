"""Gymnasium's MuJoCo tasks of the designs, all environments of a cohort in one step.

A third of Gymnasium's step is Python around `mj_step`, or more. Here MuJoCo steps one environment after the other, and
what is seen and earned is computed for all at once. Resets are Gymnasium's own.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from agents.environments import snapshots
from agents.environments.clipping import clipped
from agents.environments.vector import FAULTS, PlainVectorEnv, Stepped

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]


class Moved(NamedTuple):
    """How all environments have moved in a step; arrays are `[envs, ...]`."""

    actions: Array
    position: Array
    velocity: Array
    forward_velocity: Array
    """the mean velocity of the first coordinate over the step, `[envs]`"""
    each: Callable[[str], Array]
    """returns the attribute of this name of MuJoCo's data, of all environments"""
    model: Any
    """MuJoCo's model"""


Task = Callable[[Moved], tuple[Array, Array, Flags]]
"""Returns observations, rewards, and whether episodes have terminated, as Gymnasium's environment of its defaults."""


def half_cheetah(moved: Moved) -> tuple[Array, Array, Flags]:
    """Return what a step of HalfCheetah-v5 yields."""
    observations = np.concatenate([moved.position[:, 1:], moved.velocity], axis=1)
    rewards = moved.forward_velocity - 0.1 * _sum_of_squares(moved.actions)
    return observations, rewards, np.zeros(len(rewards), bool)


def hopper(moved: Moved) -> tuple[Array, Array, Flags]:
    """Return what a step of Hopper-v5 yields."""
    position, velocity = moved.position, moved.velocity
    height, angle = position[:, 1], position[:, 2]
    healthy = (height > 0.7) & (height < np.inf) & (np.abs(angle) < 0.2)
    healthy &= (np.abs(position[:, 2:]) < 100).all(1) & (np.abs(velocity) < 100).all(1)
    observations = np.concatenate([position[:, 1:], clipped(velocity, -10, 10)], axis=1)
    rewards = moved.forward_velocity + healthy - 1e-3 * _sum_of_squares(moved.actions)
    return observations, rewards, ~healthy


def reacher(moved: Moved) -> tuple[Array, Array, Flags]:
    """Return what a step of Reacher-v5 yields."""
    bodies = moved.each("xpos")
    from_target = bodies[:, moved.model.body("fingertip").id] - bodies[:, moved.model.body("target").id]
    angles = moved.position[:, :2].copy()
    observations = np.concatenate(
        [np.cos(angles), np.sin(angles), moved.position[:, 2:], moved.velocity[:, :2], from_target[:, :2]], axis=1
    )
    rewards = -np.sqrt(np.vecdot(from_target, from_target)) - _sum_of_squares(moved.actions)
    return observations, rewards, np.zeros(len(rewards), bool)


def inverted_double_pendulum(moved: Moved) -> tuple[Array, Array, Flags]:
    """Return what a step of InvertedDoublePendulum-v5 yields."""
    cart, angles = moved.position[:, :1], moved.position[:, 1:]
    force = moved.each("qfrc_constraint")[:, :1]
    observations = np.concatenate(
        [cart, np.sin(angles), np.cos(angles), clipped(moved.velocity, -10, 10), clipped(force, -10, 10)], axis=1
    )
    tip = moved.each("site_xpos")[:, 0]
    x, height = tip[:, 0], tip[:, 2]
    fallen = height <= 1
    # float_power, since Gymnasium squares scalars, as in `VectorPendulum`.
    distance_penalty = 0.01 * np.float_power(x, 2) + np.float_power(height - 2, 2)
    first, second = np.float_power(moved.velocity[:, 1:], 2).T
    return observations, 10.0 * ~fallen - distance_penalty - (1e-3 * first + 5e-3 * second), fallen


TASKS: dict[str, Task] = {
    "HalfCheetah-v5": half_cheetah,
    "Hopper-v5": hopper,
    "InvertedDoublePendulum-v5": inverted_double_pendulum,
    "Reacher-v5": reacher,
}
"""Tasks by the names of their environments."""


class VectorMujoco(PlainVectorEnv):
    """Gymnasium's environments of a task, step for step and bit for bit.

    Gymnasium computes some forces after each step that no task reads, and that MuJoCo's next step computes itself.
    They aren't computed here.
    """

    def __init__(self, task: Task, make: Callable[[], gym.Env[Any, Any]], num_envs: int, runs: int = 1) -> None:
        import mujoco

        super().__init__(make, num_envs, runs)
        spec = self._envs[0].spec
        assert spec and spec.max_episode_steps
        self._task = task
        self._time_limit = spec.max_episode_steps
        self._elapsed = np.zeros(num_envs, dtype=int)
        self._simulate = mujoco.mj_step
        cores: list[Any] = [env.unwrapped for env in self._envs]
        self._data = [core.data for core in cores]
        self._model, self._frame_skip, self._dt = cores[0].model, cores[0].frame_skip, cores[0].dt

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        """Begin all episodes, with the arguments of Gymnasium's `SyncVectorEnv`, and return observations and infos."""
        self._elapsed[:] = 0
        return super().reset(seed=seed, options=options)

    def step(self, actions: Array) -> Stepped:
        """Step all environments. Where an episode has ended, `infos["final_obs"]` has its last observation."""
        before = self._each("qpos")
        for index, (data, action) in enumerate(zip(self._data, actions, strict=True)):
            if self.resting[index]:
                continue
            try:
                data.ctrl[:] = action
                self._simulate(self._model, data, nstep=self._frame_skip)
            except FAULTS as error:
                self._fail(index, "step", error)
        position = self._each("qpos")
        forward_velocity = (position[:, 0] - before[:, 0]) / self._dt
        observations, rewards, terminated = self._task(
            Moved(actions, position, self._each("qvel"), forward_velocity, self._each, self._model)
        )
        self._elapsed += 1
        truncated = self._elapsed >= self._time_limit
        self._elapsed[terminated | truncated] = 0
        return self._begin_where_ended(observations, rewards, terminated, truncated)

    def state(self, index: int) -> snapshots.State:
        """Return one environment's state, for `restore`."""
        captured = super().state(index)
        assert captured is not None
        return {**captured, "elapsed": int(self._elapsed[index])}

    def restore(self, index: int, state: snapshots.State) -> None:
        """Give one environment a state that `state` returned."""
        super().restore(index, state)
        self._elapsed[index] = state["elapsed"]

    def _each(self, name: str) -> Array:
        return np.array([getattr(data, name) for data in self._data])


def _sum_of_squares(actions: Array) -> Array:
    total: Array = np.square(actions).sum(axis=1)
    return total
