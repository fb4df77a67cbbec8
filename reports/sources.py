"""Where runs come from: a ledger, or a table that anyone can make. Both become one table, a row a run."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

FACTORS: dict[str, tuple[str, str]] = {
    "mvn_std": ("variance", "mvn"),
    "mvn_var": ("std", "mvn"),
    "normal_sqrt": ("variance", "normal"),
    "normal_std": ("std", "normal"),
}
"""Parameterization and implementation of the study's own conditions; others bring theirs."""

WORDS = ("run", "status", "error", "condition", "parameterization", "implementation", "seed", "precision", "replicate")
"""Columns that every table of runs has; the others are hyperparameters and outcomes."""


class UnreadableSourceError(ValueError):
    """A source that is no source of runs. Its text is one line, that names the thing and the mend."""


@dataclasses.dataclass(frozen=True)
class Runs:
    """Runs, finished or not."""

    table: pd.DataFrame
    """a row a run: `WORDS`, hyperparameters and outcomes"""
    hyperparameters: list[str]
    """which columns are hyperparameters"""
    provenance: list[dict[str, Any]]
    """the different circumstances in which the runs were made"""
    folder: Path | None
    """the ledger, where there is one: it has the runs' histories"""

    def history(self, run: str, *names: str) -> dict[str, NDArray[np.float64]]:
        """Columns of a finished run's updates, `[updates]`, or `[updates, size]` for lists; null is NaN."""
        if self.folder is None:
            return {}
        path = self.folder / run / "updates.jsonl"
        try:
            with path.open(encoding="utf-8") as file:
                updates = [json.loads(line) for line in file]
            return {name: np.array([update[name] for update in updates], dtype=np.float64) for name in names}
        except (OSError, ValueError, KeyError) as error:
            raise UnreadableSourceError(f"{path} is damaged: delete its folder, and train the cell again") from error

    def select(self, rows: pd.Series) -> "Runs":
        """Some of the runs. **Arguments**: `rows`, a boolean for each."""
        return dataclasses.replace(self, table=self.table[rows].reset_index(drop=True))


def read(source: str, expected: Mapping[str, Mapping[str, Any]] | None = None) -> Runs:
    """Read runs from a runs directory or a CSV or Parquet file.

    **Arguments**: `expected`, descriptions by run id: only these are read, and those that aren't there are missing.

    **Raises**: `UnreadableSourceError`.
    """
    path = Path(source)
    if path.is_dir():
        return _read_ledger(path, expected)
    if not path.exists():
        raise UnreadableSourceError(f"{source}: there is no such directory or table")
    if expected is not None:
        raise UnreadableSourceError(f"{source}: a table's runs have no cells, so a sweep file can't choose among them")
    return _read_table(path)


def _read_ledger(folder: Path, expected: Mapping[str, Mapping[str, Any]] | None) -> Runs:
    found = sorted(path.parent.name for path in folder.glob("*/cell.json"))
    rows, provenance = [], []
    for run in found:
        if expected is None or run in expected:
            row = _read_run(folder / run)
            circumstances = row.pop("provenance", None)
            rows.append(row)
            if circumstances is not None and circumstances not in provenance:
                provenance.append(circumstances)
    rows += [
        {"run": run, "status": "missing", "error": "not in the ledger", **description, **_factors(description)}
        for run, description in (expected or {}).items()
        if run not in found
    ]
    if not any(row["status"] != "missing" for row in rows):
        raise UnreadableSourceError(
            f"{folder} has no runs{' of that sweep' if expected else ''}: `study sweep` trains them"
        )
    described = [row for row in rows if "condition" in row]
    outcomes = {"final_return", "auc_return", "eval_return", "final_std"}
    names = {name for row in described for name in row} - set(WORDS) - outcomes
    table = pd.DataFrame(rows, columns=[*WORDS, *sorted(names), *sorted(outcomes)])
    return Runs(table, sorted(names), provenance, folder)


