"""Records of interim analyses, in a run store."""

import json
from pathlib import Path

from reports.errors import UnreadableSourceError
from reports.files import read_file
from reports.sources.runs import InterimAnalyses

INTERIM = "interim"
"""The directory of the records in a runs directory: a file for each study."""


def read_interim_analyses(folder: Path) -> list[InterimAnalyses]:
    """Return the interim analyses of all studies in a runs directory.

    Raises:
        UnreadableSourceError: A record can't be read, or is damaged.
    """
    return [_read(path) for path in sorted((folder / INTERIM).glob("*.json"))]


def _read(path: Path) -> InterimAnalyses:
    try:
        told = json.loads(read_file(path).decode())
        return InterimAnalyses(
            path, [int(analysis["seeds"]) for analysis in told["interim"]], frozenset(map(str, told["runs"]))
        )
    except OSError as error:
        raise UnreadableSourceError(f"{path} can't be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
        raise UnreadableSourceError(f"{path} is damaged: repeat its interim analyses to write it again") from error
