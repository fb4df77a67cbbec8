"""Runs from a table that anyone can make: a CSV or Parquet file."""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from reports.errors import UnreadableSourceError
from reports.files import read_file
from reports.sources.declare import declare
from reports.sources.mapping import Mapping
from reports.sources.reading import AS_IS, Reading, near
from reports.sources.runs import Runs


def read_table(path: Path, reading: Reading = AS_IS) -> Runs:
    """Return the runs of a CSV or Parquet file.

    Args:
        path: The file.
        reading: What its columns are.

    Raises:
        UnreadableSourceError: The file is no table of runs.
    """
    return read_frame(str(path), _load(path), reading)


def read_frame(source: str, table: pd.DataFrame, reading: Reading = AS_IS) -> Runs:
    """Return the runs of a table.

    Args:
        source: The table's name in errors.
        table: A row for each run.
        reading: What its columns are.

    Raises:
        UnreadableSourceError: It is no table of runs.
    """
    try:
        _refuse_twice([str(name) for name in table.columns])
    except ValueError as error:
        raise UnreadableSourceError(f"{source}: {error}") from error
    table = table.reset_index(drop=True)
    return declare(source, _renamed(source, table, reading.mapping) if reading.mapping else table, reading)


def _load(path: Path) -> pd.DataFrame:
    if path.suffix not in (".csv", ".parquet"):
        raise UnreadableSourceError(f"{path}: a table is a .csv or a .parquet file")
    try:
        content = io.BytesIO(read_file(path))
        table = _load_csv(content) if path.suffix == ".csv" else pd.read_parquet(content)
    except ImportError as error:
        raise UnreadableSourceError(f"{path}: reading Parquet needs pyarrow: `pip install pyarrow`") from error
    except OSError as error:
        raise UnreadableSourceError(f"{path} can't be read: {error.strerror or error}") from error
    except ValueError as error:
        raise UnreadableSourceError(f"{path}: it can't be read as a table: {' '.join(str(error).split())}") from error
    if path.suffix == ".csv" and not isinstance(table.index, pd.RangeIndex):
        raise UnreadableSourceError(f"{path}: its rows have more fields than its header")
    return table.rename(columns=lambda name: str(name).strip())


def _load_csv(content: io.BytesIO) -> pd.DataFrame:
    """Return a CSV file with commas, or with semicolons as spreadsheets have it where the comma is a decimal point."""
    text = content.read().decode()
    header = text.partition("\n")[0]
    semicolons = ";" in header and "," not in header
    separators: dict[str, Any] = {"sep": ";", "decimal": ","} if semicolons else {}
    names = next(csv.reader(io.StringIO(text), delimiter=";" if semicolons else ","), [])
    _refuse_twice([name.strip() for name in names])  # pandas would call the second by another name
    table: pd.DataFrame = pd.read_csv(io.StringIO(text), skip_blank_lines=False, **separators)
    return table


def _refuse_twice(names: Sequence[str]) -> None:
    twice = [name for name, count in Counter(names).items() if name and count > 1]
    if twice:
        raise ValueError(f"column {twice[0]!r} is there {names.count(twice[0])} times: rename or remove all but one")


def _renamed(source: str, table: pd.DataFrame, mapping: Mapping) -> pd.DataFrame:
    """Return the table with the columns that a mapping names; others keep their names."""
    blank = table.isna().all(axis=1)
    mapped = {}
    for name, value in mapping.values.items():
        if not value.is_constant and value.text not in table:
            raise UnreadableSourceError(f"{source}: {name}={value} is not a column{near(value.text, table.columns)}")
        mapped[mapping.column(name)] = pd.Series(value.text, table.index) if value.is_constant else table[value.text]
    used = {value.text for value in mapping.values.values() if not value.is_constant}
    return table.drop(columns=[*used]).assign(**mapped)[~blank]
