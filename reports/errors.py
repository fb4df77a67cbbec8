"""The error of a source, and errors' texts, in a module that loads neither pandas nor SciPy: all commands import it."""

import difflib
from collections.abc import Iterable


class UnreadableSourceError(ValueError):
    """A source that can't be read. The text is one line: what is wrong, and how to fix it.

    Attributes:
        parameter: The parameter that is wrong, of `reports.read`, `Reading` or a report's options; None where the
            source itself is.
    """

    def __init__(self, message: str, *, parameter: str | None = None) -> None:
        super().__init__(message)
        self.parameter = parameter


def near(name: str, names: Iterable[str]) -> str:
    """Return the end of an error about an unknown name: a similar name, or else all there are."""
    choices = list(names)
    close = difflib.get_close_matches(name, choices, n=1)
    return f". Did you mean {close[0]!r}?" if close else f"; choose from {', '.join(choices)}"


def in_one_line(error: BaseException) -> str:
    """Return an exception's text in one line; its type's name where it has no text."""
    return " ".join(str(error).split()) or type(error).__name__
