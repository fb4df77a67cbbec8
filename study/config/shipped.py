"""Sweep files and search spaces that come with the package, found by name from any directory."""

from pathlib import Path

from reports.errors import near
from study.errors import ConfigError

SHIPPED = Path(__file__).parent.parent / "sweeps"
"""In a checkout, a link to the folder `sweeps` beside this package; in a wheel, its files."""


def find_sweep(given: Path) -> Path:
    """Return the sweep file that is meant: a path that exists, or else the shipped sweep of that name.

    Args:
        given: A path, or a name: a path below `sweeps/` without its suffix, or its last part if no other ends so.

    Raises:
        ConfigError: There is neither.
    """
    return _find(given, "sweep", {name: path for name, path in _shipped().items() if _is_sweep(path)})


def find_space(given: Path) -> Path:
    """Return the search space that is meant, by the rules of `find_sweep`.

    Raises:
        ConfigError: There is neither such a file nor a shipped search space of that name.
    """
    return _find(given, "search space", {name: path for name, path in _shipped().items() if not _is_sweep(path)})


def _shipped() -> dict[str, Path]:
    return {path.relative_to(SHIPPED).with_suffix("").as_posix(): path for path in sorted(SHIPPED.glob("**/*.yaml"))}


def _is_sweep(path: Path) -> bool:
    return "\nmethod:" in path.read_text(encoding="utf-8")


def _find(given: Path, kind: str, shipped: dict[str, Path]) -> Path:
    try:
        given.stat()
    except FileNotFoundError:
        pass
    except OSError:
        return given  # its reader says what is wrong with it
    else:
        return given
    name = str(given)
    same_end = [path for path in shipped.values() if path.stem == name]
    if name in shipped:
        return shipped[name]
    if len(same_end) == 1:
        return same_end[0]
    raise ConfigError(f"{given}: there is no such file, nor a {kind} of that name{near(given.stem, shipped)}")
