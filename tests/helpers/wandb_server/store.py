"""What the server remembers."""

import dataclasses
import itertools
import json
import re
import secrets
import string
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import yaml

from reports.files import Json

NAMES = string.ascii_lowercase + string.digits


def new_name() -> str:
    """Eight characters, as W&B names runs and sweeps."""
    return "".join(secrets.choice(NAMES) for _ in range(8))


@dataclasses.dataclass
class Run:
    """A run, and all that was sent of it."""

    name: str
    """its id, for users"""
    sweep: str | None = None
    config: Json = dataclasses.field(default_factory=dict)
    """as W&B has it: `{name: {"value": value}}`"""
    summary: Json = dataclasses.field(default_factory=dict)
    about: Json = dataclasses.field(default_factory=dict)
    """its other attributes, by GraphQL's names"""
    history: list[str] = dataclasses.field(default_factory=list)
    """JSON, a line a row"""
    console: list[str] = dataclasses.field(default_factory=list)
    files: dict[str, bytes] = dataclasses.field(default_factory=dict)
    pending: bool = False
    """a sweep's, that no process has begun"""
    exit_code: int | None = None
    created: float = dataclasses.field(default_factory=time.time)
    heard: float = dataclasses.field(default_factory=time.monotonic)
    """when its process last said something"""

    def rows(self) -> list[Json]:
        """The history."""
        return [json.loads(line) for line in self.history]

    def values(self) -> Json:
        """The config, as the user set it."""
        return {name: entry["value"] for name, entry in self.config.items() if name != "_wandb"}


@dataclasses.dataclass
class Sweep:
    """A grid, and how far it has been handed out."""

    name: str
    config: Json
    agents: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    """by agent, the runs that it was given"""
    state: str = "RUNNING"

    def __post_init__(self) -> None:
        self.size = len(list(_grid(self.config.get("parameters", {}))))
        self.waiting = _grid(self.config.get("parameters", {}))


def _grid(parameters: Mapping[str, Any]) -> Iterator[Json]:
    """The points of a grid, as an agent is told of them, nested parameters in their groups."""
    axes = []
    for name, given in parameters.items():
        if "parameters" in given:
            axes.append([(name, _plain(point)) for point in _grid(given["parameters"])])
        else:
            axes.append([(name, value) for value in given.get("values", [given.get("value")])])
    for point in itertools.product(*axes):
        yield {name: {"value": value} for name, value in point}


def _plain(point: Json) -> Json:
    return {name: entry["value"] for name, entry in point.items()}


@dataclasses.dataclass
class Artifact:
    """A version of an artifact."""

    id: str
    type: str
    collection: str
    run: str
    manifest: bytes = b""
    files: dict[str, bytes] = dataclasses.field(default_factory=dict)
    committed: bool = False


@dataclasses.dataclass
class Project:
    """A project's runs and sweeps, by name, oldest first."""

    entity: str
    name: str
    runs: dict[str, Run] = dataclasses.field(default_factory=dict)
    sweeps: dict[str, Sweep] = dataclasses.field(default_factory=dict)
    pages: list[Json] = dataclasses.field(default_factory=list)
    """W&B Reports, as they were sent"""


class Store:
    """All projects."""

    def __init__(self) -> None:
        self.projects: dict[tuple[str, str], Project] = {}
        self.artifacts: dict[str, Artifact] = {}
        self.silence = 300.0
        """seconds after which a run that says nothing counts as crashed"""

    def project(self, entity: str, name: str) -> Project:
        """A project, made if there is none."""
        return self.projects.setdefault((entity, name), Project(entity, name))

    def add_sweep(self, project: Project, config: str) -> Sweep:
        """Add a sweep, and return it.

        Args:
            project: Where.
            config: In YAML.
        """
        sweep = Sweep(new_name(), yaml.safe_load(config))
        project.sweeps[sweep.name] = sweep
        return sweep

    def next_command(self, project: Project, sweep: Sweep, agent: str, busy: bool) -> list[Json]:
        """What an agent is told to do: one run after the other, and to leave when there are no more."""
        if sweep.state != "RUNNING":
            return [{"type": "exit"}]
        if busy:
            return []
        point = next(sweep.waiting, None)
        if point is None:
            return [{"type": "exit"}]
        run = Run(new_name(), sweep=sweep.name, config=dict(point), pending=True)
        project.runs[run.name] = run
        sweep.agents[agent].append(run.name)
        return [{"type": "run", "run_id": run.name, "program": sweep.config.get("program", ""), "args": point}]

    def state(self, run: Run) -> str:
        """What W&B would call it."""
        if run.exit_code is not None:
            return "failed" if run.exit_code else "finished"
        if run.pending:
            return "pending"
        return "crashed" if time.monotonic() - run.heard > self.silence else "running"

    def find(self, project: Project, filters: Mapping[str, Any]) -> list[Run]:
        """Runs that a filter in MongoDB's language admits."""
        return [run for run in project.runs.values() if self._admits(run, filters)]

    def _admits(self, run: Run, filters: Mapping[str, Any]) -> bool:
        return all(self._holds(run, key, wanted) for key, wanted in filters.items())

    def _holds(self, run: Run, key: str, wanted: Any) -> bool:
        if key == "$and":
            return all(self._admits(run, one) for one in wanted)
        if key == "$or":
            return any(self._admits(run, one) for one in wanted)
        found = self._look_up(run, key)
        tests = wanted if isinstance(wanted, dict) else {"$eq": wanted}
        return all(_COMPARISONS[name](found, value) for name, value in tests.items())

    def _look_up(self, run: Run, key: str) -> Any:
        section, _, name = key.partition(".")
        if section == "config":
            entry = run.config.get(name.removesuffix(".value"), {})
            return entry.get("value")
        if section == "summary_metrics":
            return run.summary.get(name)
        own = {"name": run.name, "sweep": run.sweep, "state": self.state(run), "displayName": run.about["displayName"]}
        return own.get(key, run.about.get(key))


_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "$eq": lambda found, value: found == value,
    "$ne": lambda found, value: found != value,
    "$in": lambda found, value: found in value,
    "$nin": lambda found, value: found not in value,
    "$gt": lambda found, value: found is not None and found > value,
    "$gte": lambda found, value: found is not None and found >= value,
    "$lt": lambda found, value: found is not None and found < value,
    "$lte": lambda found, value: found is not None and found <= value,
    "$exists": lambda found, value: (found is not None) == value,
    "$regex": lambda found, value: re.search(value, str(found)) is not None,
}
