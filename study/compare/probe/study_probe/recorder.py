"""The files of a recording: `events-PID.jsonl`, one event a line, and arrays and episodes beside it.

Each line is written at once, so that a process that is killed leaves all events until then.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import threading
import time
from typing import Any, Callable, TextIO


class Recorder:
    """Writes events, each with a `kind`. After a failure to write, nothing is watched any more."""

    MOST_ERRORS = 20
    PACKAGES = ("torch", "numpy", "gymnasium", "stable_baselines3", "mujoco", "jax", "tensorflow")

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.optimizer_steps = 0
        self.before_end: list[Callable[[], object]] = []
        self._file: TextIO | None = None
        self._process = os.getpid()
        self._errors = 0
        self._is_lost = False
        self._began = time.time()
        self._lock = threading.Lock()

    def path(self, name: str) -> str:
        """Return the path of a file of this process."""
        stem, suffix = os.path.splitext(name)
        return os.path.join(self.folder, f"{stem}-{os.getpid()}{suffix}")

    def write(self, kind: str, **event: Any) -> None:
        """Write an event."""
        with self._lock:
            if self._process != os.getpid():  # a fork, which has a recording of its own
                self._process, self._file = os.getpid(), None
            if self._file is None:
                self._file = open(self.path("events.jsonl"), "a", encoding="utf-8", buffering=1)
            self._file.write(json.dumps({"kind": kind, **event}) + "\n")

    def error(self, where: str, error: BaseException) -> None:
        """Write an error of the probe; if that fails, print it once."""
        if self._errors < self.MOST_ERRORS and not self._is_lost:
            self._errors += 1
            text = f"{type(error).__name__}: {error}"
            try:
                self.write("error", where=where, error=text)
            except OSError:
                self._is_lost = True
                print(f"study: this process isn't watched: {text}", file=sys.stderr)

    def end(self, stopped: bool = False) -> None:
        """Write the last event, if there was any before."""
        if self._file is None:
            return
        for call in self.before_end:
            call()
        versions = {
            name: str(getattr(sys.modules[name], "__version__", "unknown"))
            for name in self.PACKAGES
            if name in sys.modules
        }
        versions["python"] = sys.version.split()[0]
        self.write(
            "end",
            stopped=stopped,
            steps=self.optimizer_steps,
            seconds=time.time() - self._began,
            versions=versions,
            sources=_hash_sources(),
        )

    def safely(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that does the same, but records what it raises, and returns None then."""

        def safe(*arguments: Any, **options: Any) -> Any:
            if self._is_lost:
                return None
            try:
                return function(*arguments, **options)
            except Exception as error:
                self.error(function.__qualname__, error)
                return None

        return safe


def _hash_sources() -> dict[str, str]:
    """Return hashes of the Python files that were loaded, except installed packages and the standard library."""
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    installed = tuple(os.path.realpath(path) + os.sep for path in (sys.prefix, sys.base_prefix, here))
    loaded = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    found = {}
    for path in [*sys.argv[:1], *loaded]:  # a script has no `__file__` any more when Python ends
        real = os.path.realpath(path) if isinstance(path, str) and path.endswith(".py") else ""
        if os.path.isfile(real) and not real.startswith(installed) and "site-packages" not in real:
            with open(real, "rb") as file:
                found[real] = hashlib.sha256(file.read()).hexdigest()
    return found