def _factors(description: Mapping[str, Any]) -> dict[str, str]:
    parameterization, implementation = FACTORS[description["condition"]]
    return {"parameterization": parameterization, "implementation": implementation}


def _read_run(folder: Path) -> dict[str, Any]:
    """A run's description and outcome, flat; its status says what is wrong with it."""
    try:
        description = json.loads((folder / "cell.json").read_text(encoding="utf-8"))
        row = {"run": description.pop("id"), **description}
        if row["run"] != folder.name:
            raise ValueError("another cell's id")
    except (OSError, ValueError, KeyError, AttributeError) as error:
        return {"run": folder.name, "status": "damaged", "error": f"cell.json: {error}"}
    try:
        outcome = json.loads((folder / "outcome.json").read_text(encoding="utf-8"))
        return {**row, "status": outcome.pop("status"), **outcome}
    except FileNotFoundError:
        return {**row, "status": "unfinished", "error": "no outcome yet"}
    except (OSError, ValueError, KeyError, AttributeError) as error:
        return {**row, "status": "damaged", "error": f"outcome.json: {error}"}


def _read_table(path: Path) -> Runs:
    if path.suffix not in (".csv", ".parquet"):
        raise UnreadableSourceError(f"{path}: a table is a .csv or a .parquet file")
    try:
        table = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    except ImportError as error:
        raise UnreadableSourceError(f"{path}: reading Parquet needs pyarrow: `pip install pyarrow`") from error
    except (OSError, ValueError) as error:
        raise UnreadableSourceError(f"{path} can't be read as a table: {error}") from error
    for column in ("condition", "seed"):
        if column not in table or table[column].isna().any():
            raise UnreadableSourceError(f"{path}: every row needs a {column!r}; the columns are {list(table.columns)}")
    if table.empty:
        raise UnreadableSourceError(f"{path} has no rows")
    for column in {"seed", "replicate"} & set(table.columns):
        numbers = pd.to_numeric(table[column], errors="coerce")
        strange = table[column][numbers.isna() | (numbers % 1 != 0)]
        if len(strange):
            raise UnreadableSourceError(f"{path}: {column!r} must be whole numbers, not {strange.iloc[0]!r}")
    strangers = sorted(set(table["condition"]) - FACTORS.keys())
    if strangers and not {"parameterization", "implementation"} <= set(table.columns):
        raise UnreadableSourceError(
            f"{path}: condition {strangers[0]!r} isn't one of {', '.join(FACTORS)}, "
            "so columns 'parameterization' and 'implementation' must say what it is"
        )
    if not strangers:
        table["parameterization"], table["implementation"] = zip(*table["condition"].map(FACTORS), strict=True)
    defaults: dict[str, Any] = {"precision": "unknown", "replicate": 0, "status": "finished", "error": None}
    for name, value in defaults.items():
        if name not in table:
            table[name] = value
    if "run" not in table:
        table["run"] = [f"row {number}" for number in range(2, len(table) + 2)]
    place = ["condition", "seed", "precision", "replicate"]
    twice = table[table.duplicated(place)]
    if len(twice):
        raise UnreadableSourceError(f"{path}: {twice['run'].iloc[0]} is there twice: {dict(twice[place].iloc[0])}")
    return Runs(table, [], [], None)


def where(runs: Runs, conditions: Sequence[str]) -> Runs:
    """Only the runs for which each `key=value` holds. **Raises**: `UnreadableSourceError`."""
    for condition in conditions:
        key, equals, value = condition.partition("=")
        if not equals or key not in runs.table:
            raise UnreadableSourceError(f"--where {condition}: give key=value, of a column such as env_id or seed")
        column = runs.table[key]
        same = pd.to_numeric(column) == float(value) if _is_number(value, column) else column.astype(str) == value
        runs = runs.select(same)
        if runs.table.empty:
            raise UnreadableSourceError(f"--where {condition}: no run has it")
    return runs


def _is_number(value: str, column: pd.Series) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return bool(pd.api.types.is_numeric_dtype(column))
