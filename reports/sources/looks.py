"""What `study seeds` leaves beside its runs: when it looked at them, and what it found."""

import json
from pathlib import Path

from reports.sources.runs import Looks, UnreadableSourceError

LOOKS = "looks"
"""The directory for it in a runs directory, a file a study."""


def read_looks(folder: Path) -> list[Looks]:
    """Those of all studies in a runs directory. **Raises**: `UnreadableSourceError`."""
    return [_read(path) for path in sorted((folder / LOOKS).glob("*.json"))]


def _read(path: Path) -> Looks:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return Looks(path, [int(look["seeds"]) for look in told["looks"]], frozenset(map(str, told["runs"])))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UnreadableSourceError(f"{path} is damaged: `study seeds`, run again, writes it anew") from error
