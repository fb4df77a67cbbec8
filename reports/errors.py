"""The error of a source, in a module that loads neither pandas nor SciPy: the command line catches it."""


class UnreadableSourceError(ValueError):
    """A source that can't be read. The text is one line: what is wrong, and how to fix it."""
