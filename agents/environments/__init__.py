"""Real Gymnasium environments for a whole cohort, in double precision whatever the precision of the agent.

Environments compute in float64 for every run; an agent in float32 rounds what it is handed, and nothing else is
rounded on the way.
"""

import functools
import logging
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from agents.environments.clipping import clipped
from agents.environments.mujoco_tasks import TASKS, VectorMujoco
from agents.environments.pendulum import VectorPendulum
from agents.environments.snapshots import State
from agents.environments.vector import PlainVectorEnv
from agents.errors import UnsuitableEnvironmentError

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Counts = NDArray[np.int64]

_REGISTERED = frozenset(gym.registry)
"""Environments that need no module's name before theirs."""


class Step(NamedTuple):
    """One step of every environment of the cohort. Arrays are `[runs, envs]`, observations `[runs, envs, size]`."""

    observations: Array
    """what the policy sees next: a new episode's first observation where one has ended"""
    next_observations: Array
    """what the action led to: the episode's last observation where it has ended"""
    rewards: Array
    terminated: Flags
    truncated: Flags
    episodic_returns: Array
    """the sum of an episode's rewards where it has ended, NaN elsewhere"""

    @property
    def ended(self) -> Flags:
        """Return where an episode has ended, terminated or truncated, `[runs, envs]`."""
        return self.terminated | self.truncated


def make(env_id: str) -> gym.Env[Any, Any]:
    """Return one environment.

    Raises:
        UnsuitableEnvironmentError: It can't be made, has another name, or isn't of a kind that can be trained in.
    """
    _keep_mujoco_quiet()
    try:
        with warnings.catch_warnings(action="ignore"):
            env = gym.make(env_id, disable_env_checker=True)
    except Exception as error:  # whatever its constructor raises
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UnsuitableEnvironmentError(f"environment {env_id!r} can't be made: {reason}") from error
    assert env.spec
    module, _, name = env_id.rpartition(":")
    if name != env.spec.id or (module and name in _REGISTERED):
        raise UnsuitableEnvironmentError(f"environment {env_id!r} is {env.spec.id!r}: call it that, and no other name")
    observations, actions = env.observation_space, env.action_space
    if not isinstance(actions, gym.spaces.Box) or len(actions.shape) != 1:
        raise UnsuitableEnvironmentError(
            f"environment {env_id!r} has the action space {actions}: a vector of continuous actions is needed"
        )
    if not isinstance(observations, gym.spaces.Box) or len(observations.shape) != 1:
        raise UnsuitableEnvironmentError(
            f"environment {env_id!r} has the observation space {observations}: a vector of numbers is needed"
        )
    if env.spec.max_episode_steps is None:
        raise UnsuitableEnvironmentError(
            f"environment {env_id!r} has no time limit: without max_episode_steps, an evaluation may never end"
        )
    return env


def make_vector(
    env_id: str, count: int, runs: int = 1, step_timeout: float | None = None
) -> VectorPendulum | PlainVectorEnv:
    """Return many environments as one.

    Args:
        env_id: Their name.
        count: Number of environments, of all runs together.
        runs: Number of runs that they belong to. The environments of a run fail together.
        step_timeout: Seconds that a step or a reset may take; None for any. Those vectorised here never hang.

    Raises:
        UnsuitableEnvironmentError: There is none of this name, or not of this kind.
    """
    if env_id == "Pendulum-v1":
        return VectorPendulum(count)
    make_one = functools.partial(make, env_id)
    if env_id in TASKS:
        return VectorMujoco(TASKS[env_id], make_one, count, runs)
    return PlainVectorEnv(make_one, count, runs, step_timeout)


@functools.cache
def sizes(env_id: str) -> tuple[int, int]:
    """Return the sizes of an observation and of an action.

    Raises:
        UnsuitableEnvironmentError: There is no environment of this name, or not of this kind.
    """
    env = make(env_id)
    env.close()
    assert env.observation_space.shape and env.action_space.shape
    return env.observation_space.shape[0], env.action_space.shape[0]


