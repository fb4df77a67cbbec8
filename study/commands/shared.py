"""What several commands say."""

import sys
from collections.abc import Iterable

from agents import environments
from study.cells import Cell


class CellFailedError(RuntimeError):
    """A cell has ended without an outcome. Its text is one line."""


def say_what_starts_over(cells: Iterable[Cell]) -> None:
    """A word on environments whose interrupted cells can't go on."""
    for env_id in sorted({cell.env_id for cell in cells}):
        if not environments.can_be_put_aside(env_id):
            print(
                f"Nobody knows where {env_id} keeps its state: a cell of it that is interrupted starts over.",
                file=sys.stderr,
            )
