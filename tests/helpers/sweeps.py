"""Sweeps for tests: small files, what they leave, and `study sweep` as a process that can be disturbed."""

import asyncio
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

from agents.conditions import Condition
from study.config.run_config import RunConfig
from study.config.shipped import SHIPPED
from study.config.sweepfile import OWN_COMMAND
from study.pool import Train
from study.store.run_store import RunStore
from tests.helpers.small import SMALL

SWEEPS = sorted(path for path in SHIPPED.glob("**/*.yaml") if path.parent.name not in ("demo", "spaces"))
"""All designs that ship and ask a question."""

LONG = {"total_timesteps": 12_288, "update_epochs": 4}
"""Runs that take long enough to be caught in the middle."""


def write_sweep(folder: Path, **changes: Any) -> Path:
    """Write a sweep file, by default of four conditions and three seeds; a list makes an axis."""
    axes = {"condition": list(get_args(Condition)), "seed": [0, 1, 2]}
    values = {**SMALL, "precision": "float32", **axes, **changes}
    parameters = {
        name: {"values": value} if isinstance(value, list) else {"value": value} for name, value in values.items()
    }
    path = folder / "sweep.yaml"
    # JSON is YAML.
    path.write_text(json.dumps({"method": "grid", "command": OWN_COMMAND, "parameters": parameters}))
    return path


def histories(runs: Path) -> dict[str, str]:
    """Return what each run that has ended recorded, with `params_sha256` of every update."""
    return {path.parent.name: (path.parent / "history.jsonl").read_text() for path in runs.glob("*/summary.json")}


def endings(runs: Path) -> dict[str, tuple[str, str]]:
    """Return history and outcome of each run that has ended."""
    told = histories(runs)
    return {run_id: (told[run_id], (runs / run_id / "summary.json").read_text()) for run_id in told}


def pretend(store: RunStore, outcome: Callable[[RunConfig], float | None], newest_first: bool = False) -> Train:
    """Do what a driver does, but for the training; of calls that are made at once, the first or the last ends first."""
    calls = itertools.count()

    async def train(configs: Sequence[RunConfig]) -> None:
        for _ in range(10 - next(calls) % 4 if newest_first else 0):
            await asyncio.sleep(0)
        for config in store.waiting(configs):
            value = outcome(config)
            with store.begin(config, {}) as writer:  # type: ignore[union-attr]
                writer.finish(
                    {"status": "failed", "error": "pretended"}
                    if value is None
                    else {"status": "finished", "error": None, "final_return": value}
                )

    return train


def wait_for(what: str, holds: Callable[[], object], seconds: float = 120) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)


def is_in_the_middle(updates: Path) -> bool:
    """Whether a run has recorded a few updates, and hasn't ended."""
    return updates.stat().st_size > 8_000 and not updates.with_name("summary.json").exists()


class Study:
    """A `study` command in a process of its own."""

    def __init__(
        self, *command: str | Path, runs: Path, preexec: Callable[[], object] = lambda: None, **environment: str
    ) -> None:
        self.runs, self._started = runs, time.time()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "study", *map(str, command), "--runs-dir", str(runs)],
            env={**os.environ, "WANDB_MODE": "disabled", **environment},
            stderr=subprocess.PIPE,
            text=True,
            # A test run in the background of a shell would hand down that Ctrl-C is to be ignored.
            preexec_fn=lambda: (signal.signal(signal.SIGINT, signal.SIG_DFL), preexec()),
        )

    def workers(self) -> list[int]:
        """Return the process ids of its workers."""
        return [pid for pid, name in children(self.process.pid) if "spawn_main" in name]

    def wait_until_in_the_middle(self) -> None:
        """Wait until some run has recorded a few updates since this process began, and hasn't ended."""

        def one_is() -> bool:
            assert self.process.poll() is None, "it ended before it could be caught"
            return any(
                path.stat().st_mtime > self._started and is_in_the_middle(path)
                for path in self.runs.glob("*/history.jsonl")
            )

        wait_for("the middle of a run", one_is)

    def end(self) -> tuple[int, str]:
        """Wait for the end, and return the exit code and what it said."""
        _, said = self.process.communicate(timeout=300)
        return self.process.returncode, said


def children(pid: int) -> list[tuple[int, str]]:
    """Return process ids and command lines of a process's children."""
    listed = subprocess.run(["ps", "-ww", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True)
    lines = [line.split(maxsplit=2) for line in listed.stdout.splitlines()]
    return [(int(child), name) for child, parent, name in lines if int(parent) == pid]
