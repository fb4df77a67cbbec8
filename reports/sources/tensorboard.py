"""Runs of trainers that log to TensorBoard, from their event files."""

from pathlib import Path
from typing import Any

import pandas as pd

from reports.errors import UnreadableSourceError, near
from reports.sources.declare import declare
from reports.sources.folders import describe, folder_of
from reports.sources.mapping import DEFAULT_WINDOW, split_window, summarise
from reports.sources.reading import Reading
from reports.sources.runs import Runs

SCHEME = "tb:"
FILES = "*tfevents*"
TAGS = ("charts/episodic_return", "rollout/ep_rew_mean")
"""Tags of the outcome where no mapping names one: CleanRL's and Stable-Baselines3's."""


def read_tensorboard(source: str, reading: Reading) -> Runs:
    """Return the runs of `tb:FOLDER`: each folder with event files is one.

    Args:
        source: The folder that has the runs' event files, at any depth.
        reading: What the columns are. The mapping's outcome is `TAG[:WINDOW]`; by default the first of `TAGS` that
            there is, in the last tenth of what was logged.

    Raises:
        UnreadableSourceError: There are no event files, no run has the tag, or TensorBoard isn't installed.
    """
    folder = folder_of(source, SCHEME)
    files = [path for path in folder.rglob(FILES) if not path.is_dir()]
    strange = [path for path in files if not path.is_file()]
    if strange:
        raise UnreadableSourceError(f"{strange[0]} can't be read: it isn't a regular file")
    folders = sorted({path.parent for path in files})
    if not folders:
        raise UnreadableSourceError(f"{source}: there are no event files ({FILES}) in it")
    rows = describe(source, [path.relative_to(folder).as_posix() for path in folders], reading.mapping)
    mapped = reading.mapping.values.get("outcome") if reading.mapping else None
    wanted, window = split_window(mapped.text) if mapped else (None, DEFAULT_WINDOW)
    accumulators = [load_events(path) for path in folders]
    tags = sorted({tag for accumulator in accumulators for tag in accumulator.Tags()["scalars"]})
    tag = _choose(source, wanted, tags)
    for row, accumulator in zip(rows, accumulators, strict=True):
        logged = accumulator.Scalars(tag) if tag in accumulator.Tags()["scalars"] else []
        row[tag] = summarise([event.value for event in logged], window)
    return declare(source, pd.DataFrame(rows), reading)


def _choose(source: str, wanted: str | None, tags: list[str]) -> str:
    """Return the tag of the outcome."""
    if wanted is None:
        wanted = next((tag for tag in TAGS if tag in tags), TAGS[0])
    if wanted not in tags:
        raise UnreadableSourceError(f"{source}: no run has logged {wanted!r}{near(wanted, tags)}", parameter="mapping")
    return wanted


def load_events(folder: Path) -> Any:
    """Return the scalars of a folder's event files, all of them.

    Raises:
        UnreadableSourceError: TensorBoard isn't installed.
    """
    try:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    except ImportError as error:
        raise UnreadableSourceError("reading event files needs TensorBoard: `pip install tensorboard`") from error
    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    accumulator.Reload()
    return accumulator
