"""Environments that do harm, or nothing for a while. `env_id: tests.helpers.misbehaving:Kills-v0` makes one."""

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from agents.randomness import streams

DEADLY_SEED = 2
"""A run of this seed, with two environments, dies."""
DEATHS = "MISBEHAVING_DEATHS"
"""The environment variable that names a file, to which those that die add a line."""


class Kills(gym.Env[Any, Any]):
    """Kills its process in the hundredth step of a run of the deadly seed."""

    observation_space = gym.spaces.Box(-1.0, 1.0, (2,), np.float64)
    action_space = gym.spaces.Box(-1.0, 1.0, (1,), np.float64)

    def __init__(self) -> None:
        self._steps = 0
        self._is_deadly = False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode."""
        super().reset(seed=seed, options=options)
        if seed is not None:
            self._is_deadly = seed in streams(DEADLY_SEED, 2).environments
        return self._observe(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Reward small actions, or die."""
        self._steps += 1
        if self._is_deadly and self._steps == 100:
            with Path(os.environ.get(DEATHS, os.devnull)).open("a") as deaths:
                deaths.write(f"{os.getpid()}\n")
            os.kill(os.getpid(), signal.SIGKILL)
        return self._observe(), -float(np.square(action).sum()), False, False, {}

    def _observe(self) -> Any:
        return self.np_random.uniform(-1.0, 1.0, size=2)


gym.register("Kills-v0", entry_point="tests.helpers.misbehaving:Kills", max_episode_steps=50)


class Slow(Kills):
    """Takes its time, and no processor's: runs of it go on while tests look."""

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Reward small actions, after a millisecond."""
        time.sleep(0.001)
        return self._observe(), -float(np.square(action).sum()), False, False, {}


gym.register("Slow-v0", entry_point="tests.helpers.misbehaving:Slow", max_episode_steps=50)


class Hangs(gym.Env[Any, Any]):
    """Hangs in its hundredth step."""

    observation_space, action_space = Kills.observation_space, Kills.action_space

    def __init__(self) -> None:
        self._steps = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode."""
        super().reset(seed=seed, options=options)
        return self.np_random.uniform(-1.0, 1.0, size=2), {}

    def step(self, _action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Reward nothing, or hang."""
        self._steps += 1
        if self._steps == 100:
            Path(os.environ[DEATHS]).touch()
            threading.Event().wait()
        return self.np_random.uniform(-1.0, 1.0, size=2), 0.0, False, False, {}


gym.register("Hangs-v0", entry_point="tests.helpers.misbehaving:Hangs", max_episode_steps=50)
