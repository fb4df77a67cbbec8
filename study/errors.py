"""What a command ends with, exit code 1, when some of its work has come to nothing; mistakes are in `cells`."""


class WorkerError(RuntimeError):
    """A worker ended without having trained its cells. Its text is one line."""


def in_one_line(error: BaseException) -> str:
    """Return what an exception says, or, if nothing, what it is."""
    return " ".join(str(error).split()) or type(error).__name__
