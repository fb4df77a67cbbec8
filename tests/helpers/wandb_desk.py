"""What sits before the stand-in server: the real client's programs, typed as a user types them, in a folder."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.helpers.paths import ROOT
from tests.helpers.small import SMALL
from tests.helpers.wandb_server import Run, WandbServer

COMMAND = ["${env}", "${interpreter}", "-m", "study", "train", "${args}"]
PROJECT = "tried"

RUN_WITH = "Run sweep agent with: wandb agent "
"""What `wandb sweep` says before the sweep's path."""


class Desk:
    """A folder, a shell's environment, and a server."""

    def __init__(self, server: WandbServer, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self._started: list[subprocess.Popen[str]] = []
        programs = str(Path(sys.executable).parent)
        self.environment = {
            # Nothing of W&B's: by WANDB_SERVICE, which its client sets, programs would join the tests' own.
            **{name: value for name, value in os.environ.items() if not name.startswith("WANDB_")},
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "WANDB_BASE_URL": server.url,
            "WANDB_API_KEY": "k" * 40,
            "WANDB_ERROR_REPORTING": "false",
            # Its client would send rows every 15 seconds, and runs that are waited for train meanwhile.
            "WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL": "1",
        }

    def start(self, *command: str, **environment: str) -> "subprocess.Popen[str]":
        """Begin a command."""
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # A test run in the background of a shell would hand down that Ctrl-C is to be ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        self._started.append(process)
        return process

    def close(self) -> None:
        """End what a test that failed has left behind."""
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.communicate()

    def type(self, *command: str, code: int = 0, **environment: str) -> str:
        """Run a command, which is to end with `code`, and return all that it says."""
        said = end(self.start(*command, **environment))
        assert said[0] == code, said[1]
        return said[1]

    def sweep(self, **axes: list[Any] | dict[str, Any]) -> str:
        """Queue a sweep of small runs, as `write` takes it, and return its path."""
        return self.queue(self.write(**axes))

    def write(self, **axes: list[Any] | dict[str, Any]) -> Path:
        """Write a sweep file of small runs, and return its path.

        Args:
            axes: A list of values each, or a group of such.
        """
        constants = {name: {"value": value} for name, value in SMALL.items() if not {name, f"{name}s"} & axes.keys()}
        content = {
            "project": PROJECT,
            "method": "grid",
            "metric": {"name": "final_return", "goal": "maximize"},
            "command": COMMAND,
            "parameters": constants | _parameters(axes),
        }
        (self.folder / "sweep.yaml").write_text(json.dumps(content))  # JSON is YAML
        return Path("sweep.yaml")

    def queue(self, path: Path) -> str:
        """Queue a file by `wandb sweep`, and return the sweep's path."""
        said = self.type("wandb", "sweep", str(path))
        return said.split(RUN_WITH)[1].split()[0]

    def agent(self, sweep: str, *options: str, **environment: str) -> "subprocess.Popen[str]":
        """Begin `wandb agent`."""
        return self.start("wandb", "agent", *options, sweep, **environment)

    def runs(self, project: str = PROJECT) -> list[Run]:
        """Return the runs that the server has."""
        return self.server.runs(project)

    def state(self, run: Run) -> str:
        """Return the state in which the server has a run."""
        return self.server.store.state(run)


def _parameters(axes: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: {"parameters": _parameters(given)} if isinstance(given, dict) else {"values": given}
        for name, given in axes.items()
    }


def end(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """Wait for a process, and return its exit code, and all that it said."""
    said, _ = process.communicate(timeout=240)
    return process.returncode, said


def wait_until(holds: Callable[[], object], seconds: float = 90.0) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def store(runs: Path) -> dict[str, dict[str, str]]:
    """All files of a run store's runs."""
    return {
        folder.name: {path.name: path.read_text() for path in folder.iterdir() if path.suffix in (".json", ".jsonl")}
        for folder in runs.glob("*")
        if (folder / "config.json").exists()
    }


def saved(run: Run) -> Mapping[str, str]:
    """The run store's files, as they are saved with a run."""
    names = ("config.json", "cost.json", "history.jsonl", "summary.json")
    return {name: run.files[name].decode() for name in names if name in run.files}
