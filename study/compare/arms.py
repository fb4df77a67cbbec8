"""Arms of a comparison: commands that train, and how each is run."""

import dataclasses
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from study.errors import ConfigError

SEED = "{seed}"
"""Stands for the seed in a command, or in an environment variable."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


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