def can_be_checkpointed(env_id: str) -> bool:
    """Return whether an environment's state can be captured, so that an interrupted run resumes from a checkpoint."""
    env = make_vector(env_id, 1)
    state = env.state(0)
    env.close()
    return state is not None


class CohortEnvironments:
    """The environments of all runs of a cohort, equally many for each, reset in the same step in which they end."""

    def __init__(self, env_id: str, seeds: Sequence[Sequence[int]], step_timeout: float | None = None) -> None:
        """Make the environments. What each does depends on its own seed and actions alone.

        Args:
            env_id: Their name.
            seeds: For each run, a list with a seed for each environment.
            step_timeout: Seconds that a step or a reset may take; None for any.
        """
        self.runs, self.envs = len(seeds), len(seeds[0])
        self._seeds = [seed for run in seeds for seed in run]
        self._vector = make_vector(env_id, len(self._seeds), self.runs, step_timeout)
        actions = self._vector.single_action_space
        assert isinstance(actions, gym.spaces.Box)
        self._low, self._high = actions.low.astype(np.float64), actions.high.astype(np.float64)
        self._episodic_returns = np.zeros((self.runs, self.envs))

    @property
    def failures(self) -> dict[int, str]:
        """Return why a run's environments failed, by run."""
        return self._vector.failures

    @property
    def resting(self) -> Flags:
        """Return which environments aren't stepped any more, `[runs, envs]`: they have failed, or aren't needed."""
        return self._by_run(self._vector.resting)

    def rest(self, which: Flags) -> None:
        """Stop stepping some environments, `[runs, envs]`."""
        self._vector.resting |= which.ravel()

    def reset(self) -> Array:
        """Begin every environment's first episode, and return its observations, `[runs, envs, observation]`."""
        self._episodic_returns[:] = 0.0
        observations, _ = self._vector.reset(seed=self._seeds)
        return self._by_run(observations).astype(np.float64)

    def step(self, actions: Array) -> Step:
        """Step every environment by its action, `[runs, envs, action]`, clipped to the environment's bounds."""
        within_bounds = clipped(actions, self._low, self._high).reshape(len(self._seeds), -1)
        observed, rewarded, terminations, truncations, infos = self._vector.step(within_bounds)
        observations, rewards = self._by_run(observed).astype(np.float64), self._by_run(rewarded)
        terminated, truncated = self._by_run(terminations), self._by_run(truncations)
        ended = terminated | truncated

        next_observations = observations
        if ended.any():
            next_observations = observations.copy()
            next_observations[ended] = np.stack(infos["final_obs"][ended.ravel()])
        self._episodic_returns += rewards
        episodic_returns = np.where(ended, self._episodic_returns, np.nan)
        self._episodic_returns[ended] = 0.0
        return Step(observations, next_observations, rewards, terminated, truncated, episodic_returns)

    def state(self, run: int) -> State | None:
        """Return the state of one run's environments, for `restore`; None if it can't be captured."""
        states = [self._vector.state(run * self.envs + env) for env in range(self.envs)]
        if None in states:
            return None
        return {"environments": states, "episodic_returns": self._episodic_returns[run].copy()}

    def restore(self, run: int, state: State) -> None:
        """Give one run's environments a state that `state` returned."""
        for env, one in enumerate(state["environments"]):
            self._vector.restore(run * self.envs + env, one)
        self._episodic_returns[run] = state["episodic_returns"]

    def close(self) -> None:
        """Close every environment."""
        self._vector.close()

    def _by_run(self, array: NDArray[Any]) -> NDArray[Any]:
        return array.reshape(self.runs, self.envs, *array.shape[1:])


@functools.cache
def _keep_mujoco_quiet() -> None:
    """Send MuJoCo's warnings to `logging`: by default it prints them, and writes a file in the working directory."""
    try:
        import mujoco
    except ImportError:
        return
    mujoco.set_mju_user_warning(logging.getLogger("mujoco").info)
