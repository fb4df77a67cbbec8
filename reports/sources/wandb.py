"""A study's own runs from Weights & Biases, through a cache that is laid out like a run store.

A run of the study saves its files of the run store, so nothing of its history is sampled or rounded, and the report is
the same as the run store's. Other people's runs are read in `wandb_mapped`.
"""

import dataclasses
import json
import re
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock
from platformdirs import user_cache_path
from rich.console import Console
from rich.progress import track

from reports.downloads import download_files
from reports.errors import UnreadableSourceError, in_one_line
from reports.files import Json
from reports.online import require_reachable

Item = TypeVar("Item")
Done = TypeVar("Done")
Run = Any
"""`wandb.apis.public.Run`, which has no types."""

SCHEME = "wandb:"

FILES = ("config.json", "history.jsonl", "summary.json")
"""The files of a run that has ended, in a run store and in W&B."""

COST_FILE = "cost.json"
"""A further file of a run, unless it was interrupted."""

DOWNLOADS = 8
"""Runs that are downloaded at once."""


@dataclasses.dataclass(frozen=True)
class WandbPath:
    """The path of runs in W&B: a project, or one of its sweeps."""

    entity: str | None
    project: str
    sweep: str | None

    @classmethod
    def parse(cls, source: str) -> "WandbPath":
        """Return the path that `wandb:entity/project[/sweep]` names.

        Raises:
            UnreadableSourceError: The source has another form.
        """
        parts = source.removeprefix(SCHEME).split("/")
        if len(parts) not in (2, 3) or not all(re.fullmatch(r"[\w-][\w.-]{0,127}", part) for part in parts):
            raise UnreadableSourceError(f"{source}: a W&B source is wandb:entity/project or wandb:entity/project/sweep")
        return cls(parts[0], parts[1], parts[2] if len(parts) == 3 else None)

    @property
    def cache(self) -> Path:
        """The folder in which its runs are kept between two reports."""
        return user_cache_path("rl-roundoff") / "wandb" / str(self.entity) / self.project / (self.sweep or "all")


def fetch_run_store(source: str) -> Path:
    """Download the study's own runs of a W&B project or sweep, except those that are here and haven't changed.

    Args:
        source: `wandb:entity/project[/sweep]`.

    Returns:
        A folder laid out like a run store.

    Raises:
        UnreadableSourceError: The project can't be read, or has no run of a study.
    """
    path = WandbPath.parse(source)
    runs = _chosen(ask(source, path))
    if not runs:
        raise UnreadableSourceError(f"{source}: none of its runs is of a study: other people's runs need a mapping")
    try:
        path.cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnreadableSourceError(f"{path.cache} can hold no downloads: {error.strerror}") from error
    with FileLock(path.cache / ".lock"):
        for folder in path.cache.iterdir():
            if folder.is_dir() and folder.name not in runs:
                shutil.rmtree(folder)
        changed = {run_id: run for run_id, run in runs.items() if _stamp(run) != _read_stamp(path.cache / run_id)}
        in_parallel(
            lambda run_id: _keep(changed[run_id], run_id, path.cache / run_id), list(changed), "downloading runs"
        )
    return path.cache


def in_parallel(do: Callable[[Item], Done], items: Sequence[Item], doing: str) -> list[Done]:
    """Return a function's result for each item. Several run at once: each sends W&B many requests.

    Args:
        do: The function.
        items: Its arguments.
        doing: The text of the progress bar.
    """
    pool = ThreadPoolExecutor(DOWNLOADS)
    try:
        return [*track(pool.map(do, items), doing, len(items), console=Console(stderr=True), transient=True)]
    finally:
        pool.shutdown(cancel_futures=True)


def ask(source: str, path: WandbPath) -> list[Run]:
    """Return all runs of a path, oldest first, without their histories.

    Args:
        source: The source's name in errors.
        path: The project or sweep.

    Raises:
        UnreadableSourceError: W&B doesn't answer, or has no such project.
    """
    import wandb

    require_reachable(source)
    try:
        filters = {"sweep": path.sweep} if path.sweep else {}
        runs = wandb.Api(timeout=60).runs(f"{path.entity}/{path.project}", filters, order="+created_at", lazy=False)
        return list(runs)
    except (OSError, ValueError, wandb.Error) as error:
        raise UnreadableSourceError(f"{source} can't be read: {in_one_line(error)}") from error


def _chosen(runs: Sequence[Run]) -> dict[str, Run]:
    """Return a run for each run id: the first that has finished, or else that has failed, or else the first."""
    order = {"finished": 0, "failed": 1}
    chosen: dict[str, Run] = {}
    for run in runs:
        run_id = run.config.get("run_id")
        if not isinstance(run_id, str) or not re.fullmatch(r"[0-9a-f]{16}", run_id):  # it becomes a folder's name
            continue
        if run_id not in chosen or order.get(_status(run), 2) < order.get(_status(chosen[run_id]), 2):
            chosen[run_id] = run
    return dict(sorted(chosen.items()))


def _status(run: Run) -> str:
    """Return the status that the study has logged; W&B's own may differ."""
    return str(run.summary.get("status"))


def download(run: Run) -> dict[str, bytes]:
    """Return those of the run store's files that are saved with a run, by name, and the cost where it is known."""
    return download_files(run, [*FILES, COST_FILE])


def _keep(run: Run, run_id: str, folder: Path) -> None:
    """Write a run's files into a folder, and last the state of the W&B run that they are of.

    A run that was cut off has no outcome. If that was in its first seconds, it has only W&B's config.
    """
    import wandb

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        files = download(run)
    except (OSError, ValueError, wandb.Error) as error:
        raise UnreadableSourceError(f"run {run.id} can't be downloaded: {in_one_line(error)}") from error
    if "config.json" not in files:
        plain = {name: value for name, value in run.config.items() if not isinstance(value, dict | list)}
        own = {name: value for name, value in plain.items() if name not in ("run_id", "claimed", "seeds", "margin")}
        files["config.json"] = json.dumps({"id": run_id, **own}).encode()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (folder / "wandb.json").write_text(json.dumps(_stamp(run)), encoding="utf-8")


def _stamp(run: Run) -> Json:
    """Return values that differ once a run has changed."""
    return {"run": run.id, "state": run.state, "heartbeat": run.heartbeat_at, "step": run.summary.get("_step")}


def _read_stamp(folder: Path) -> Any:
    try:
        return json.loads((folder / "wandb.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
