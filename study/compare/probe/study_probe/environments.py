"""Environments: the actions and answers of each as hashes, the first records as numbers, and its episodes."""

from __future__ import annotations

import json
import os
import struct
import zlib
from typing import Any, BinaryIO, Callable, TextIO

from .recorder import Recorder
from .settings import Settings

MOST_NUMBERS = 64
"""The most numbers of an observation or an action that are kept."""


class Data:
    """The actions and answers of all environments of this process."""

    def __init__(self, recorder: Recorder, settings: Settings) -> None:
        self.recorder = recorder
        self.settings = settings
        self.environments: list[Environment] = []
        self.on_first_step: list[Callable[[], None]] = []
        self._records = 0
        self._steps = 0
        self._hashes: BinaryIO | None = None
        self._episodes: TextIO | None = None
        self._process = os.getpid()

    @property
    def counts(self) -> list[int]:
        """Return the number of records of each environment, in the order in which the environments were made."""
        return [environment.records for environment in self.environments]

    def add(self, made: Any, name: str | None) -> None:
        """Begin to watch an environment."""
        environment = Environment(len(self.environments), name)
        self.environments.append(environment)
        self.recorder.write("environment", number=environment.number, id=name)
        step, reset = made.step, made.reset
        on_step, on_reset = self.recorder.safely(self._on_step), self.recorder.safely(self._on_reset)

        def watched_step(action: Any) -> Any:
            result = step(action)
            on_step(environment, action, result)
            return result

        def watched_reset(*arguments: Any, **options: Any) -> Any:
            result = reset(*arguments, **options)
            on_reset(environment, result)
            return result

        made.step, made.reset = watched_step, watched_reset

    def _forget_parent(self) -> None:
        """Forget the parent's files after a fork: a process has files of its own."""
        if self._process != os.getpid():
            self._process, self._hashes, self._episodes = os.getpid(), None, None

    def _on_reset(self, environment: Environment, result: Any) -> None:
        environment.begin_episode()
        self._record(environment, b"", result[0], 0.0, b"reset")

    def _on_step(self, environment: Environment, action: Any, result: Any) -> None:
        while self.on_first_step:
            self.on_first_step.pop()()
        observation, reward, terminated, truncated = result[:4]
        self._record(environment, action, observation, reward, b"\1" * bool(terminated) + b"\2" * bool(truncated))
        self._steps += 1
        environment.count(float(reward))
        if terminated or truncated:
            self._write_episode(environment)
            environment.begin_episode()

    def _record(self, environment: Environment, action: Any, observation: Any, reward: Any, end: bytes) -> None:
        index = environment.records
        environment.records += 1
        if self._records < self.settings.records:
            self._forget_parent()
            self._records += 1
            parts = (_bytes(observation), _bytes(action), repr(float(reward)).encode(), end)
            hashes = (environment.number, *(zlib.crc32(part) for part in parts))
            if self._hashes is None:
                self._hashes = open(self.recorder.path("records.bin"), "wb")
                self.recorder.before_end.append(self._hashes.flush)
            self._hashes.write(struct.pack("<5I", *hashes))
        if self.settings.keeps_numbers(index):
            numbers = {"observation": _numbers(observation), "action": _numbers(action), "reward": float(reward)}
            self.recorder.write("record", environment=environment.number, index=index, **numbers)

    def _write_episode(self, environment: Environment) -> None:
        self._forget_parent()
        if self._episodes is None:
            self._episodes = open(self.recorder.path("episodes.jsonl"), "w", encoding="utf-8", buffering=1)
        row = {
            "env": environment.number,
            "id": environment.name,
            "steps": environment.steps,
            "all_steps": self._steps,
            "return": environment.episode_return,
            "length": environment.episode_length,
            "optimizer_steps": self.recorder.optimizer_steps,
        }
        self._episodes.write(json.dumps(row) + "\n")


class Environment:
    """One environment, and the episode that it is in."""

    def __init__(self, number: int, name: str | None) -> None:
        self.number, self.name = number, name
        self.records = self.steps = 0
        self.begin_episode()

    def begin_episode(self) -> None:
        """Begin an episode."""
        self.episode_return, self.episode_length = 0.0, 0

    def count(self, reward: float) -> None:
        """Count a step."""
        self.episode_return += reward
        self.episode_length += 1
        self.steps += 1


def watch(registration: Any, data: Data) -> None:
    """Watch all environments that gymnasium makes from here on."""
    make, make_vec = registration.make, getattr(registration, "make_vec", None)
    add = data.recorder.safely(data.add)

    def watched_make(*arguments: Any, **options: Any) -> Any:
        made = make(*arguments, **options)
        add(made, getattr(getattr(made, "spec", None), "id", None))
        return made

    watched_make.__wrapped__ = make  # type: ignore[attr-defined]
    registration.make = watched_make
    if make_vec is None:
        return

    def watched_make_vec(*arguments: Any, **options: Any) -> Any:
        made = make_vec(*arguments, **options)
        if not hasattr(made, "envs"):  # those of others are made by `make`, here or in processes of their own
            data.recorder.write("unseen", what=f"environments of {type(made).__name__}")
        return made

    watched_make_vec.__wrapped__ = make_vec  # type: ignore[attr-defined]
    registration.make_vec = watched_make_vec


def _bytes(value: Any) -> bytes:
    import numpy

    if isinstance(value, dict):
        return b"".join(_bytes(value[key]) for key in sorted(value))
    if isinstance(value, (tuple, list)) and value and not isinstance(value[0], (int, float)):
        return b"".join(_bytes(part) for part in value)
    return value if isinstance(value, bytes) else numpy.asarray(value).tobytes()


def _numbers(value: Any) -> list[float]:
    import numpy

    if isinstance(value, dict):
        return [number for key in sorted(value) for number in _numbers(value[key])][:MOST_NUMBERS]
    if isinstance(value, bytes):
        return []
    return [float(number) for number in numpy.asarray(value).reshape(-1)[:MOST_NUMBERS]]
