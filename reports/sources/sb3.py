"""Runs of Stable-Baselines3, from its Monitor files, which have a line for each episode."""

import dataclasses
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from reports.errors import UnreadableSourceError, in_one_line
from reports.files import read_file
from reports.sources.declare import declare
from reports.sources.folders import describe, folder_of
from reports.sources.reading import Reading
from reports.sources.runs import Runs, as_numbers

SCHEME = "sb3:"
SUFFIX = "monitor.csv"
WORKER = re.compile(r"(\d+\.)?monitor\.csv")
"""A file of one environment of a run; the files of a folder belong together."""


def read_sb3(source: str, reading: Reading) -> Runs:
    """Return the runs of `sb3:FOLDER`, with outcomes final_return, auc_return and episodes.

    Args:
        source: The folder that has the runs' Monitor files, at any depth.
        reading: What the columns are. The environment is a design column unless it is a factor.

    Raises:
        UnreadableSourceError: There are no Monitor files, or one is damaged.
    """
    folder = folder_of(source, SCHEME)
    files = _files_by_run(folder)
    if not files:
        raise UnreadableSourceError(f"{source}: there is no {SUFFIX} in it, nor any *.{SUFFIX}")
    rows = [
        {**_read_run(source, folder, files[row["run"]]), **row}
        for row in describe(source, list(files), reading.mapping)
    ]
    table = pd.DataFrame(rows)
    design = reading.design
    if "env_id" in table and "env_id" not in (*design, *reading.declared):
        design = (*design, "env_id")
    return declare(source, table, dataclasses.replace(reading, design=design))


def _files_by_run(folder: Path) -> dict[str, list[Path]]:
    """Return each run's files by its path: a folder, or a folder and a file's name."""
    files: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob(f"*{SUFFIX}")):
        parent = path.parent.relative_to(folder)
        if WORKER.fullmatch(path.name):
            files.setdefault(parent.as_posix(), []).append(path)
        elif path.name.endswith(f".{SUFFIX}"):
            files.setdefault((parent / path.name.removesuffix(f".{SUFFIX}")).as_posix(), []).append(path)
    return files


def _read_run(source: str, folder: Path, paths: list[Path]) -> dict[str, Any]:
    """Return the columns that a run's episodes fill."""
    read = [_read_file(source, folder, path) for path in paths]
    episodes = pd.concat([episodes for _, episodes in read]).sort_values("t", kind="stable")
    environments = [header["env_id"] for header, _ in read if header.get("env_id", "None") != "None"]
    columns: dict[str, Any] = {"env_id": environments[0]} if environments else {}
    if episodes.empty:
        return {**columns, "status": "unfinished", "error": "no episode has ended", "episodes": 0}
    returns, steps = episodes["r"].to_numpy(), episodes["l"].to_numpy()
    return {
        **columns,
        "status": "finished",
        "final_return": returns[-max(1, len(returns) // 10) :].mean(),
        "auc_return": np.average(returns, weights=steps),
        "episodes": len(returns),
    }


def _read_file(source: str, folder: Path, path: Path) -> tuple[dict[str, Any], pd.DataFrame]:
    """Return a file's header, and its episodes: return `r`, length `l`, and the time `t` at which they ended."""
    try:
        file = io.StringIO(read_file(path).decode())
        header = json.loads(file.readline().removeprefix("#"))
        episodes = pd.read_csv(file)[["r", "l", "t"]].apply(as_numbers).astype(float)
        start = float(header.get("t_start", 0.0))
    except OSError as error:
        raise UnreadableSourceError(f"{path} can't be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        name = path.relative_to(folder).as_posix()
        raise UnreadableSourceError(
            f"{source}: {name} is no Monitor file, which has #{{...}} and below it columns r, l, t: "
            f"{in_one_line(error)}"
        ) from error
    episodes = episodes[episodes["t"].notna()]  # a run that was killed may end within a line
    return header, episodes.assign(t=episodes["t"] + start)
