"""The command line. A mistake that the user can fix is one line and exit code 2."""

import ast
import contextlib
import errno
import io
import os
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NoReturn

import tyro
from tyro.conf import FlagConversionOff, OmitArgPrefixes, OmitSubcommandPrefixes
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

import study
from agents.errors import EnvironmentFailedError, UnsuitableEnvironmentError
from reports.errors import UnreadableSourceError
from study.commands import Command
from study.commands.train import with_first_seed
from study.config.run_config import brief
from study.errors import ConfigError, PublishError, RunFailedError, UnwritableError, WorkerError
from study.tracking.assignment import assignment

REGISTRY = ConstructorRegistry()
"""How parameters of a run are read from the command line, where tyro reads them otherwise."""

NOTHING_IS_LOST = "what was finished is kept, and the same command continues"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command.

    Args:
        arguments: Of the command line; by default this process's.

    Raises:
        SystemExit: The command has failed, with exit code 2 for a user's mistake, 1 for a failure, 130 for Ctrl-C.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # an agent's Ctrl-C, and a cluster's
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # for files whose names aren't text
    try:
        _parse(arguments).run()
    except (ConfigError, UnsuitableEnvironmentError, UnreadableSourceError) as error:
        _exit(str(error), code=2)
    except (RunFailedError, PublishError, EnvironmentFailedError) as error:
        _exit(str(error), code=1)
    except (WorkerError, UnwritableError) as error:
        _exit(f"{error}: {NOTHING_IS_LOST}", code=1)
    except KeyboardInterrupt as interrupt:
        kept = str(interrupt)
        _exit(f"interrupted: {f'{kept}; the same command continues' if kept else NOTHING_IS_LOST}", code=130)
    except BrokenPipeError:  # `study ... | head`; Python would complain again when it flushes
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except UnicodeEncodeError as error:  # half a character, by which Python writes what isn't UTF-8
        _exit(f"{error.object[:80]!a} isn't text: give it in UTF-8", code=2)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        _exit(f"{brief(error.filename)} can't be a file: {error.strerror}", code=2)


@REGISTRY.primitive_rule
def _switch(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[bool] | None:
    """Read a parameter that is on or off: `--compile`, as a person types it, or `--compile=True`, as an agent does."""
    if info.type is not bool or FlagConversionOff not in info.markers:
        return None
    return PrimitiveConstructorSpec(
        nargs=(0, 1),
        metavar="[{True,False}]",
        instance_from_str=lambda given: given != ["False"],
        is_instance=lambda value: isinstance(value, bool),
        str_from_instance=lambda value: [str(value)],
        choices=("True", "False"),
    )


def _parse(arguments: Sequence[str] | None) -> Command:
    """Return the command that the arguments describe, or exit with one line that names the mistake."""
    complaint = io.StringIO()
    given = list(_ungrouped(sys.argv[1:] if arguments is None else arguments))
    if given == ["--version"]:
        print(f"study {study.__version__}")
        raise SystemExit(0)
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(
                Command,
                prog="study",
                args=with_first_seed(given) if given[:1] == ["train"] else given,
                config=(OmitArgPrefixes, OmitSubcommandPrefixes),
                registry=REGISTRY,
                description="Two RL implementations should be the same and aren't: which part is round-off? "
                "`study --version` prints the version.",
            )
    except ValueError as error:
        _exit(str(error), code=2)
    except SystemExit as error:
        if error.code:
            _exit(_unboxed(complaint.getvalue()), code=2)
        raise


def _unboxed(complaint: str) -> str:
    """Return what tyro prints of a mistake as one line, without the box around it."""
    # Tyro gives the parts of a mistake by `tyro._errors` alone, which it calls private and unstable: only its print-out
    # is public.
    lines = (line.strip("╭╮╰╯│─ ") for line in complaint.splitlines() if not line.startswith(("╭", "╰")))
    return " ".join(line for line in lines if line)


def _ungrouped(arguments: Iterable[str]) -> Iterator[str]:
    """Yield the arguments, with `--gamma=0.9` for an agent's `--group={'gamma': 0.9}`."""
    for argument in arguments:
        _, _, value = argument.partition("=")
        if argument.startswith("--") and value.startswith("{"):
            yield from _ungrouped(f"--{name}={inner}" for name, inner in _read_group(argument, value).items())
        else:
            yield argument


def _read_group(argument: str, value: str) -> dict[str, Any]:
    try:
        return dict(ast.literal_eval(value))
    except (ValueError, SyntaxError, TypeError) as error:
        raise ConfigError(f"{argument} isn't a group of parameters, such as --group={{'gamma': 0.9}}") from error


def _exit(message: str, code: int) -> NoReturn:
    if code in (1, 2) and assignment():
        from study.tracking.runs import settle_assigned_run

        settle_assigned_run({"status": "failed", "error": message})
    print(f"study: {message}", file=sys.stderr)
    raise SystemExit(code)
