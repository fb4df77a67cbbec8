"""Other people's runs from Weights & Biases: the values that a mapping names, as a table."""

import json
from typing import Any

import pandas as pd

from reports.errors import UnreadableSourceError, in_one_line
from reports.sources.declare import declare
from reports.sources.mapping import Mapping, Value, split_window, summarise
from reports.sources.reading import Reading
from reports.sources.runs import Runs
from reports.sources.wandb import Run, WandbPath, ask, in_parallel

STATUSES = {"finished": "finished", "failed": "failed"}
"""A run's status by W&B's state. In any other it is unfinished: a preempted machine is no failure of the algorithm."""


NOT_FINITE = ("NaN", "Infinity", "-Infinity")
"""Numbers that W&B has as text."""


def read_mapped(source: str, mapping: Mapping, reading: Reading) -> Runs:
    """Return the runs of a W&B project or sweep.

    Args:
        source: `wandb:entity/project[/sweep]`.
        mapping: Where a run's columns are: `config.KEY`, `summary.KEY` or `history.KEY:WINDOW`.
        reading: What the columns are.

    Raises:
        UnreadableSourceError: The project can't be read, or the mapping doesn't fit its runs.
    """
    _check(source, mapping, reading)
    runs = ask(source, WandbPath.parse(source))
    rows = [row for row in in_parallel(lambda run: _row(source, run, mapping, reading), runs, "reading runs") if row]
    if not rows:
        raise UnreadableSourceError(f"{source}: there are no runs, or none has {mapping.label('condition')}")
    return declare(source, pd.DataFrame(rows), reading)


def _check(source: str, mapping: Mapping, reading: Reading) -> None:
    """Refuse a mapping that lacks a column, or has a value that isn't W&B's."""
    for name in ("condition", "outcome") if reading.unpaired else ("condition", "seed", "outcome"):
        if name not in mapping.values:
            raise UnreadableSourceError(
                f"{source}: the mapping must say where {name} is, such as {name}=config.KEY", parameter="mapping"
            )
    for name, value in mapping.values.items():
        section, _, key = value.text.partition(".")
        if value.is_constant:
            continue
        if section not in ("config", "summary", "history") or not key:
            raise UnreadableSourceError(
                f"{source}: {name}={value} must be config.KEY, summary.KEY, history.KEY:WINDOW, "
                "or a constant in quotes",
                parameter="mapping",
            )
        if section == "history":
            split_window(key)


def _row(source: str, run: Run, mapping: Mapping, reading: Reading) -> dict[str, Any] | None:
    """Return a run's columns, or None if it has no condition: such runs aren't compared."""
    import wandb

    outcome = mapping.values["outcome"]
    rest = {name: value for name, value in mapping.values.items() if name != "outcome"}
    try:
        values = {name: _look_up(run, value) for name, value in rest.items()}
        if values["condition"] is None:
            return None
        status = STATUSES.get(run.state, "unfinished")
        # A history is long: it is read only where it counts.
        counts = status == "finished" or reading.any_state or "status" in values
        found = _look_up(run, outcome) if counts or not outcome.text.startswith("history.") else None
    except (OSError, ValueError, TypeError, wandb.Error) as error:
        raise UnreadableSourceError(f"{source}: run {run.id} can't be read: {in_one_line(error)}") from error
    if reading.any_state and found is not None:
        status = "finished"
    why = None if status == "finished" else f"W&B calls it {run.state}"
    return {"run": run.id, "status": status, "error": why, **values, mapping.column("outcome"): found}


def _look_up(run: Run, value: Value) -> Any:
    """Return a value of a run, or None where it has none."""
    section, _, key = value.text.partition(".")
    if value.is_constant:
        return value.text
    if section == "history":
        key, window = split_window(key)
        return summarise([float(row[key]) for row in run.scan_history(keys=[key])], window)
    found = _nested(run.config if section == "config" else run.summary, key)
    if found in NOT_FINITE:
        return float(found)
    if isinstance(found, list) or hasattr(found, "keys"):
        return json.dumps(found, default=str)
    return found


def _nested(values: Any, key: str) -> Any:
    """Return the value of a key; a dot in it may lead into a group."""
    if values.get(key) is not None:
        return values.get(key)
    for part in key.split("."):
        if not hasattr(values, "get"):
            return None
        values = values.get(part)
    return values
