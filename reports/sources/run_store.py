"""Runs from a run store. A run that can't be read is reported as damaged, and the others are read."""

import json
import math
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from reports.errors import UnreadableSourceError, near
from reports.factors import Factor
from reports.files import Json, read_file
from reports.sources.declare import THREAD, thread_factors, wrong_reference
from reports.sources.interim import read_interim_analyses
from reports.sources.reading import AS_IS, Reading
from reports.sources.runs import COLUMNS, COST, LARGEST, Runs
from reports.thread import CONDITIONS

PERTURBATION = "perturbation"

PRECISION = "number format"
"""The name of a factor of precisions: there is another column `precision`."""

OWN = (*COLUMNS, *THREAD)
"""Columns that are neither hyperparameters nor outcomes."""


class _DamagedError(ValueError):
    """A wrong file of a run. Its text is one line."""


def read_run_store(folder: Path, expected: Mapping[str, Mapping[str, Any]] | None, reading: Reading = AS_IS) -> Runs:
    """Return the runs of a runs directory.

    Args:
        folder: The directory.
        expected: Descriptions by run id: only these are read, and those that aren't there are missing.
        reading: What to compare. Every hyperparameter is a design column, and runs are paired by seed.

    Raises:
        UnreadableSourceError: There are no runs, their analyses are damaged, or a name is unknown.
    """
    try:
        next(folder.iterdir(), None)
    except OSError as error:
        raise UnreadableSourceError(f"{folder} can't be read: {error.strerror}") from error
    paths = [path for name in ("config.json", "summary.json") for path in folder.glob(f"*/{name}")]
    found = {path.parent.name for path in paths if path.parent.name.isprintable()}  # others are no runs of ours
    if not found and any(folder.glob("*/cell.json")):
        raise UnreadableSourceError(f"{folder} is of an earlier version: `study convert {folder}` renames its files")
    here = sorted(found if expected is None else found & expected.keys())
    if not here:
        if expected:
            raise UnreadableSourceError(f"{folder} has no runs of that sweep", parameter="expected")
        raise UnreadableSourceError(f"{folder} has no runs")
    endings: dict[str, Json] = {run: {"status": "missing", "error": "not in the run store"} for run in expected or {}}
    descriptions = {run: dict(description) for run, description in (expected or {}).items()}
    provenance: dict[str, Json] = {}
    for run in here:
        try:
            description = _read_config(folder / run)
            provenance[run] = description.pop("provenance")
            descriptions[run] = {**descriptions.get(run, {}), **description}  # older runs have fewer values
            endings[run] = _read_ending(folder / run)
        except _DamagedError as error:
            endings[run] = {"status": "damaged", "error": str(error)}
    unknown = {run: ending["error"] for run, ending in endings.items() if run not in descriptions}
    if not descriptions:
        raise UnreadableSourceError(f"{folder}: no run can be read, such as {here[0]}: {unknown[here[0]]}")
    hyperparameters = sorted({name for description in descriptions.values() for name in description} - {*OWN})
    _check_names(folder, reading, hyperparameters)
    outcomes = sorted({name for ending in endings.values() for name in ending} - {*OWN, *hyperparameters})
    rows = [
        {**endings[run], **description, **_factors(description), "run": run}
        for run, description in sorted(descriptions.items())
    ]
    table = pd.DataFrame({name: _column(rows, name) for name in (*OWN, *hyperparameters, *outcomes)})
    table[COST] = [_read_cost(folder / str(row["run"])) for row in rows]
    table, doses = _without_doses(table)
    own = [name for name in reading.declared if name not in THREAD]
    table, factors = _compare(table, own, reading) if own else (table, thread_factors(reading))
    wrong = wrong_reference(reading, table["condition"] if own else sorted(table["condition"], key=[*CONDITIONS].index))
    if wrong:
        raise UnreadableSourceError(f"{folder}: {wrong}", parameter="reference")
    return Runs(
        table=table,
        outcomes=outcomes,
        factors=factors,
        hyperparameters=[name for name in hyperparameters if name not in (*own, PERTURBATION)],
        unknown=unknown,
        provenance=provenance,
        analyses=read_interim_analyses(folder),
        folder=folder,
        doses=doses,
    )


