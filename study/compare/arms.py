"""Arms of a comparison: commands that train, and how each is run."""

import dataclasses
import difflib
import os
import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from study.errors import ConfigError

SEED = "{seed}"
"""Stands for the seed in a command, or in an environment variable."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
PYTHON = re.compile(r"(python|pypy)[0-9.]*")
"""Programs whose first argument that is no option is a script."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arm:
    """A command that trains once.

    Attributes:
        name: What the report calls it; also the name of its folder.
        command: With `{seed}` where the seed belongs.
        env: Environment variables of its own; `{seed}` stands for the seed.
        cwd: Where it runs; by default each run has a folder of its own.
        shell: Whether a shell reads the command.
    """

    name: str
    command: str
    env: Mapping[str, str] = dataclasses.field(default_factory=dict)
    cwd: Path | None = None
    shell: bool = False

    def words(self, seed: int, here: Path) -> list[str]:
        """Return the command for a seed.

        A word that names a file in the folder `here` becomes that file's path: the run has a working directory of its
        own.
        """
        command = self.command.replace(SEED, str(seed))
        if self.shell:
            return ["sh", "-c", command]
        words = shlex.split(command)
        return words if self.cwd else [_absolute(word, here) for word in words]

    def environment(self, seed: int) -> dict[str, str]:
        """Return its environment variables for a seed."""
        return {name: value.replace(SEED, str(seed)) for name, value in self.env.items()}

    def describe(self) -> dict[str, Any]:
        """Return what two arms must have in common to be the same."""
        return {
            "command": self.command,
            "env": dict(self.env),
            "cwd": str(self.cwd) if self.cwd else None,
            "shell": self.shell,
        }


def _absolute(word: str, here: Path) -> str:
    path = here / word
    return str(path) if word and not Path(word).is_absolute() and path.is_file() else word


def require_arms(arms: Sequence[Arm]) -> None:
    """Refuse arms that can't be run.

    Raises:
        ConfigError: One can't be run. The text names the first.
    """
    if len(arms) < 2:
        raise ConfigError(f"a comparison needs at least 2 arms, and has {len(arms)}")
    for arm in arms:
        if not NAME.fullmatch(arm.name):
            raise ConfigError(f"arm {arm.name!r}: a name has letters, digits, '.', '_' and '-' alone")
        if SEED not in arm.command and not any(SEED in value for value in arm.env.values()):
            raise ConfigError(f"arm {arm.name} has no {SEED}: put it into its command, or into an environment variable")
        if arm.cwd and not arm.cwd.is_dir():
            raise ConfigError(f"arm {arm.name}: folder {arm.cwd} doesn't exist")
        try:
            empty = not shlex.split(arm.command)
        except ValueError as error:
            raise ConfigError(f"arm {arm.name}: its command can't be read: {error}") from error
        if empty:
            raise ConfigError(f"arm {arm.name} has no command")
    for arm in arms:
        _require_files(arm, Path.cwd())


def _require_files(arm: Arm, here: Path) -> None:
    """Refuse an arm whose program, or whose Python script, doesn't exist. What a shell reads isn't checked.

    Args:
        arm: The arm, whose command can be read.
        here: The folder of files that commands name, where an arm has none of its own.

    Raises:
        ConfigError: One of them doesn't exist.
    """
    if arm.shell:
        return
    folder = arm.cwd or here
    program, *arguments = shlex.split(arm.command)
    if "/" in program or (arm.cwd is None and (here / program).is_file()):
        _require_file(arm, program, folder)
    elif SEED not in program:
        path = arm.env.get("PATH", os.environ.get("PATH", os.defpath))
        if not shutil.which(program, path=os.pathsep.join(str(folder / part) for part in path.split(os.pathsep))):
            raise ConfigError(f"arm {arm.name}: program {program!r} isn't on its PATH{_near(folder / program)}")
    script = _script(arguments) if PYTHON.fullmatch(Path(program).name) else None
    if script is not None:
        _require_file(arm, script, folder)


def _require_file(arm: Arm, name: str, folder: Path) -> None:
    path = folder / name
    if SEED not in name and not path.exists():
        where = "" if Path(name).is_absolute() else f" in {folder}"
        raise ConfigError(f"arm {arm.name}: there is no {name}{where}{_near(path)}")


def _near(path: Path) -> str:
    """Return the end of an error about a file that doesn't exist: the name beside it that is most like its own."""
    try:
        beside = os.listdir(path.parent)  # noqa: PTH208 - names alone
    except OSError:
        return ""
    close = difflib.get_close_matches(path.name, beside, n=1)
    return f". Did you mean {close[0]!r}?" if close else ""


def _script(arguments: Sequence[str]) -> str | None:
    """Return the script among the arguments of Python; None for `-m`, `-c`, standard input, and unknown options."""
    rest = iter(arguments)
    for word in rest:
        if not word.startswith("-"):
            return word
        if word == "-" or word.startswith("--"):
            return None
        letters = re.match(r"-[^mcWX]*(.?)(.*)", word, re.DOTALL)
        assert letters is not None
        option, value = letters.groups()
        if option in ("m", "c"):
            return None
        if option and not value:  # -W and -X have a value, which may be the next word
            next(rest, None)
    return None
