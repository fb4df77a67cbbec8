"""Taking over what a run has left in another machine's run store.

A process may be killed at any moment. So all is on disk before the first file is moved, a checkpoint never stands
beside another version's `config.json` or fewer updates, and the summary is last.
"""

import math
from collections.abc import Mapping
from pathlib import Path

from study.errors import ConfigError
from study.store.files import drafts, read_if_there, remove_drafts, writing
from study.store.records import parse_objects, parse_summary

FILES = ("config.json", "history.jsonl", "checkpoint", "policy.pt", "cost.json", "summary.json")
"""What a run may leave in its directory, in the order in which it is taken over."""


def count_updates(run_id: str, files: Mapping[str, bytes]) -> float:
    """Return after how many updates a run left these files.

    Args:
        run_id: The run, for errors.
        files: Contents, by name.

    Returns:
        The number; infinity where the run has ended, -1 where it can't be resumed.

    Raises:
        ConfigError: The files are damaged.
    """
    try:
        if not files.keys() >= {"config.json", "history.jsonl"}:
            raise ValueError("files are missing")
        if "summary.json" in files:
            parse_summary(files["summary.json"])
            return math.inf
        if "checkpoint" not in files:
            return -1
        from study.store import checkpoints

        update = checkpoints.parse(files["checkpoint"], Path("checkpoint"))["update"]
        if len(parse_objects(files["history.jsonl"].splitlines()[:update])) < update:
            raise ValueError("history.jsonl is shorter than its checkpoint")
        return update
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"what run {run_id} has left elsewhere is damaged: {error}") from error


def adopt(folder: Path, files: Mapping[str, bytes], update: float) -> bool:
    """Take over a run's files, if they are of a later update than those in its directory.

    Args:
        folder: The run's directory, whose lock is held.
        files: Contents, by name.
        update: What `count_updates` returns for them.

    Returns:
        Whether they were taken over.

    Raises:
        UnwritableError: There is no room for them. What was here is unchanged.
    """
    checkpoint, description = folder / "checkpoint", folder / "config.json"
    has_ended = update == math.inf
    if not has_ended and update <= _update_of_checkpoint(checkpoint):
        return False
    with writing(folder):
        folder.mkdir(exist_ok=True)
        remove_drafts(folder)
    kept = {name: content for name, content in files.items() if name != "checkpoint" or not has_ended}
    with drafts(folder, kept) as written, writing(folder):
        if read_if_there(description) != files["config.json"]:
            checkpoint.unlink(missing_ok=True)
        for path, draft in written.items():
            draft.replace(path)
        if has_ended:
            checkpoint.unlink(missing_ok=True)
    return True


def _update_of_checkpoint(path: Path) -> int:
    """Return after how many updates a checkpoint was written; -1 where there is none that can be read."""
    if not path.exists():
        return -1
    from study.store import checkpoints

    try:
        state = checkpoints.read(path)
    except ConfigError:
        return -1
    return -1 if state is None else state["update"]
