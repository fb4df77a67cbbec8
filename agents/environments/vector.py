"""Many Gymnasium environments as one, each of which can be checkpointed and restored.

Environments are others' code. One that fails isn't stepped any more, and its run fails, but no other run.
"""

import contextlib
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from agents.environments import snapshots
from agents.environments.limits import Limited
from agents.errors import MalformedError, TookTooLongError

Stepped = tuple[NDArray[Any], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]
"""Observations, rewards, terminations, truncations, infos."""


FAULTS = (Exception, SystemExit)
"""What an environment may raise without ending the program."""

LONGEST_REASON = 300
"""Characters of an error's text that a reason quotes, at most."""


class PlainVectorEnv(VectorEnv[Any, Any, Any]):
    """Gymnasium's `SyncVectorEnv` for flat observations, without the infos, which cost as much as a step of MuJoCo.

    An environment resets in the same step in which its episode ends. Observations are float64, which holds float32's.

    Attributes:
        failures: Why a run's environments failed, by run.
        resting: Which environments aren't stepped any more, `[envs]`: what is returned of them means nothing.
    """

    def __init__(
        self,
        make: Callable[[], gym.Env[Any, Any]],
        num_envs: int,
        runs: int = 1,
        step_timeout: float | None = None,
    ) -> None:
        """Make the environments.

        Args:
            make: Makes one.
            num_envs: Number of environments, of all runs together.
            runs: Number of runs that they belong to, equally many to each. The environments of a run fail together.
            step_timeout: Seconds that a step or a reset may take; None for any.
        """
        self._envs = [make() for _ in range(num_envs)]
        first = self._envs[0]
        assert first.spec
        self.metadata = {**first.metadata, "autoreset_mode": AutoresetMode.SAME_STEP}
        self.num_envs = num_envs
        self.single_observation_space = first.observation_space
        self.single_action_space = first.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.failures: dict[int, str] = {}
        self.resting = np.zeros(num_envs, dtype=bool)
        self._name, self._shape = first.spec.id, first.observation_space.shape or ()
        self._per_run, self._limited = num_envs // runs, Limited(step_timeout) if step_timeout else None
        self._hung: set[int] = set()

    def reset(
        self,
        *,
        seed: Any = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """Begin all episodes, with the arguments of Gymnasium's `SyncVectorEnv`, and return observations and infos."""
        seeds = [seed + index for index in range(self.num_envs)] if isinstance(seed, int) else seed
        observations = np.zeros((self.num_envs, *self._shape))
        for index, one in zip(range(self.num_envs), seeds or [None] * self.num_envs, strict=True):
            observations[index] = self._begin(index, seed=one, options=options)
        return observations, {}

    def step(self, actions: NDArray[Any]) -> Stepped:
        """Step all environments. Where an episode has ended, `infos["final_obs"]` has its last observation."""
        observations, rewards = np.zeros((self.num_envs, *self._shape)), np.zeros(self.num_envs)
        terminated, truncated = np.zeros((2, self.num_envs), dtype=bool)
        for index, (env, action) in enumerate(zip(self._envs, actions, strict=True)):
            if self.resting[index]:
                continue
            try:
                observation, reward, is_over, is_cut, _ = self._call(env.step, action)
                observations[index] = self._checked(observation)
                rewards[index] = _number(reward, "reward")
                terminated[index], truncated[index] = _number(is_over, "terminated"), _number(is_cut, "truncated")
            except FAULTS as error:
                self._fail(index, "step", error)
        return self._begin_where_ended(observations, rewards, terminated, truncated)

    def state(self, index: int) -> snapshots.State | None:
        """Return one environment's state, for `restore`; None if it can't be captured."""
        return snapshots.capture(self._envs[index])

    def restore(self, index: int, state: snapshots.State) -> None:
        """Give one environment a state that `state` returned."""
        snapshots.restore(self._envs[index], state)

    def close_extras(self, **_: Any) -> None:
        """Close every environment, but for those that hang."""
        for index, env in enumerate(self._envs):
            if index not in self._hung:
                with contextlib.suppress(*FAULTS):  # it isn't needed any more
                    env.close()
        if self._limited:
            self._limited.close()

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
            for index in np.flatnonzero(ended).tolist():
                infos["final_obs"][index] = observations[index].copy()
                observations[index] = self._begin(index)
        return observations, rewards, terminated, truncated, infos

    def _begin(self, index: int, **arguments: Any) -> NDArray[Any]:
        """Begin an episode, and return the first observation; zeros, if the environment rests or fails."""
        if self.resting[index]:
            return np.zeros(self._shape)
        try:
            observation, _ = self._call(self._envs[index].reset, **arguments)
            return self._checked(observation)
        except FAULTS as error:
            self._fail(index, "reset", error)
            return np.zeros(self._shape)

    def _call(self, method: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        return self._limited(method, *arguments, **named) if self._limited else method(*arguments, **named)

    def _checked(self, observation: Any) -> NDArray[Any]:
        array = np.asarray(observation)
        if array.shape != self._shape:
            raise MalformedError(f"an observation of shape {array.shape}, not {self._shape},")
        if array.dtype.kind not in "biuf":
            raise MalformedError(f"an observation of dtype {array.dtype}, not of numbers,")
        return array

    def _fail(self, index: int, method: str, error: BaseException) -> None:
        """Record why an environment failed, and stop stepping all environments of its run."""
        if isinstance(error, MemoryError):
            raise error
        if isinstance(error, TookTooLongError):
            self._hung.add(index)
        run = index // self._per_run
        self.failures.setdefault(run, f"environment {self._name} {_what_happened(method, error)}")
        self.resting[run * self._per_run : (run + 1) * self._per_run] = True


def _number(value: Any, name: str) -> Any:
    if not isinstance(value, (float, int)):  # the usual ones: faster than to ask NumPy
        array = np.asarray(value)
        if array.shape or array.dtype.kind not in "biuf":
            raise MalformedError(f"{name} {_one_line(repr(value))}, not a number,")
    return value


def _what_happened(method: str, error: BaseException) -> str:
    text = _one_line(str(error))
    if isinstance(error, TookTooLongError):
        return f"took longer than {text} in {method}"
    if isinstance(error, MalformedError):
        return f"returned {text} in {method}"
    return f"raised {type(error).__name__} in {method}" + (f": {text}" if text else "")


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_REASON else line[: LONGEST_REASON - 3] + "..."
