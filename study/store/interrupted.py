"""What an interrupted run continues from."""

from pathlib import Path
from typing import TYPE_CHECKING

from reports.files import Json
from study.errors import ConfigError
from study.store.files import read_if_there
from study.store.records import parse_objects

if TYPE_CHECKING:  # where no run was interrupted, torch isn't needed
    from agents.cohort.state import RunState


def read_interrupted(folder: Path) -> "tuple[RunState | None, list[Json]]":
    """Return a run's checkpoint and the history up to it; neither, if they don't fit each other.

    Args:
        folder: The run's directory.

    Raises:
        ConfigError: One of them is damaged.
    """
    if not (folder / "checkpoint").exists():
        return None, []
    from study.store import checkpoints

    state = checkpoints.read(folder / "checkpoint")
    if state is None:
        return None, []
    history = folder / "history.jsonl"
    lines = (read_if_there(history) or b"").splitlines()[: state["update"]]
    try:
        updates = parse_objects(lines)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{history} is damaged: delete it, and its run starts over") from error
    return (state, updates) if len(updates) == state["update"] else (None, [])
