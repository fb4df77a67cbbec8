"""Where runs come from: a `ledger`, W&B (`wandb`), or a `table` that anyone can make. What they are is in `runs`."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reports.sources.ledger import read_ledger
from reports.sources.runs import FACTORS, Runs, UnreadableSourceError, as_numbers
from reports.sources.table import read_table
from reports.sources.wandb import SCHEME, Mapped, fetch_ledger, fetch_table

__all__ = ["FACTORS", "Mapped", "UnreadableSourceError", "beside", "read", "where"]


def read(
    source: str,
    expected: Mapping[str, Mapping[str, Any]] | None = None,
    mapped: Mapped | None = None,
    any_state: bool = False,
) -> Runs:
    """Read runs from a runs directory, a CSV or Parquet file, or `wandb:entity/project[/sweep]`.

    **Arguments**: `expected`, descriptions by run id: only these are read, and those that aren't there are missing;
    `mapped`, what is what in W&B's runs that aren't a study's; `any_state`, whether those of them that haven't finished
    count too.

    **Raises**: `UnreadableSourceError`.
    """
    if mapped is not None and not source.startswith(SCHEME):
        raise UnreadableSourceError(f"{source}: --map is for runs in W&B, a wandb:entity/project")
    if mapped is not None and expected is not None:
        raise UnreadableSourceError(f"{source}: runs of others have no cells, so a sweep file can't choose among them")
    if source.startswith(SCHEME):
        if mapped is not None:
            return read_table(fetch_table(source, mapped, any_state))
        return read_ledger(fetch_ledger(source), expected)
    path = Path(source)
    if path.is_dir():
        return read_ledger(path, expected)
    if not path.exists():
        raise UnreadableSourceError(f"{source}: there is no such directory or table")
    if expected is not None:
        raise UnreadableSourceError(f"{source}: a table's runs have no cells, so a sweep file can't choose among them")
    return read_table(path)


def beside(source: str) -> Path:
    """Where a report goes if nobody says: into the runs directory, beside the table, or here."""
    if source.startswith(SCHEME):
        return Path(f"{re.sub(r'[^A-Za-z0-9.-]+', '-', source)}-report")
    path = Path(source)
    return path / "report" if path.is_dir() else path.with_name(f"{path.stem}-report")


def where(runs: Runs, conditions: Sequence[str]) -> Runs:
    """Only the runs for which each `key=value` holds. **Raises**: `UnreadableSourceError`."""
    for condition in conditions:
        key, equals, value = condition.partition("=")
        if not equals or key not in runs.table:
            raise UnreadableSourceError(f"--where {condition}: give key=value, of a column such as env_id or seed")
        column = runs.table[key]
        same = column.astype(str) == value
        if _is_number(value):
            same |= as_numbers(column) == float(value)
        runs = runs.select(same)
        if runs.table.empty:
            raise UnreadableSourceError(f"--where {condition}: no run has it")
    return runs


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
