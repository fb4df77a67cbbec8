"""Runs of a comparison of other trainers: `outcomes.csv`, and beside it what was seen of their mechanism."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from reports.errors import UnreadableSourceError
from reports.sources.folders import folder_of
from reports.sources.reading import Reading
from reports.sources.runs import Observed, Runs
from reports.sources.table import read_table

SCHEME = "compare:"
UNPAIRED = ("unpaired",)
"""Readings of arms whose runs of one seed have nothing in common."""


def read_comparison(source: str, reading: Reading) -> Runs:
    """Return the runs of `compare:FOLDER`, a folder that a comparison has written.

    Args:
        source: The folder.
        reading: What to compare. Arms must agree, unless `reading` names another factor.

    Raises:
        UnreadableSourceError: The folder has no outcomes, or they can't be read.
    """
    folder = folder_of(source, SCHEME)
    seen = _read_look(folder / "look.json")
    unpaired = reading.unpaired or any(arm["reading"] in UNPAIRED for arm in seen.get("arms", {}).values())
    reading = dataclasses.replace(
        reading,
        unpaired=unpaired,
        reference=reading.reference or seen.get("reference"),
        must_agree=reading.must_agree if reading.declared else ("condition",),
    )
    runs = read_table(folder / "outcomes.csv", reading)
    return dataclasses.replace(runs, observed=_observed(seen))


def _read_look(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError) as error:
        raise UnreadableSourceError(f"{path} can't be read: {error}") from error


def _observed(seen: dict[str, Any]) -> dict[frozenset[str], Observed]:
    return {
        frozenset((seen["reference"], name)): Observed(
            reading=arm["reading"],
            gap=(arm["first_difference"] or {}).get("largest"),
            double_gap=arm["first_gap_in_float64"],
            tensor=(arm["first_difference"] or {}).get("largest_in"),
            onset=(arm["beyond_round_off"] or {}).get("step"),
            over_control=arm["over_control"],
        )
        for name, arm in seen.get("arms", {}).items()
    }
