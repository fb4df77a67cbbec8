"""Where runs come from: a ledger, or a table that anyone can make."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reports.ledger import read_ledger
from reports.runs import FACTORS, Runs, UnreadableSourceError, as_numbers
from reports.table import read_table

__all__ = ["FACTORS", "UnreadableSourceError", "read", "where"]


def read(source: str, expected: Mapping[str, Mapping[str, Any]] | None = None) -> Runs:
    """Read runs from a runs directory or a CSV or Parquet file.

    **Arguments**: `expected`, descriptions by run id: only these are read, and those that aren't there are missing.

    **Raises**: `UnreadableSourceError`.
    """
    path = Path(source)
    if path.is_dir():
        return read_ledger(path, expected)
    if not path.exists():
        raise UnreadableSourceError(f"{source}: there is no such directory or table")
    if expected is not None:
        raise UnreadableSourceError(f"{source}: a table's runs have no cells, so a sweep file can't choose among them")
    return read_table(path)


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
