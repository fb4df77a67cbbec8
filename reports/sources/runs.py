"""The runs of any source: one table, with a row for each run."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import orjson
import pandas as pd
from numpy.typing import NDArray

from reports.errors import UnreadableSourceError
from reports.factors import Factor
from reports.files import read_file

RUN_KEY = ("condition", "precision", "replicate", "seed")
"""The columns that tell the runs of a design apart."""
COLUMNS = ("run", "status", "error", *RUN_KEY)
"""The columns of every table of runs. The others are factors, hyperparameters and outcomes."""
USUAL_OUTCOME = "final_return"
COST = "core_seconds"
"""The column of a run's processor time in seconds, where that is known."""
HASH = "params_sha256"
"""The column of the hash of all parameters."""
LARGEST = 1e150
"""An outcome is smaller than this: the squares of larger numbers overflow."""


@dataclasses.dataclass(frozen=True)
class InterimAnalyses:
    """The interim analyses of a study that trained more seeds until it was decided.

    Attributes:
        path: The record.
        seeds: The number of seeds at each analysis.
        runs: The runs that were analysed.
    """

    path: Path
    seeds: list[int]
    runs: frozenset[str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Observed:
    """The mechanism of two conditions as it was observed without their runs' histories.

    Attributes:
        reading: "identical", "round-off", "real", "late", "unpaired", "unseen" or "failed".
        gap: The first relative gap in the runs' own precision.
        double_gap: The first relative gap in float64.
        tensor: In which tensor runs differ first.
        onset: The first step at which they differ beyond round-off.
        over_control: The largest ratio of their gap to the ULP control's.
    """

    reading: str
    gap: float | None
    double_gap: float | None
    tensor: str | None
    onset: int | None
    over_control: float | None


@dataclasses.dataclass(frozen=True, eq=False)
class Distance:
    """The distance of two runs.

    Attributes:
        gap: The distance of their parameters after each update, relative to the size of the first's, `[updates]`.
        first_tensor: In which tensors they differ first; None where that isn't known.
    """

    gap: NDArray[np.float64]
    first_tensor: str | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Published:
    """The report that a table of runs was kept for.

    Attributes:
        path: The table's path, as it is written in the report.
        outcome: The primary outcome.
        others: Other outcomes.
        margin: The equivalence margin of the primary outcome; None for the default one.
        goal: Whether large outcomes are good.
        description: What the study asks, and how it was designed before its runs.
    """

    path: str
    outcome: str
    others: tuple[str, ...]
    margin: float | None
    goal: Literal["maximize", "minimize"]
    description: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Runs:
    """Runs, finished or not.

    Attributes:
        table: A row for each run, with `COLUMNS`, factors, hyperparameters and outcomes.
        outcomes: The columns that are outcomes; without finished runs there are none.
        factors: How the conditions differ. Each factor is a column of text.
        paired: Whether runs of the same seed belong together.
        hyperparameters: The columns in which designs differ.
        unknown: By run without a readable config, the error: such runs belong to no design, or to any.
        provenance: By run, the versions and the machine that made it.
        analyses: Interim analyses of studies that trained more as results came in.
        folder: The run store, where there is one: it has the runs' histories.
        doses: Runs that were perturbed by more than one unit in the last place; None without any.
        observed: By pair of conditions, their mechanism as it was observed, where runs have no histories.
        distances: By two runs, their distance, as far as that has been measured.
        histories: By finished run, the columns of its updates that a report's table keeps; empty beside a folder.
        hashes: By finished run, the hash of its parameters after the last update, where a report's table keeps it.
        published: The report whose table this is; None for runs from elsewhere.
    """

    table: pd.DataFrame
    outcomes: list[str]
    factors: tuple[Factor, ...] = ()
    paired: bool = True
    hyperparameters: list[str] = dataclasses.field(default_factory=list)
    unknown: dict[str, str] = dataclasses.field(default_factory=dict)
    provenance: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    analyses: list[InterimAnalyses] = dataclasses.field(default_factory=list)
    folder: Path | None = None
    doses: pd.DataFrame | None = None
    observed: Mapping[frozenset[str], Observed] = dataclasses.field(default_factory=dict)
    distances: dict[tuple[str, str], Distance] = dataclasses.field(default_factory=dict)
    histories: Mapping[str, dict[str, NDArray[Any]]] = dataclasses.field(default_factory=dict)
    hashes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    published: Published | None = None

    def __repr__(self) -> str:
        statuses = ", ".join(f"{count} {status}" for status, count in self.table["status"].value_counts().items())
        factors = "; ".join(f"{factor.name}: {', '.join(factor.levels)}" for factor in self.factors)
        return f"{len(self.table)} runs ({statuses}); {factors}; outcomes {', '.join(self.outcomes)}"

    def history(
        self, run: str, *names: str, optional: Sequence[str] = (), others: Sequence[str] = ()
    ) -> dict[str, NDArray[Any]]:
        """Return columns of a finished run's updates, by name.

        Args:
            run: The run.
            names: Columns that must be there.
            optional: Columns that are NaN where they aren't there.
            others: Columns of text or objects, None where they aren't there.

        Returns:
            Arrays of shape `[updates]`, or `[updates, size]` for lists; a number that is null is NaN. Without a run
            store there are none.

        Raises:
            UnreadableSourceError: The history can't be read, or is damaged.
        """
        if self.folder is None:
            return {}
        path = self.folder / run / "history.jsonl"
        try:
            updates = [orjson.loads(line) for line in read_file(path).splitlines()]
            return {
                **{name: np.array([update[name] for update in updates], dtype=np.float64) for name in names},
                **{name: np.array([update.get(name) for update in updates], dtype=np.float64) for name in optional},
                **{name: np.array([update.get(name) for update in updates], dtype=object) for name in others},
            }
        except OSError as error:
            raise UnreadableSourceError(f"{path} can't be read: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise UnreadableSourceError(f"{path} is damaged: delete its folder, and train the run again") from error

    def select(self, rows: "pd.Series[bool]") -> "Runs":
        """Return some of the runs.

        Args:
            rows: A boolean for each run.
        """
        return dataclasses.replace(self, table=self.table[rows].reset_index(drop=True))

    @property
    def usual_outcome(self) -> str:
        """The outcome where none is named: the published report's, final_return, or the only one.

        Raises:
            UnreadableSourceError: There are several others, or none.
        """
        if self.published is not None:
            return self.published.outcome
        is_known = USUAL_OUTCOME in self.outcomes or not (self.table["status"] == "finished").any()
        if is_known or USUAL_OUTCOME in self.table:
            return USUAL_OUTCOME
        if not self.outcomes:
            raise UnreadableSourceError("which outcome? No column has numbers: name one", parameter="outcome")
        if len(self.outcomes) > 1:
            raise UnreadableSourceError(
                f"which outcome? There is no {USUAL_OUTCOME}: name one of {', '.join(self.outcomes)}",
                parameter="outcome",
            )
        return self.outcomes[0]

    def with_numbers(self, outcome: str, parameter: str = "outcome") -> "Runs":
        """Return the same runs with an outcome that is a number, or NaN, in each.

        Args:
            outcome: The outcome. While no run has finished, any name will do: no outcomes are known yet.
            parameter: The parameter that names it, for errors.

        Raises:
            UnreadableSourceError: There is no such outcome, or it is text in a finished run.
        """
        finished = self.table["status"] == "finished"
        own = {*COLUMNS, *self.hyperparameters, *(factor.name for factor in self.factors)}
        if outcome in own or (outcome not in self.table and finished.any()):
            others = f"; choose from {', '.join(self.outcomes)}" if self.outcomes else ", nor any other"
            raise UnreadableSourceError(f"{outcome}: there is no such outcome{others}", parameter=parameter)
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
    """Return a column's numbers, and NaN for all else."""
    try:
        return pd.to_numeric(column, errors="coerce")
    except OverflowError:  # of whole numbers with hundreds of digits, if they aren't text
        return pd.to_numeric(column.astype(str), errors="coerce")


def plain(value: Any) -> Any:
    """Return a value for JSON: without NumPy scalars, and with None for what isn't finite."""
    if isinstance(value, Mapping):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
