"""Runs, whoever made them: one table, a row a run."""

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reports.factors import Factor

PLACE = ("condition", "precision", "replicate", "seed")
"""Where in its design a run belongs."""
COLUMNS = ("run", "status", "error", *PLACE)
"""Columns that every table of runs has; the others are factors, hyperparameters and outcomes."""
LARGEST = 1e150
"""An outcome is a number smaller than this: the squares of larger ones are none."""


class UnreadableSourceError(ValueError):
    """Of what was given, no report can be made. Its text is one line, that names the thing and the mend."""


@dataclasses.dataclass(frozen=True)
class Looks:
    """When `study seeds` looked at its runs, before it decided whether to train more."""

    path: Path
    seeds: list[int]
    """how many there were at each look"""
    runs: frozenset[str]
    """what was looked at"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Runs:
    """Runs, finished or not."""

    table: pd.DataFrame
    """a row a run: `COLUMNS`, factors, hyperparameters and outcomes"""
    outcomes: list[str]
    """which columns are outcomes; without finished runs there are none"""
    factors: tuple[Factor, ...] = ()
    """in what the conditions differ; each is a column of text"""
    paired: bool = True
    """whether runs of the same seed belong together"""
    hyperparameters: list[str] = dataclasses.field(default_factory=list)
    """which columns are hyperparameters"""
    unknown: dict[str, str] = dataclasses.field(default_factory=dict)
    """by run, why nobody can tell what it was: such runs belong to no design, or to any"""
    provenance: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    """by run, the circumstances in which it was made"""
    looks: list[Looks] = dataclasses.field(default_factory=list)
    """of studies that trained more as results came in"""
    folder: Path | None = None
    """the ledger, where there is one: it has the runs' histories"""

    def history(self, run: str, *names: str, optional: Sequence[str] = ()) -> dict[str, NDArray[np.float64]]:
        """Columns of a finished run's updates, `[updates]`, or `[updates, size]` for lists; null is NaN.

        **Arguments**: `names`, which must be there; `optional`, which are NaN where they aren't.
        """
        if self.folder is None:
            return {}
        path = self.folder / run / "updates.jsonl"
        try:
            with path.open(encoding="utf-8") as file:
                updates = [json.loads(line) for line in file]
            return {
                **{name: np.array([update[name] for update in updates], dtype=np.float64) for name in names},
                **{name: np.array([update.get(name) for update in updates], dtype=np.float64) for name in optional},
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise UnreadableSourceError(f"{path} is damaged: delete its folder, and train the cell again") from error

    def select(self, rows: "pd.Series[bool]") -> "Runs":
        """Some of the runs. **Arguments**: `rows`, a boolean for each."""
        return dataclasses.replace(self, table=self.table[rows].reset_index(drop=True))

    def with_numbers(self, outcome: str, option: str = "--outcome") -> "Runs":
        """The same runs, with an outcome that is a number, or NaN, in every one. **Raises**: `UnreadableSourceError`.

        While no run has finished, any name will do: which outcomes there will be can't be told.

        **Arguments**: `option`, by which it was asked for.
        """
        finished = self.table["status"] == "finished"
        own = {*COLUMNS, *self.hyperparameters, *(factor.name for factor in self.factors)}
        if outcome in own or (outcome not in self.table and finished.any()):
            others = f"; choose from {', '.join(self.outcomes)}" if self.outcomes else ", nor any other"
            raise UnreadableSourceError(f"{option} {outcome}: there is no such outcome{others}")
        values = self.table.get(outcome, pd.Series(np.nan, self.table.index))
        numbers = as_numbers(values)
        strange = self.table[finished & values.notna() & numbers.isna()]
        if len(strange):
            first = strange.iloc[0]
            must = "a number, or empty where there is none"
            raise UnreadableSourceError(f"{title(first['run'])}: {outcome} must be {must}, not {first[outcome]!r}")
        return dataclasses.replace(self, table=self.table.assign(**{outcome: numbers.astype(float)}))


def title(run: str) -> str:
    """Return a run's name for an error: a row of a table has no other."""
    return run if run.startswith("row ") else f"run {run}"


def as_numbers(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """A column's numbers; NaN for all else."""
    try:
        return pd.to_numeric(column, errors="coerce")
    except OverflowError:  # of whole numbers with hundreds of digits, if they aren't text
        return pd.to_numeric(column.astype(str), errors="coerce")


def plain(value: Any) -> Any:
    """A value as JSON has it: no NumPy scalars, and null for what isn't finite."""
    if isinstance(value, Mapping):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
