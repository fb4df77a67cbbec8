"""What a command ends with, exit code 1, when some of its work has come to nothing; mistakes are in `cells`."""


class WorkerError(RuntimeError):
    """A worker ended without having trained its cells. Its text is one line."""
