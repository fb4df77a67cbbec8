"""Workers of one machine, their ledger, and the storage in which they meet all others."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from rich.console import Console

from study.cells import MistakeError
from study.ledger import Json
from study.queueing.plans import Plan, Sweep
from study.queueing.queue import Queue, Worker, open_queue
from study.queueing.storages import Storage, default_url
from study.queueing.workers import work
from study.seeds import Seeds
from study.tracking import runs as tracking
from study.tuning import HeldOut, Tune

PLANS: dict[str, Callable[[Queue], Plan]] = {"sweep": Sweep, "seeds": Seeds, "tune": Tune, "held-out": HeldOut}
"""By the kind that a study's plan names."""


class Team:
    """Processes of this machine, for one storage.

    **Arguments**: `storage`, a URL, or nothing for the runs directory's own; `memory`, bytes for all processes.

    **Raises**: `MistakeError`, when the storage can't be opened, or the directory can't hold runs.
    """

    def __init__(self, runs_dir: Path, storage: str, processes: int, memory: float, heartbeat: float) -> None:
        self.runs_dir = runs_dir
        self.wandb_mode = tracking.choose_mode(runs_dir)
        self._processes = processes
        self._memory = memory
        self._heartbeat = heartbeat
        if storage:
            self.storage = Storage(storage)
        self.worker = Worker(runs_dir)
        if not storage:
            self.storage = Storage(default_url(runs_dir))

    def open_queue(self, name: str, plan: Json) -> Queue:
        """A study of the storage, made if there is none."""
        return open_queue(self.storage, name, self.worker, plan, self._heartbeat)

    def join(self, name: str) -> list[Plan]:
        """The plans of the storage's studies, or of those whose name begins so. **Raises**: `MistakeError`."""
        studies = self.storage.backend.get_all_studies()
        plans: list[Plan] = []
        for study in studies:
            kind = PLANS.get(study.user_attrs.get("plan", {}).get("kind"))
            if kind is not None and study.study_name.startswith(name):
                plans.append(kind(Queue(self.storage, study.study_name, self.worker)))
        if not plans:
            named = f" whose name begins with {name!r}" if name else ""
            raise MistakeError(
                f"storage {self.storage.name} has no study{named}: `study sweep`, `tune` and `seeds` begin them"
            )
        return plans

    def work(self, plans: Sequence[Plan], console: Console) -> None:
        """Take part until nothing is left to do."""
        work(plans, self.runs_dir, self._processes, self._memory, self.wandb_mode, console)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.worker.leave()
        self.storage.close()
