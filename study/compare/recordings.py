"""The recording of a run by the probe: its optimizers' steps, and its environments' actions and answers."""

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RECORD_BYTES = 20
"""Bytes of a record of an environment: its number, and hashes of observation, action, reward and end."""
PARTS = ("observations", "actions", "rewards", "episode ends")
"""The parts of a record, in the order of their hashes."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Optimizer:
    """An optimizer before its first step.

    Attributes:
        number: Its index in the order of the optimizers' first steps.
        type: Its class.
        names: Names of its tensors.
        shapes: Shapes of its tensors.
        hashes: Hashes of its tensors' initial values.
        sketches: Sketches of its tensors' initial values.
        dtypes: Its tensors' dtypes, such as "torch.float32".
        threads: Number of torch's threads.
        groups: Number of tensors of each group of parameters.
    """

    number: int
    type: str
    names: Sequence[str]
    shapes: Sequence[Sequence[int]]
    hashes: Sequence[str] = ()
    sketches: Sequence[Sequence[float]] = ()
    dtypes: Sequence[str] = ()
    threads: int | None = None
    groups: Sequence[int] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """A step of an optimizer.

    Attributes:
        step: Its number among the steps of all optimizers, from 1.
        optimizer: The optimizer's number.
        count: Its number among the steps of this optimizer, from 1.
        records: Number of records of each environment so far.
        gradients: Hashes of the gradients.
        gradient_sketches: Sketches of the gradients.
        parameters: Hashes of the weights after the step.
        parameter_sketches: Sketches of them.
        settings: The optimizer's settings, such as its learning rate.
        random: Hashes of the global random generators' states before the step.
    """

    step: int
    optimizer: int
    count: int
    records: Sequence[int]
    gradients: Sequence[str]
    gradient_sketches: Sequence[Sequence[float]]
    parameters: Sequence[str]
    parameter_sketches: Sequence[Sequence[float]]
    settings: Mapping[str, Any]
    random: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Whole:
    """Weights before and after a step, and its gradient, `[numbers]` in float64."""

    before: Floats
    gradient: Floats
    after: Floats


class Recording:
    """The recording of a run: what the probe wrote."""

    def __init__(self, folder: Path) -> None:
        """Read a folder. Of several processes, the one that made most steps is read."""
        processes = {path.stem.rpartition("-")[2]: _read_events(path) for path in sorted(folder.glob("events-*.jsonl"))}
        self._folder = folder
        self._process = max(processes, key=lambda process: _steps_in(processes[process]), default="")
        self.events = processes.get(self._process, [])

    def of(self, kind: str) -> Iterator[dict[str, Any]]:
        """Return the events of a kind."""
        return (event for event in self.events if event["kind"] == kind)

    @cached_property
    def optimizers(self) -> dict[int, Optimizer]:
        """Return the optimizers by their numbers."""
        return {event["number"]: Optimizer(**_fields(Optimizer, event)) for event in self.of("optimizer")}

    @cached_property
    def steps(self) -> dict[tuple[int, int], Step]:
        """Return the steps by optimizer and count, in the order in which they were made."""
        found, settings = {}, dict[int, Mapping[str, Any]]()
        for event in self.of("step"):
            settings[event["optimizer"]] = event.get("settings", settings.get(event["optimizer"], {}))
            step = Step(**_fields(Step, {**event, "settings": settings[event["optimizer"]]}))
            found[step.optimizer, step.count] = step
        return found

    @cached_property
    def environments(self) -> list[str]:
        """Return the names of the environments, in the order in which they were made."""
        return [event["id"] or "" for event in self.of("environment")]

    @cached_property
    def records(self) -> dict[int, list[bytes]]:
        """Return the four hashes of each record, by environment."""
        found: dict[int, list[bytes]] = {number: [] for number in range(len(self.environments))}
        for path in self._folder.glob(f"records-{self._process}.bin"):
            content = path.read_bytes()
            for start in range(0, len(content) - RECORD_BYTES + 1, RECORD_BYTES):
                number = int.from_bytes(content[start : start + 4], "little")
                found.setdefault(number, []).append(content[start + 4 : start + RECORD_BYTES])
        return found

    @cached_property
    def numbers(self) -> dict[tuple[int, int], dict[str, Any]]:
        """Return the records that were kept in numbers, by environment and index."""
        return {(event["environment"], event["index"]): event for event in self.of("record")}

    @property
    def random(self) -> Mapping[str, str]:
        """Return hashes of the global random generators' states at the environments' first step."""
        return next((event["states"] for event in self.of("random")), {})

    @property
    def is_stopped(self) -> bool:
        """Return whether the probe ended the run, after the number of optimizer steps that was asked for."""
        return any(event["stopped"] for event in self.of("end"))

    @property
    def steps_made(self) -> int:
        """Return the number of steps of all optimizers, recorded or not."""
        recorded = max((step.step for step in self.steps.values()), default=0)
        return max((event.get("steps", 0) for event in self.of("end")), default=recorded)

    @property
    def versions(self) -> Mapping[str, str]:
        """Return the versions of the packages that were loaded."""
        return next((event["versions"] for event in self.of("end")), {})

    @property
    def changed_sources(self) -> list[Path]:
        """Return the program's files that have changed since."""
        recorded: dict[str, str] = next((event["sources"] for event in self.of("end")), {})
        return [
            path for path, known in ((Path(path), known) for path, known in recorded.items()) if _hash(path) != known
        ]

    @property
    def errors(self) -> list[str]:
        """Return the errors of the probe itself."""
        return [f"{event['where']}: {event['error']}" for event in self.of("error")]

    def whole(self, optimizer: int, count: int) -> Whole | None:
        """Return a step's weights and gradient; None where they weren't kept."""
        path = self._folder / f"whole-{optimizer}-{count}-{self._process}.npz"
        if not path.is_file():
            return None
        with np.load(path) as arrays:
            return Whole(**{name: arrays[name] for name in ("before", "gradient", "after")})


def _fields(of: type[Optimizer | Step], event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a dataclass's fields that an event has."""
    return {field.name: event[field.name] for field in dataclasses.fields(of) if field.name in event}


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _read_events(path: Path) -> list[dict[str, Any]]:
    """Return the events in a file's complete lines: a process that is killed may leave an incomplete last one."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def _steps_in(events: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    return sum(event["kind"] == "step" for event in events), len(events)
