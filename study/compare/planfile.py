"""A comparison as a YAML file: the same options as on the command line, checked before anything is run."""

import dataclasses
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

from reports.errors import near
from study.compare.arms import Arm
from study.config.run_config import brief
from study.config.sweepfile import read_yaml
from study.errors import ConfigError

T = TypeVar("T")

ARM = {"command": str, "env": dict, "cwd": str, "shell": bool}
"""The keys that an arm of a file may have, with their types."""


def read_arms(path: Path, content: Mapping[str, Any]) -> list[Arm]:
    """Return the arms of a file.

    Raises:
        ConfigError: There is none, or one has an unknown key or a value of another type.
    """
    arms = content.get("arms")
    if not isinstance(arms, dict) or not arms:
        raise ConfigError("needs `arms:`, a command for each name")
    return [_read_arm(str(name), given, path.parent) for name, given in arms.items()]


def _read_arm(name: str, given: Any, folder: Path) -> Arm:
    fields = {"command": given} if isinstance(given, str) else given
    if not isinstance(fields, dict) or "command" not in fields:
        raise ConfigError(f"arm {name!r} must be a command, or have `command:`")
    for key, value in fields.items():
        if key not in ARM:
            raise ConfigError(f"arm {name!r} has an unknown key {key!r}{near(str(key), ARM)}")
        if not isinstance(value, ARM[key]):
            raise ConfigError(f"arm {name!r}: {key} must be {_NAMES[ARM[key]]}, not {brief(value)}")
    env = {str(key): str(value) for key, value in fields.get("env", {}).items()}
    cwd = (folder / fields["cwd"]).resolve() if "cwd" in fields else None
    return Arm(name=name, command=fields["command"], env=env, cwd=cwd, shell=fields.get("shell", False))


_NAMES = {str: "text", dict: "a mapping", bool: "true or false", int: "a whole number", float: "a number"}


def read_options(path: Path, options: T) -> tuple[list[Arm], T]:
    """Return a file's arms, and a dataclass of options with the file's values.

    Args:
        path: The file.
        options: A dataclass, with the values of options that the file doesn't have.

    Raises:
        ConfigError: Something in the file can't be used. The text names the file.
    """
    try:
        content = read_yaml(path)
        if not isinstance(content, dict):
            raise ConfigError("isn't a comparison: it needs `arms:`")
        arms = read_arms(path, content)
        return arms, _with_options(options, {str(key): value for key, value in content.items() if key != "arms"})
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def _with_options(options: T, given: Mapping[str, Any]) -> T:
    types_by_name = get_type_hints(type(options))
    changes = {}
    for key, value in given.items():
        name = key.replace("-", "_")
        if name not in types_by_name:
            raise ConfigError(f"has an unknown key {key!r}{near(name, types_by_name)}")
        changes[name] = _convert(key, value, getattr(options, name), types_by_name[name])
    return dataclasses.replace(options, **changes)  # type: ignore[type-var]


def _convert(key: str, value: Any, default: Any, declared: Any) -> Any:
    """Return a value with the type of its option: YAML reads seeds, which are text, as numbers."""
    choices = get_args(declared)
    wanted = type(default)
    if choices and isinstance(declared, types.UnionType):
        wanted = next(kind for kind in choices if kind is not type(None))
    elif choices and value not in choices and all(isinstance(choice, str) for choice in choices):
        raise ConfigError(f"{key} must be one of {', '.join(choices)}, not {brief(value)}")
    if issubclass(wanted, Path):
        return Path(str(value))
    if wanted is tuple:
        return tuple(map(str, value)) if isinstance(value, list) else (str(value),)
    if wanted is str and isinstance(value, int | str) and not isinstance(value, bool):
        return str(value)
    if wanted is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        raise ConfigError(f"{key} must be {_NAMES.get(wanted, wanted.__name__)}, not {brief(value)}")
    return value
