"""The errors that end a command. Each text is one line.

`ConfigError` is a user's mistake (exit code 2); the others are failures at run time (exit code 1).
"""

import sys


class ConfigError(ValueError):
    """A mistake that the user can fix. The text names what is wrong and the fix."""


class NoMetricError(ConfigError):
    """A run hasn't written what the metric reads. The text names what there is instead."""


class RunFailedError(RuntimeError):
    """A run has ended without an outcome."""


class UnwritableError(RuntimeError):
    """The disk is full, or it can't be written to any more. The text names the file."""


class PublishError(RuntimeError):
    """A report is written, and W&B hasn't taken it."""


class WorkerError(RuntimeError):
    """A worker ended without having trained its runs."""


class ArmFailedError(WorkerError):
    """A run of an arm that is compared ended with an exit code other than 0."""

    def __init__(self, text: str, exit_code: int) -> None:
        super().__init__(text)
        self.exit_code = exit_code


def warn(line: str) -> None:
    """Print a line to standard error, by one write: lines of other threads can't come in between."""
    sys.stderr.write(f"{line}\n")
