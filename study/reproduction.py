"""Whether runs that are trained again have the bits that a report's table has of them."""

import ast
import contextlib
import dataclasses
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agents.conditions import CONDITIONS
from reports import sources
from reports.files import Json
from reports.sources.run_store import PERTURBATION, PRECISION
from reports.sources.runs import HASH, Runs, plain
from study.config.run_config import RunConfig, make_config
from study.errors import ConfigError

History = Mapping[str, NDArray[Any]]

RUN_ID = re.compile(r"[0-9a-f]{16}")


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Record:
    """What is recorded of a run that has ended.

    Attributes:
        status: "finished" or "failed".
        error: Why it failed; empty where it hasn't, and where no reason is recorded.
        outcomes: By name; NaN where there is none.
        history: By column, a number for each update; empty where none are kept.
        params_sha256: The hash of all parameters after the last update; None where it isn't kept.
        provenance: With what it was trained.
    """

    status: str
    error: str
    outcomes: Mapping[str, float]
    history: History
    params_sha256: str | None
    provenance: Json


@dataclasses.dataclass(frozen=True, kw_only=True)
class Difference:
    """What differs between two records of a run.

    Attributes:
        is_ending: Whether one has failed, and the other hasn't, or for another reason. The rest is then left out.
        update: The first update at which a recorded number differs; None where none does.
        columns: The columns in which it does.
        outcomes: The outcomes that differ.
        is_parameters: Whether the hashes of the parameters differ.
    """

    is_ending: bool = False
    update: int | None = None
    columns: tuple[str, ...] = ()
    outcomes: tuple[str, ...] = ()
    is_parameters: bool = False


def read_table(path: Path) -> Runs:
    """Return the runs of a report's table.

    Args:
        path: The table.

    Raises:
        ConfigError: It isn't the table of a report, or this program hasn't trained its runs.
        UnreadableSourceError: It isn't there, or is damaged.
    """
    runs = sources.read(str(path)) if path.suffix == ".parquet" or not path.exists() else None
    if runs is None or runs.published is None:
        raise ConfigError(
            f"{path} isn't the table of a report: give the table.parquet that `study report RUNS --table` writes"
        )
    foreign = [row["run"] for row in _rows(runs) if not RUN_ID.fullmatch(row["run"])]
    if foreign:
        raise ConfigError(
            f"{path} has runs that this program didn't train, such as {foreign[0]!r}: give the table of a report on a "
            "run store"
        )
    return runs


def ended_rows(runs: Runs) -> list[Json]:
    """Return the rows of runs that have ended, perturbed ones included, by column."""
    return [row for row in _rows(runs) if row["status"] in ("finished", "failed")]


def find_config(row: Mapping[str, Any]) -> RunConfig | None:
    """Return the config of a table's run; None if no config has its id.

    A table has levels of factors as text. It leaves out a condition that all arms share, and how ULP controls are
    perturbed where all are alike. The id, a hash of the config, tells which it was.

    Args:
        row: The run's, by column.
    """
    fields = {field.name for field in dataclasses.fields(RunConfig)}
    known = {name: _parsed(value) for name, value in plain(row).items() if name in fields and value is not None}
    known["precision"] = row.get(PRECISION, row["precision"])
    conditions = [name for name in CONDITIONS if name in str(row["condition"]).split()] or [*CONDITIONS]
    perturbations = [known[PERTURBATION]] if PERTURBATION in known else ["one_ulp", "jitter"]
    for condition, perturbation in itertools.product(conditions, perturbations):
        with contextlib.suppress(ConfigError):
            config = make_config({**known, "condition": condition, PERTURBATION: perturbation})
            if config.id == row["run"]:
                return config
    return None


def published_records(runs: Runs, rows: Iterable[Mapping[str, Any]]) -> dict[str, Record]:
    """Return what a report's table has of some of its runs, by run id.

    Args:
        runs: The table's runs.
        rows: Those of the runs.
    """
    return {row["run"]: _record(runs, row, runs.outcomes, runs.histories, runs.hashes) for row in rows}


