"""The interim analyses that `study seeds` records beside its runs."""

import json
from pathlib import Path

from reports.errors import UnreadableSourceError
from reports.files import read_file
from reports.sources.runs import Looks

LOOKS = "looks"
"""The directory of the records in a runs directory: a file for each study."""


def read_looks(folder: Path) -> list[Looks]:
    """Return the interim analyses of all studies in a runs directory.

    Raises:
        UnreadableSourceError: A record can't be read, or is damaged.
    """
    return [_read(path) for path in sorted((folder / LOOKS).glob("*.json"))]


def _read(path: Path) -> Looks:
    try:
        told = json.loads(read_file(path).decode())
        return Looks(path, [int(look["seeds"]) for look in told["looks"]], frozenset(map(str, told["runs"])))
    except OSError as error:
        raise UnreadableSourceError(f"{path} can't be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
        raise UnreadableSourceError(f"{path} is damaged: run `study seeds` again to write it") from error
