"""The kinds of a table's columns: those of every run, factors, design columns and outcomes.

The same rules hold for tables, mapped W&B runs, Monitor files and event files.
"""

import dataclasses
import reprlib
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from reports import thread
from reports.errors import UnreadableSourceError, near
from reports.factors import Factor
from reports.sources.reading import Reading
from reports.sources.runs import COLUMNS, Runs, as_numbers, plain, title

DEFAULTS: dict[str, Any] = {"precision": "unknown", "replicate": 0, "status": "finished", "error": ""}
STATUSES = ("finished", "failed", "unfinished", "missing", "damaged")
TEXTS = ("condition", "precision", "status")
NUMBERS = ("seed", "replicate")
THREAD = tuple(factor.name for factor in thread.FACTORS)


class _WrongTableError(UnreadableSourceError):
    """A wrong table. Its text is one line, without the source."""


def declare(source: str, table: pd.DataFrame, reading: Reading) -> Runs:
    """Return the runs of a table.

    Args:
        source: The table's name in errors.
        table: A row for each run, with columns `condition` and `seed`.
        reading: What the columns are.

    Raises:
        UnreadableSourceError: A value is wrong, or a name is of no column.
    """
    try:
        table = _typed(_complete(table, reading), reading)
        _check_names(table, reading)
        table, factors = _factors(table, reading)
    except _WrongTableError as error:
        raise UnreadableSourceError(f"{source}: {error}", parameter=error.parameter) from error
    others = [name for name in table.columns if name not in COLUMNS]
    return Runs(
        table=table[[*COLUMNS, *others]],
        outcomes=_outcomes(table, reading, factors),
        factors=factors,
        paired=not reading.unpaired,
        hyperparameters=list(reading.design),
    )


def thread_factors(reading: Reading) -> tuple[Factor, ...]:
    """Return the thread's factors, with the reference condition's levels first."""
    reference = thread.CONDITIONS.get(reading.reference or "", [factor.reference for factor in thread.FACTORS])
    return tuple(
        dataclasses.replace(
            factor,
            levels=tuple(sorted(factor.levels, key=lambda level: level != first)),
            must_agree=factor.must_agree or factor.name in reading.must_agree,
        )
        for factor, first in zip(thread.FACTORS, reference, strict=True)
    )


def wrong_reference(reading: Reading, conditions: Iterable[str]) -> str | None:
    """Return the error about a reference that is no condition, or None."""
    there = list(dict.fromkeys(conditions))
    if reading.reference is None or reading.reference in there:
        return None
    return f"reference {reading.reference!r} is not a condition; the conditions are {', '.join(there)}"


def _complete(table: pd.DataFrame, reading: Reading) -> pd.DataFrame:
    """Return the table without blank rows, and with all of `COLUMNS`."""
    for column in ("condition",) if reading.unpaired else ("condition", "seed"):
        if column not in table:
            raise _WrongTableError(f"every row needs a {column!r}{near(column, map(str, table.columns))}")
    blank = table.isna().all(axis=1)  # such as spreadsheets leave at the end
    rows = pd.Series([f"row {number + 2}" for number in table.index], table.index, dtype=object)
    runs = table["run"].map(_text).astype(object) if "run" in table else rows
    table = table.assign(run=runs.where(runs.notna(), rows))[~blank].reset_index(drop=True)
    if "seed" not in table:
        table["seed"] = table.groupby("condition", dropna=False).cumcount()
    if table.empty:
        raise _WrongTableError("it has no rows")
    table = table.assign(**{name: value for name, value in DEFAULTS.items() if name not in table})
    table["error"] = table["error"].astype(object).where(table["error"].notna(), "")
    return table


def _typed(table: pd.DataFrame, reading: Reading) -> pd.DataFrame:
    """Return the table with text and whole numbers where every run has them."""
    for column in TEXTS:
        _refuse(table, table[column].isna(), column, "said in every row", reading)
    _refuse(table, ~table["status"].isin(STATUSES), "status", f"one of {', '.join(STATUSES)}", reading)
    for column in NUMBERS:
        numbers = as_numbers(table[column])
        _refuse(table, ~((numbers % 1 == 0) & (numbers.abs() < 2.0**63)), column, "a whole number", reading)
        table[column] = numbers.astype("int64")
    _refuse(table, table["replicate"] < 0, "replicate", "0, or the number of a ULP control", reading)
    return table.assign(**{column: table[column].map(_text).astype(str) for column in ("run", *TEXTS)})


def _check_names(table: pd.DataFrame, reading: Reading) -> None:
    """Refuse names that are of no column, or of one that is something else."""
    others = [name for name in table.columns if name not in COLUMNS]
    for kind, names in (("design", reading.design), ("factor", reading.declared)):
        for name in names:
            parameter = "design" if kind == "design" else reading.factor_parameter(name)
            if name in COLUMNS and (kind, name) != ("factor", "condition"):
                raise _WrongTableError(f"{kind} {name!r} is a column of every run: choose another", parameter=parameter)
            if name not in (*others, "condition") and not (kind == "factor" and name in THREAD):
                raise _WrongTableError(f"{kind} {name!r} is not a column{near(name, others)}", parameter=parameter)
    wrong = wrong_reference(reading, table["condition"])
    if wrong:
        raise _WrongTableError(wrong, parameter="reference")


