"""The error of a source, in a module that loads neither pandas nor SciPy: the command line catches it."""

import difflib
from collections.abc import Iterable


class UnreadableSourceError(ValueError):
    """A source that can't be read. The text is one line: what is wrong, and how to fix it."""


def near(name: str, names: Iterable[str]) -> str:
    """Return the end of an error about an unknown name: the one that was meant, or all there are."""
    choices = list(names)
    close = difflib.get_close_matches(name, choices, n=1)
    return f". Did you mean {close[0]!r}?" if close else f"; choose from {', '.join(choices)}"
