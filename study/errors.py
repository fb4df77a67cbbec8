"""What a command ends with, exit code 1, when some of its work has come to nothing; mistakes are in `cells`."""

import sys


class WorkerError(RuntimeError):
    """A worker ended without having trained its cells. Its text is one line."""


def in_one_line(error: BaseException) -> str:
    """Return what an exception says, or, if nothing, what it is."""
    return " ".join(str(error).split()) or type(error).__name__


def warn(line: str) -> None:
    """Print a line to standard error, with one write: those of other threads don't come in between."""
    sys.stderr.write(f"{line}\n")