def _factors(table: pd.DataFrame, reading: Reading) -> tuple[pd.DataFrame, tuple[Factor, ...]]:
    """Return the factors, and the table with their columns as text."""
    found = [name for name in _texts(table, reading) if table[name].nunique() > 1]
    _check_thread(table, reading)
    if table["condition"].isin(thread.CONDITIONS).all() and {*found, *reading.declared} <= {*THREAD}:
        levels = {
            name: table["condition"].map({condition: levels[index] for condition, levels in thread.CONDITIONS.items()})
            for index, name in enumerate(THREAD)
        }
        return table.assign(**levels), thread_factors(reading)
    missing = [name for name in reading.declared if name not in table]
    if missing:
        raise _WrongTableError(
            f"factor {missing[0]!r} is not a column{near(missing[0], table.columns)}",
            parameter=reading.factor_parameter(missing[0]),
        )
    for name in (*reading.declared, *found):
        _check_factor(table, name, reading)
    if "condition" in reading.declared and len(reading.declared) > 1:
        others = ", ".join(name for name in reading.declared if name != "condition")
        raise _WrongTableError(
            f"'condition' is a factor only by itself: leave it out, or leave out {others}",
            parameter=reading.factor_parameter("condition"),
        )
    by_itself = "condition" in reading.declared or not (reading.declared or found)
    names = ["condition"] if by_itself else list(dict.fromkeys((*reading.declared, *found)))
    table = table.assign(**{name: table[name].map(_text).astype(str) for name in names})
    first = reading.reference or table["condition"].iloc[0]
    in_order = pd.concat([table[table["condition"] == first], table])
    _check_told_apart(in_order, names)
    return table, tuple(
        Factor(name=name, levels=tuple(in_order[name].unique()), must_agree=name in reading.must_agree)
        for name in names
    )


def _texts(table: pd.DataFrame, reading: Reading) -> list[str]:
    """Return the columns without any number that aren't declared."""
    declared = {*COLUMNS, *reading.design, *reading.declared, *_declared_outcomes(reading)}
    return [name for name in table.columns if name not in declared and not as_numbers(table[name]).notna().any()]


def _check_thread(table: pd.DataFrame, reading: Reading) -> None:
    """Refuse levels that contradict the names of the thread's conditions."""
    for index, name in enumerate(THREAD):
        if name not in table:
            continue
        own = table["condition"].map({condition: levels[index] for condition, levels in thread.CONDITIONS.items()})
        told = table[name].astype(object)
        wrong = own.notna() & told.notna() & (own.astype(object) != told)
        _refuse(table, wrong, name, "what the condition's name says", reading)


def _check_factor(table: pd.DataFrame, name: str, reading: Reading) -> None:
    """Refuse a factor that is also a design column, or that isn't the same in all runs of a condition."""
    if name in reading.design:
        raise _WrongTableError(f"column {name!r} can't be both a design column and a factor", parameter="design")
    empty = table[table[name].isna()]
    if len(empty):
        raise _WrongTableError(
            f"{title(empty['run'].iloc[0])}: column {name!r} is empty: fill it in, "
            "name it as a design column, or remove it",
            parameter="design",
        )
    counts = table.groupby("condition", sort=False)[name].nunique()
    if counts.max() > 1:
        condition = counts.index[counts > 1][0]
        raise _WrongTableError(
            f"column {name!r} has {counts[condition]} values in condition {condition!r}, and a condition is one arm: "
            f"let it name the {name}, too, or name {name!r} as a design column, or remove it",
            parameter="design",
        )


def _check_told_apart(table: pd.DataFrame, names: Sequence[str]) -> None:
    """Refuse conditions that have the same level of every factor: no factor would explain their difference."""
    arms = table.drop_duplicates("condition").astype(dict.fromkeys(names, object))
    twice = arms[arms.duplicated(list(names), keep=False)]
    if len(twice):
        alike = twice.groupby(list(names), sort=False)["condition"].apply(list).iloc[0]
        raise _WrongTableError(
            f"conditions {alike[0]!r} and {alike[1]!r} are the same in every factor ({', '.join(names)}): "
            "name a factor that tells them apart, or 'condition' as the factor",
            parameter="factors",
        )


def _outcomes(table: pd.DataFrame, reading: Reading, factors: Sequence[Factor]) -> list[str]:
    """Return the columns with numbers, and those that are declared as outcomes."""
    numbers = {name for name in table.columns if as_numbers(table[name]).notna().any()}
    declared = {name for name in _declared_outcomes(reading) if name in table}
    return sorted((numbers | declared) - {*COLUMNS, *reading.design, *(factor.name for factor in factors)})


def _declared_outcomes(reading: Reading) -> list[str]:
    mapped = reading.mapping.outcome if reading.mapping else None
    return [name for name in (reading.outcome, mapped) if name is not None]


def _text(value: Any) -> Any:
    """Return a level as text, a whole number without a decimal point; None where it is missing."""
    if pd.isna(value):
        return None
    if isinstance(value, float) and value % 1 == 0 and abs(value) < 2.0**53:
        return str(int(value))
    return str(value)


def _refuse(table: pd.DataFrame, wrong: "pd.Series[bool]", column: str, must: str, reading: Reading) -> None:
    """Refuse the first wrong row, with what its column must be."""
    if wrong.any():
        first = table[wrong].iloc[0]
        value = "empty" if pd.isna(first[column]) else reprlib.repr(plain(first[column]))
        raise _WrongTableError(f"{title(first['run'])}: {reading.label(column)} must be {must}, not {value}")
