"""The command line, called in this process."""

import pytest

from study.cli import main
from tests.helpers.small import SMALL

SMALL_OPTIONS = [f"--{name}={value}" for name, value in SMALL.items()]


def run(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Return the exit code, the output and the error output of a command."""
    code = 0
    try:
        main(arguments)
    except SystemExit as error:
        code = int(error.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err
