"""Runs from a table that anyone can make: a CSV or Parquet file."""

from pathlib import Path

import pandas as pd

from reports.errors import UnreadableSourceError
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
    table = table.reset_index(drop=True)
    return declare(source, _renamed(source, table, reading.mapping) if reading.mapping else table, reading)


def _load(path: Path) -> pd.DataFrame:
    if path.suffix not in (".csv", ".parquet"):
        raise UnreadableSourceError(f"{path}: a table is a .csv or a .parquet file")
    try:
        table = _load_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    except ImportError as error:
        raise UnreadableSourceError(f"{path}: reading Parquet needs pyarrow: `pip install pyarrow`") from error
    except (OSError, ValueError) as error:
        raise UnreadableSourceError(f"{path}: it can't be read as a table: {' '.join(str(error).split())}") from error
    if path.suffix == ".csv" and not isinstance(table.index, pd.RangeIndex):
        raise UnreadableSourceError(f"{path}: its rows have more fields than its header")
    return table.rename(columns=lambda name: str(name).strip())


def _load_csv(path: Path) -> pd.DataFrame:
    """Return a CSV file with commas, or with semicolons as spreadsheets have it where the comma is a decimal point."""
    with path.open(encoding="utf-8") as file:
        header = file.readline()
    if ";" in header and "," not in header:
        return pd.read_csv(path, sep=";", decimal=",", skip_blank_lines=False)
    return pd.read_csv(path, skip_blank_lines=False)


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
