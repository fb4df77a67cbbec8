"""The files of a recording: `events-PID.jsonl`, one event a line, and arrays and episodes beside it.

Each line is written as it happens: a process that is killed leaves all that it did.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from typing import Any, Callable, TextIO


class Recorder:
    """Writes events, each with a `kind`."""

    MOST_ERRORS = 20
    PACKAGES = ("torch", "numpy", "gymnasium", "stable_baselines3", "mujoco", "jax", "tensorflow")

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.optimizer_steps = 0
        self._file: TextIO | None = None
        self._errors = 0
        self._began = time.time()
        self._lock = threading.Lock()

    def path(self, name: str) -> str:
        """Return the path of a file of this process."""
        stem, suffix = os.path.splitext(name)
        return os.path.join(self.folder, f"{stem}-{os.getpid()}{suffix}")

    def write(self, kind: str, **event: Any) -> None:
        """Write an event."""
        with self._lock:
            if self._file is None:
                self._file = open(self.path("events.jsonl"), "a", encoding="utf-8", buffering=1)
            self._file.write(json.dumps({"kind": kind, **event}) + "\n")

    def error(self, where: str, error: BaseException) -> None:
        """Write what went wrong in watching."""
        if self._errors < self.MOST_ERRORS:
            self._errors += 1
            self.write("error", where=where, error=f"{type(error).__name__}: {error}")

    def end(self, stopped: bool = False) -> None:
        """Write the last event, where there was any before."""
        if self._file is None:
            return
        versions = {
            name: str(getattr(sys.modules[name], "__version__", "unknown"))
            for name in self.PACKAGES
            if name in sys.modules
        }
        versions["python"] = sys.version.split()[0]
        self.write("end", stopped=stopped, seconds=time.time() - self._began, versions=versions)

    def safely(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that does the same, and records what it raises instead of raising it."""

        def safe(*arguments: Any, **options: Any) -> Any:
            try:
                return function(*arguments, **options)
            except Exception as error:
                self.error(function.__qualname__, error)
                return None

        return safe
