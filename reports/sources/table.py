"""Runs from a table: a CSV or Parquet file, or a DataFrame."""

import csv
import io
from collections import Counter
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from reports.errors import UnreadableSourceError, in_one_line, near
from reports.files import read_file
from reports.sources.declare import declare
from reports.sources.mapping import Mapping
from reports.sources.reading import AS_IS, Reading
from reports.sources.runs import COLUMNS, Runs


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
    table = _flat(source, table.reset_index(drop=True), reading)
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
        raise UnreadableSourceError(f"{path}: it can't be read as a table: {in_one_line(error)}") from error
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
    _refuse_twice([name.strip() for name in names])  # pandas would rename the second
    table: pd.DataFrame = pd.read_csv(io.StringIO(text), skip_blank_lines=False, **separators)
    return table


def _refuse_twice(names: Sequence[str]) -> None:
    twice = [name for name, count in Counter(names).items() if name and count > 1]
    if twice:
        raise ValueError(f"column {twice[0]!r} is there {names.count(twice[0])} times: rename or remove all but one")


def _flat(source: str, table: pd.DataFrame, reading: Reading) -> pd.DataFrame:
    """Return the table with columns of numbers and text alone, and their names as text, without duplicates."""
    table = table.set_axis([str(name) for name in table.columns], axis=1)
    try:
        _refuse_twice(list(table.columns))
    except ValueError as error:
        raise UnreadableSourceError(f"{source}: {error}") from error
    columns = {name: _of_numpy(table[name]) for name in table.columns}
    nested = [name for name, column in columns.items() if _is_nested(column)]
    asked = {*COLUMNS, *reading.declared, *reading.design, reading.outcome}
    asked |= {value.text for value in reading.mapping.values.values()} if reading.mapping else set()
    for name in nested:
        if name in asked:
            raise UnreadableSourceError(
                f"{source}: column {name!r} must have a number or text in each row, not lists, arrays or mappings"
            )
    return pd.DataFrame({name: column for name, column in columns.items() if name not in nested}, index=table.index)


def _is_nested(column: "pd.Series[Any]") -> bool:
    """Return whether any value is a list, an array or a mapping, or a complex number, which is two."""
    kind = getattr(column.dtype, "kind", "")
    return kind == "c" or (kind == "O" and not all(isinstance(value, Hashable) for value in column))


def _of_numpy(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return a column without Arrow's types, which know fewer operations."""
    if not isinstance(column.dtype, pd.ArrowDtype):
        return column
    return pd.Series(column.to_numpy(dtype=object, na_value=np.nan), column.index).infer_objects()


def _renamed(source: str, table: pd.DataFrame, mapping: Mapping) -> pd.DataFrame:
    """Return the table with the columns that a mapping names; others keep their names."""
    blank = table.isna().all(axis=1)
    mapped = {}
    for name, value in mapping.values.items():
        if not value.is_constant and value.text not in table:
            raise UnreadableSourceError(
                f"{source}: {name}={value} is not a column{near(value.text, table.columns)}", parameter="mapping"
            )
        mapped[mapping.column(name)] = pd.Series(value.text, table.index) if value.is_constant else table[value.text]
    used = {value.text for value in mapping.values.values() if not value.is_constant}
    return table.drop(columns=[*used]).assign(**mapped)[~blank]
