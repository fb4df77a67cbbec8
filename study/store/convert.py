"""Run stores of earlier versions, whose files had other names."""

from pathlib import Path

from study.errors import ConfigError
from study.store.files import writing

NAMES = {"updates.jsonl": "history.jsonl", "outcome.json": "summary.json", "cell.json": "config.json"}
"""New names of a run's files, by the old ones. A run is an old one as long as the last of these is there."""
FOLDERS = {"looks": "interim"}
"""New names of a run store's directories, by the old ones."""


def is_old(folder: Path) -> bool:
    """Return whether a run's directory has an earlier version's names."""
    return (folder / "cell.json").exists()


def convert(runs_dir: Path) -> int:
    """Give the files of an old run store their new names. Their content stays the same.

    Args:
        runs_dir: The run store. After an interruption, the same call does the rest.

    Returns:
        The number of runs that were converted.

    Raises:
        ConfigError: There is no such directory, or a run has files of both names.
        UnwritableError: A file can't be renamed.
    """
    if not runs_dir.is_dir():
        raise ConfigError(f"{runs_dir} is no directory: give a run store")
    old = sorted(folder for folder in runs_dir.iterdir() if is_old(folder))
    for folder in old:
        for before, after in NAMES.items():
            _rename(folder / before, folder / after)
    for before, after in FOLDERS.items():
        _rename(runs_dir / before, runs_dir / after)
    return len(old)


def _rename(before: Path, after: Path) -> None:
    if not before.exists():
        return
    if after.exists():
        raise ConfigError(f"{before} would replace {after}: delete one of them")
    with writing(after):
        before.rename(after)
