"""Runs from a table that anyone can make. What is wrong with it is said of the first row that has it."""

import reprlib
from pathlib import Path
from typing import Any

import pandas as pd

from reports.sources.runs import FACTORS, WORDS, Runs, UnreadableSourceError, as_numbers, plain

DEFAULTS: dict[str, Any] = {"precision": "unknown", "replicate": 0, "status": "finished", "error": ""}
STATUSES = ("finished", "failed", "unfinished", "missing", "damaged")
TEXTS = ("condition", "precision", "status", "parameterization", "implementation")
NUMBERS = ("seed", "replicate")


class _WrongError(ValueError):
    """A table that isn't what it should be. Its text is one line."""


def read_table(path: Path) -> Runs:
    """Read a CSV or Parquet file. **Raises**: `UnreadableSourceError`."""
    try:
        table = _complete(_load(path))
        _check(table)
    except _WrongError as error:
        raise UnreadableSourceError(f"{path}: {error}") from error
    table = table.astype(dict.fromkeys(("run", *TEXTS), str))
    table = table.assign(**{column: as_numbers(table[column]).astype("int64") for column in NUMBERS})
    numbers = table.apply(as_numbers).notna().any()
    return Runs(table=table, outcomes=sorted({*table.columns[numbers]} - {*WORDS}))


def _load(path: Path) -> pd.DataFrame:
    if path.suffix not in (".csv", ".parquet"):
        raise _WrongError("a table is a .csv or a .parquet file")
    try:
        table = _load_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    except ImportError as error:
        raise _WrongError("reading Parquet needs pyarrow: `pip install pyarrow`") from error
    except (OSError, ValueError) as error:
        raise _WrongError(f"it can't be read as a table: {' '.join(str(error).split())}") from error
    if path.suffix == ".csv" and not isinstance(table.index, pd.RangeIndex):
        raise _WrongError("its rows have more fields than its header")
    return table.rename(columns=lambda name: str(name).strip())


def _load_csv(path: Path) -> pd.DataFrame:
    """As programs write it, with commas, or as spreadsheets do where the comma is a decimal point."""
    with path.open(encoding="utf-8") as file:
        header = file.readline()
    if ";" in header and "," not in header:
        return pd.read_csv(path, sep=";", decimal=",", skip_blank_lines=False)
    return pd.read_csv(path, skip_blank_lines=False)


def _complete(table: pd.DataFrame) -> pd.DataFrame:
    """The table with all of `WORDS`: what is left out has its default, and the study's own conditions their factors."""
    for column in ("condition", "seed"):
        if column not in table:
            raise _WrongError(f"every row needs a {column!r}; the columns are {list(table.columns)}")
    blank = table.isna().all(axis=1)  # such as spreadsheets leave at the end
    if "run" not in table:
        table["run"] = [f"row {number}" for number in range(2, len(table) + 2)]
    table = table[~blank].reset_index(drop=True)
    if table.empty:
        raise _WrongError("it has no rows")
    table = table.assign(**{name: value for name, value in DEFAULTS.items() if name not in table})
    table["error"] = table["error"].astype(object).fillna("")
    strangers = table["condition"][~table["condition"].isin(FACTORS)].dropna()
    if len(strangers) and not {"parameterization", "implementation"} <= {*table.columns}:
        raise _WrongError(
            f"condition {strangers.iloc[0]!r} isn't one of {', '.join(FACTORS)}, "
            "so columns 'parameterization' and 'implementation' must say what it is"
        )
    for place, factor in enumerate(("parameterization", "implementation")):
        own = (
            table["condition"].map({condition: factors[place] for condition, factors in FACTORS.items()}).astype(object)
        )
        # As objects: a column of text is pyarrow's where that is installed, and can't be compared with any number.
        told = table.get(factor, own).astype(object)
        _refuse(
            table.assign(**{factor: told}),
            own.notna() & told.notna() & (own != told),
            factor,
            "what the condition's name says",
        )
        table[factor] = told.where(told.notna(), own)
    return table


def _check(table: pd.DataFrame) -> None:
    """**Raises**: `_WrongError`."""
    for column in TEXTS:
        _refuse(table, table[column].isna(), column, "said in every row")
    _refuse(table, ~table["status"].isin(STATUSES), "status", f"one of {', '.join(STATUSES)}")
    for column in NUMBERS:
        numbers = as_numbers(table[column])
        _refuse(table, ~((numbers % 1 == 0) & (numbers.abs() < 2.0**63)), column, "a whole number")
    for factor in ("parameterization", "implementation"):
        first = table.groupby("condition")[factor].transform("first")
        _refuse(table, table[factor] != first, factor, "the same in all rows of a condition")


def _refuse(table: pd.DataFrame, wrong: "pd.Series[bool]", column: str, must: str) -> None:
    """**Raises**: `_WrongError`, where a row is wrong, with what its column must be."""
    if wrong.any():
        first = table[wrong].iloc[0]
        value = "empty" if pd.isna(first[column]) else reprlib.repr(plain(first[column]))
        raise _WrongError(f"{first['run']}: {column} must be {must}, not {value}")