def _without_doses(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Return the runs without doses, and the doses: perturbed runs that aren't ULP controls; None without any.

    These are perturbed by more than one ULP, or jittered where others aren't.
    """
    if PERTURBATION not in table:
        return table, None
    kinds = table[PERTURBATION].astype(object).where(table[PERTURBATION].notna(), "one_ulp")
    table = table.assign(**{PERTURBATION: kinds})
    perturbed = table["replicate"] > 0
    control = "one_ulp" if (perturbed & (kinds == "one_ulp")).any() else "jitter"
    is_dose = perturbed & (kinds != control)
    doses = table[is_dose].reset_index(drop=True) if is_dose.any() else None
    return table[~is_dose].reset_index(drop=True), doses


def _compare(table: pd.DataFrame, own: list[str], reading: Reading) -> tuple[pd.DataFrame, tuple[Factor, ...]]:
    """Return the runs with values of parameters as levels of factors, and the factors.

    An arm is then a condition, if there are several, and its values. A precision that is a factor is no longer one in
    which runs are repeated.
    """
    table = table.assign(**{name: table[name].astype(str) for name in own})
    several = ["condition"] if table["condition"].nunique() > 1 else []
    arms = table[[*several, *own]].agg(" ".join, axis=1)
    named = table.assign(condition=arms).sort_values([*several, *own])
    first = reading.reference if reading.reference in set(arms) else arms.loc[named.index[0]]
    in_order = pd.concat([named[named["condition"] == first], named])
    if "precision" in own:
        table = table.assign(precision="any", **{PRECISION: table["precision"]})
    names = [PRECISION if name == "precision" else name for name in own]
    factors = tuple(
        Factor(name=name, levels=tuple(in_order[column].unique()), must_agree=column in reading.must_agree)
        for name, column in zip(names, own, strict=True)
    )
    return table.assign(condition=arms), (*factors, *(thread_factors(reading) if several else ()))


def _check_names(folder: Path, reading: Reading, hyperparameters: list[str]) -> None:
    """Refuse design columns and factors that the runs don't have."""
    for name in reading.design:
        if name not in hyperparameters:
            raise UnreadableSourceError(
                f"{folder}: design {name!r} is not a hyperparameter{near(name, hyperparameters)}", parameter="design"
            )
    for name in reading.declared:
        if name not in (*THREAD, "precision", *hyperparameters):
            raise UnreadableSourceError(
                f"{folder}: factor {name!r} is unknown{near(name, (*THREAD, 'precision', *hyperparameters))}",
                parameter=reading.factor_parameter(name),
            )
        if name in reading.design:
            raise UnreadableSourceError(
                f"{folder}: {name!r} can't be both a design column and a factor", parameter="design"
            )


def _read_config(folder: Path) -> Json:
    """Return the values of `config.json`, without the id."""
    config = _read_object(folder / "config.json")
    if config.pop("id", None) != folder.name:
        raise _DamagedError("config.json has another run's id, or none")
    _refuse(
        config.get("condition") not in [*CONDITIONS],
        "config.json",
        config,
        "condition",
        f"one of {', '.join(CONDITIONS)}",
    )
    _refuse(not isinstance(config.get("precision"), str), "config.json", config, "precision", "float32 or float64")
    for name in ("seed", "replicate"):
        _refuse(type(config.get(name)) is not int, "config.json", config, name, "a whole number")
    provenance = config.setdefault("provenance", {})
    _refuse(not isinstance(provenance, dict), "config.json", config, "provenance", "an object")
    for name in config.keys() - {"provenance"}:
        _refuse(isinstance(config[name], dict | list), "config.json", config, name, "a single value")
        _refuse(name in ("run", "status", "error"), "config.json", config, name, "left to summary.json")
    return config


def _read_ending(folder: Path) -> Json:
    """Return a run's status, and its outcomes if it has finished."""
    if not (folder / "summary.json").exists():
        return {"status": "unfinished", "error": "no outcome yet"}
    ending = _read_object(folder / "summary.json")
    status, error = ending.pop("status", None), ending.pop("error", None)
    if status == "failed":
        return {"status": "failed", "error": None if error is None else str(error)}
    if status != "finished":
        raise _DamagedError(f"summary.json: status must be finished or failed, not {reprlib.repr(status)}")
    for name, value in ending.items():
        is_number = type(value) in (int, float) and abs(value) < LARGEST
        _refuse(not is_number, "summary.json", ending, name, "a finite number")
        _refuse(name in OWN, "summary.json", ending, name, "left to config.json")
    return {"status": "finished", **ending}


def _read_cost(folder: Path) -> float:
    """Return a run's processor time in seconds; NaN where it isn't recorded as a number."""
    try:
        return float(_read_object(folder / "cost.json")[COST])
    except (_DamagedError, KeyError, TypeError, ValueError, OverflowError):
        return math.nan


def _read_object(path: Path) -> Json:
    """Return the object in a JSON file."""
    try:
        found = json.loads(read_file(path).decode())
        json.dumps(found, ensure_ascii=False).encode()  # JSON may have halves of characters, which no table can hold
    except OSError as error:
        raise _DamagedError(f"{path.name} can't be read: {error.strerror}") from error
    except ValueError as error:
        raise _DamagedError(f"{path.name}: {error}") from error
    except RecursionError as error:
        raise _DamagedError(f"{path.name} is nested too deeply") from error
    if not isinstance(found, dict):
        raise _DamagedError(f"{path.name} must be an object, not {reprlib.repr(found)}")
    return found


def _refuse(wrong: bool, file: str, values: Json, name: str, must: str) -> None:
    if wrong:
        found = reprlib.repr(values[name]) if name in values else "missing"
        raise _DamagedError(f"{file}: {name} must be {must}, not {found}")


def _factors(description: Mapping[str, Any]) -> dict[str, str]:
    return dict(zip(THREAD, CONDITIONS[description["condition"]], strict=True))


def _column(rows: list[Json], name: str) -> "pd.Series[Any]":
    """Return the rows' values with their own types: pandas would turn whole numbers into floats beside missing ones."""
    values = [row.get(name) for row in rows]
    return pd.Series(values, dtype=object if None in values else None)
