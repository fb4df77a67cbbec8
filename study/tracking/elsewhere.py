"""Which runs other machines have trained, or are training, as W&B has it: so that none is trained twice."""

from collections.abc import Iterable, Sequence
from typing import Any

import wandb

from reports.downloads import download_files
from reports.errors import in_one_line
from study.config.run_config import RunConfig
from study.errors import ConfigError, warn
from study.store.adoption import FILES
from study.store.run_store import RunStore
from study.tracking.runs import TrackedRun, project

ENDED = {"config.json", "history.jsonl", "summary.json"}
"""The files of a run that has ended."""

Run = Any
"""`wandb.apis.public.Run`, which has no types."""


def copy_finished(configs: Sequence[RunConfig], store: RunStore) -> dict[str, str]:
    """Copy to the run store those of the runs that have finished in this W&B project.

    Args:
        configs: The runs.
        store: The run store.

    Returns:
        By id of a run that was copied, the id of its W&B run.
    """
    by_id = {config.id: config for config in configs}
    copied: dict[str, str] = {}
    for run in _runs_of(configs):
        config = by_id[run.config["run_id"]]
        if run.state != "finished" or run.summary.get("status") != "finished" or config.id in copied:
            continue
        try:
            files = download_files(run, FILES)
        except (OSError, wandb.Error) as error:
            warn(f"Run {run.id} has trained this run, and can't be read: {in_one_line(error)}")
            continue
        try:
            is_copied = files.keys() >= ENDED and store.adopt(config, files)
        except ConfigError as error:
            warn(f"Run {run.id} has trained this run, and can't be read: {in_one_line(error)}")
            continue
        if is_copied:
            copied[config.id] = run.id
            print(f"{store.path(config)} is copied from run {run.id}, which has trained this run")
    return copied


def rivals(runs: Iterable[TrackedRun]) -> dict[str, str]:
    """Return those of our runs that another W&B run claimed first and is training.

    A W&B run writes the time of its claim to its config before it searches for others. So of two, at least one sees the
    other. Both conclude alike which was first, if their clocks agree to a second or so. Where they don't, both train
    the run, to the same bits.

    Args:
        runs: Ours.

    Returns:
        By run id, the id of the other W&B run.
    """
    ours = {run.config.id: run for run in runs}
    claims = {run_id: (run.claimed, run.id) for run_id, run in ours.items()}
    found = {}
    for other in _runs_of([run.config for run in ours.values()]):
        run_id = other.config["run_id"]
        if other.state == "running" and (other.config.get("claimed", 0.0), other.id) < claims[run_id]:
            found[run_id] = other.id
    return found


def _runs_of(configs: Sequence[RunConfig]) -> list[Run]:
    """Return the W&B runs of these configs, oldest first; none where W&B doesn't answer."""
    ids = [config.id for config in configs]
    filters = {"config.run_id": {"$in": ids}}
    try:
        runs = wandb.Api(timeout=30).runs(project(), filters, order="+created_at", lazy=False)
        return [run for run in runs if run.config.get("run_id") in ids]
    except (OSError, ValueError, wandb.Error) as error:
        warn(f"Whether others have trained these runs can't be told: {in_one_line(error)}")
        return []