def trained_records(runs: Runs, published: Mapping[str, Record]) -> dict[str, Record]:
    """Return what a run store has of published runs, by run id.

    Args:
        runs: The run store's.
        published: What the table has of them: the same columns are read.

    Raises:
        UnreadableSourceError: A history is damaged.
    """
    found = {}
    for row in _rows(runs):
        run, own = row["run"], published[row["run"]]
        history: dict[str, NDArray[Any]] = {}
        if row["status"] == "finished":
            history = runs.history(run, optional=[*own.history], others=[HASH])
        hashes = history.pop(HASH, np.array([]))
        last = {run: hashes[-1]} if len(hashes) else {}
        found[run] = _record(runs, row, [*own.outcomes], {run: history}, last)
    return found


def compare(published: Record, here: Record) -> Difference | None:
    """Return what differs between two records of a run, bit for bit; None if nothing does.

    Args:
        published: What a table has of the run. What it doesn't have isn't compared.
        here: What the run store has.
    """
    if (published.status, published.error) != (here.status, here.error):
        return Difference(is_ending=True)
    update, columns = _first_difference(published.history, here.history)
    difference = Difference(
        update=update,
        columns=columns,
        outcomes=tuple(
            name for name, value in published.outcomes.items() if _bits(value) != _bits(here.outcomes[name])
        ),
        is_parameters=published.params_sha256 not in (None, here.params_sha256),
    )
    return None if difference == Difference() else difference


def compare_provenance(pairs: Iterable[tuple[Json, Json]]) -> tuple[dict[str, list[tuple[Any, Any]]], list[str]]:
    """Return in which values of their provenance runs differ from the published ones.

    Args:
        pairs: Of each run, the published provenance and the one here.

    Returns:
        By name, the different pairs of values; and the names that are recorded on one side alone.
    """
    differing: dict[str, list[tuple[Any, Any]]] = {}
    alone: set[str] = set()
    for published, here in pairs:
        alone |= published.keys() ^ here.keys()
        for name in sorted(published.keys() & here.keys()):
            values = published[name], here[name]
            if values[0] != values[1] and values not in differing.setdefault(name, []):
                differing[name].append(values)
    return {name: values for name, values in sorted(differing.items()) if values}, sorted(alone)


def _rows(runs: Runs) -> list[Json]:
    tables = [runs.table] if runs.doses is None else [runs.table, runs.doses]
    return [{str(name): value for name, value in row.items()} for each in tables for row in each.to_dict("records")]


def _record(
    runs: Runs,
    row: Mapping[str, Any],
    outcomes: Sequence[str],
    histories: Mapping[str, History],
    hashes: Mapping[str, str],
) -> Record:
    run = row["run"]
    numbers = {name: row.get(name) for name in outcomes}
    return Record(
        status=row["status"],
        error="" if pd.isna(row["error"]) else row["error"],
        outcomes={name: float("nan") if value is None else float(value) for name, value in numbers.items()},
        history=histories.get(run, {}),
        params_sha256=hashes.get(run),
        provenance=runs.provenance.get(run, {}),
    )


def _parsed(value: Any) -> Any:
    """Return a level, such as "0.001" or "True", as the value that it is the text of."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError, SyntaxError):
            return ast.literal_eval(value)
    return value


def _first_difference(published: History, here: History) -> tuple[int | None, tuple[str, ...]]:
    """Return the first update at which histories differ, counted from 1, and the columns in which they do."""
    first: dict[str, int] = {}
    for name, values in published.items():
        shared = min(len(values), len(here[name]))
        differing = np.flatnonzero(_bits(values[:shared]) != _bits(here[name][:shared]))
        if differing.size:
            first[name] = int(differing[0]) + 1
        elif len(values) != len(here[name]):
            first[name] = shared + 1
    update = min(first.values(), default=None)
    return update, tuple(name for name, at in first.items() if at == update)


def _bits(values: Any) -> NDArray[np.int64]:
    """Return the bits of numbers; those of all NaNs are the same."""
    return np.where(np.isnan(values), np.nan, values).view(np.int64)
