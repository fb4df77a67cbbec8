"""Sources of runs, and the meaning of their columns.

Sources are a run store (`run_store`), W&B (`wandb`, `wandb_mapped`), Monitor files of Stable-Baselines3 (`sb3`), event
files (`tensorboard`), a `comparison` of other trainers, a `table`, or the table of a `published` report. `runs` defines
what all of them return, and `reading` how to read them.
"""

import re
from collections import abc
from pathlib import Path
from typing import Any

import pandas as pd

from reports.errors import UnreadableSourceError
from reports.sources import comparison, sb3, tensorboard, wandb
from reports.sources.comparison import read_comparison
from reports.sources.mapping import Mapping
from reports.sources.published import is_published, read_published
from reports.sources.reading import AS_IS, Reading
from reports.sources.run_store import read_run_store
from reports.sources.runs import Runs, as_numbers
from reports.sources.sb3 import read_sb3
from reports.sources.table import read_frame, read_table
from reports.sources.tensorboard import read_tensorboard
from reports.sources.wandb import fetch_run_store
from reports.sources.wandb_mapped import read_mapped

__all__ = ["Mapping", "Reading", "UnreadableSourceError", "beside", "read", "where"]


def read(
    source: str | Path | pd.DataFrame,
    expected: abc.Mapping[str, abc.Mapping[str, Any]] | None = None,
    reading: Reading = AS_IS,
) -> Runs:
    """Return the runs of a source.

    Args:
        source: A runs directory, a CSV or Parquet file, `wandb:entity/project[/sweep]`, `sb3:FOLDER`, `tb:FOLDER` or
            `compare:FOLDER`; or a table.
        expected: Descriptions by run id: only these runs of a study are read, and those that aren't there are missing.
        reading: What the columns are, and what to compare.

    Raises:
        UnreadableSourceError: The source can't be read so.
    """
    if isinstance(source, pd.DataFrame):
        return read_frame("the table", source, reading)
    source = str(source)
    if _is_run_store(source, reading):
        if reading.unpaired:
            raise UnreadableSourceError(
                f"{source}: a study's runs are paired by their seeds: they can't be unpaired", parameter="unpaired"
            )
        folder = fetch_run_store(source) if source.startswith(wandb.SCHEME) else Path(source)
        return read_run_store(folder, expected, reading)
    if expected is not None:
        raise UnreadableSourceError(
            f"{source}: only a study's runs are those of a sweep file: leave the sweep file out", parameter="expected"
        )
    if source.startswith(wandb.SCHEME) and reading.mapping is not None:
        return read_mapped(source, reading.mapping, reading)
    if source.startswith(sb3.SCHEME):
        return read_sb3(source, reading)
    if source.startswith(tensorboard.SCHEME):
        return read_tensorboard(source, reading)
    if source.startswith(comparison.SCHEME):
        return read_comparison(source, reading)
    if not Path(source).exists():
        raise UnreadableSourceError(f"{source}: there is no such directory or table")
    if is_published(Path(source)):
        return read_published(Path(source), reading)
    return read_table(Path(source), reading)


def _is_run_store(source: str, reading: Reading) -> bool:
    """Return whether a source has a study's own runs.

    Raises:
        UnreadableSourceError: It has, and there is a mapping, too.
    """
    if source.startswith(wandb.SCHEME):
        return reading.mapping is None
    if source.startswith((sb3.SCHEME, tensorboard.SCHEME, comparison.SCHEME)) or not Path(source).is_dir():
        return False
    if reading.mapping is not None:
        raise UnreadableSourceError(
            f"{source}: a study's runs need no mapping; other runs in folders are sb3:{source} or tb:{source}",
            parameter="mapping",
        )
    return True


def beside(source: str) -> Path:
    """Return where a report goes by default: into the runs directory, beside the table or folder, or here.

    A published report is made again in its own folder, where its table lies.
    """
    if source.startswith(wandb.SCHEME):
        return Path(f"{re.sub(r'[^A-Za-z0-9.-]+', '-', source)}-report")
    for scheme in (sb3.SCHEME, tensorboard.SCHEME):
        if source.startswith(scheme):
            folder = Path(source.removeprefix(scheme))
            return folder.with_name(f"{folder.name}-report") if folder.name else folder / "report"
    path = Path(source.removeprefix(comparison.SCHEME))
    if is_published(path):
        return path.parent
    return path / "report" if path.is_dir() else path.with_name(f"{path.stem}-report")


def where(runs: Runs, conditions: abc.Sequence[str]) -> Runs:
    """Return only the runs for which each `key=value` holds.

    Raises:
        UnreadableSourceError: A column doesn't exist, or no run has the value.
    """
    for condition in conditions:
        key, equals, value = condition.partition("=")
        if not equals or key not in runs.table:
            raise UnreadableSourceError(
                f"{condition}: give key=value, of a column such as env_id or seed", parameter="where"
            )
        column = runs.table[key]
        same = column.astype(str) == value
        if _is_number(value):
            same |= as_numbers(column) == float(value)
        runs = runs.select(same)
        if runs.table.empty:
            raise UnreadableSourceError(f"{condition}: no run has it", parameter="where")
    return runs


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
