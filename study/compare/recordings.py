"""What the probe wrote of a run: its optimizers' steps, and what its environments were told and answered."""

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
"""Of a record of an environment: its number, and hashes of observation, action, reward and end."""
PARTS = ("observations", "actions", "rewards", "episode ends")
"""Of a record, in the order of their hashes."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Optimizer:
    """An optimizer before its first step.

    Attributes:
        number: Optimizers are counted in the order of their first steps.
        type: Its class.
        names: Of its tensors.
        shapes: Of its tensors.
        hashes: Of its tensors' initial values.
        sketches: Of its tensors' initial values.
        dtypes: Its tensors' precisions, such as "torch.float32".
        threads: Of torch.
    """

    number: int
    type: str
    names: Sequence[str]
    shapes: Sequence[Sequence[int]]
    hashes: Sequence[str] = ()
    sketches: Sequence[Sequence[float]] = ()
    dtypes: Sequence[str] = ()
    threads: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """A step of an optimizer.

    Attributes:
        step: Its number among the steps of all optimizers, from 1.
        optimizer: The optimizer's number.
        count: Its number among the steps of this optimizer, from 1.
        records: How many records each environment had.
        gradients: Hashes of the gradients.
        gradient_sketches: Sketches of the gradients.
        parameters: Hashes of the weights after the step.
        parameter_sketches: Sketches of them.
        settings: The optimizer's, such as its learning rate.
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
    """Weights and gradient of a step, `[numbers]` in float64."""

    before: Floats
    gradient: Floats
    after: Floats


class Recording:
    """What the probe wrote of a run."""

    def __init__(self, folder: Path) -> None:
        """Read a folder, of several processes the one that made most steps."""
        processes = {path.stem.rpartition("-")[2]: _read_events(path) for path in sorted(folder.glob("events-*.jsonl"))}
        self._folder = folder
        self._process = max(processes, key=lambda process: _steps_in(processes[process]), default="")
        self.events = processes.get(self._process, [])

    def of(self, kind: str) -> Iterator[dict[str, Any]]:
        """Return the events of a kind."""
        return (event for event in self.events if event["kind"] == kind)

    @cached_property
    def optimizers(self) -> dict[int, Optimizer]:
        """By their numbers."""
        return {event["number"]: Optimizer(**_fields(Optimizer, event)) for event in self.of("optimizer")}

    @cached_property
    def steps(self) -> dict[tuple[int, int], Step]:
        """By optimizer and count, in the order in which they were made."""
        found, settings = {}, dict[int, Mapping[str, Any]]()
        for event in self.of("step"):
            settings[event["optimizer"]] = event.get("settings", settings.get(event["optimizer"], {}))
            step = Step(**_fields(Step, {**event, "settings": settings[event["optimizer"]]}))
            found[step.optimizer, step.count] = step
        return found

    @cached_property
    def environments(self) -> list[str]:
        """Names of the environments, in the order in which they were made."""
        return [event["id"] or "" for event in self.of("environment")]

    @cached_property
    def records(self) -> dict[int, list[bytes]]:
        """By environment, the four hashes of each record."""
        found: dict[int, list[bytes]] = {number: [] for number in range(len(self.environments))}
        for path in self._folder.glob(f"records-{self._process}.bin"):
            content = path.read_bytes()
            for start in range(0, len(content) - RECORD_BYTES + 1, RECORD_BYTES):
                number = int.from_bytes(content[start : start + 4], "little")
                found.setdefault(number, []).append(content[start + 4 : start + RECORD_BYTES])
        return found

    @cached_property
    def numbers(self) -> dict[tuple[int, int], dict[str, Any]]:
        """By environment and index, those records that were kept in numbers."""
        return {(event["environment"], event["index"]): event for event in self.of("record")}

    @property
    def random(self) -> Mapping[str, str]:
        """Hashes of the global random generators' states at the environments' first step."""
        return next((event["states"] for event in self.of("random")), {})

    @property
    def versions(self) -> Mapping[str, str]:
        """Of the packages that were loaded."""
        return next((event["versions"] for event in self.of("end")), {})

    @property
    def changed_sources(self) -> list[Path]:
        """The program's files that have changed since."""
        recorded: dict[str, str] = next((event["sources"] for event in self.of("end")), {})
        return [
            path for path, known in ((Path(path), known) for path, known in recorded.items()) if _hash(path) != known
        ]

    @property
    def errors(self) -> list[str]:
        """What went wrong in watching."""
        return [f"{event['where']}: {event['error']}" for event in self.of("error")]

    def whole(self, optimizer: int, count: int) -> Whole | None:
        """Return a step whole, where it was kept."""
        path = self._folder / f"whole-{optimizer}-{count}-{self._process}.npz"
        if not path.is_file():
            return None
        with np.load(path) as arrays:
            return Whole(**{name: arrays[name] for name in ("before", "gradient", "after")})


def _fields(of: type[Optimizer | Step], event: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an event has of a dataclass."""
    return {field.name: event[field.name] for field in dataclasses.fields(of) if field.name in event}


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _read_events(path: Path) -> list[dict[str, Any]]:
    """Return the whole lines of a file: a process that is killed may leave a last one that isn't."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def _steps_in(events: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    return sum(event["kind"] == "step" for event in events), len(events)
