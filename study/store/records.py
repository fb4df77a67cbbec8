"""The JSON of a run store: floats at full precision, and what isn't finite is null."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from reports.files import Json


def dump(values: Mapping[str, Any], indent: int | None = None) -> str:
    """Return an object in JSON. What isn't finite is null, since JSON has no word for it.

    Args:
        values: The object.
        indent: Spaces of each level; None for one line.
    """
    finite = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in values.items()
    }
    return json.dumps(finite, indent=indent, allow_nan=False)


def parse_objects(lines: Sequence[bytes]) -> list[Json]:
    """Return the object of each line.

    Args:
        lines: JSON.

    Raises:
        ValueError: A line has none.
        RecursionError: It is nested too deeply.
    """
    found = [json.loads(line.decode()) for line in lines]
    if not all(isinstance(one, dict) for one in found):
        raise ValueError("it is no object")
    return found


def parse_summary(content: bytes) -> Json:
    """Return a run's summary.

    Args:
        content: Of `summary.json`.

    Raises:
        ValueError: It is none.
        RecursionError: It is nested too deeply.
    """
    (summary,) = parse_objects([content])
    numbers = [value for name, value in summary.items() if name not in ("status", "error")]
    match summary:
        case {"status": "failed"} if isinstance(summary.setdefault("error", None), str | None):
            return summary
        case {"status": "finished"} if all(type(value) in (int, float) and math.isfinite(value) for value in numbers):
            return summary
    raise ValueError("it is no summary")
