"""Reading files, and writing them so that whatever happens meanwhile, either the old or the new one is there, whole."""

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from reports.files import read_file
from study.errors import ConfigError, UnwritableError

DRAFT = ".rl-roundoff-draft"
"""How the name of a file ends that is being written: nobody else's does."""


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """What is done to write a file. **Raises**: `UnwritableError`, when that fails."""
    try:
        yield
    except OSError as error:
        raise UnwritableError(f"{path} can't be written: {error.strerror}") from error


@contextlib.contextmanager
def drafts(folder: Path, files: Mapping[str, bytes]) -> Iterator[dict[Path, Path]]:
    """Write files to disk under other names. What isn't moved to its own name meanwhile is removed in the end.

    Args:
        folder: Where they are to be.
        files: Contents, by name.

    Yields:
        For each file, where it is to be, and where it was written.

    Raises:
        UnwritableError: One of them can't be written.
    """
    written: dict[Path, Path] = {}
    try:
        for name, content in files.items():
            path = folder / name
            written[path] = path.with_name(f".{name}.{os.getpid()}{DRAFT}")
            with writing(path), written[path].open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        yield written
    finally:
        with contextlib.suppress(OSError):
            for draft in written.values():
                draft.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file, on disk when this returns. **Raises**: `UnwritableError`, and then the old one is as it was."""
    with drafts(path.parent, {path.name: content}) as written, writing(path):
        written[path].replace(path)


def require_writable(path: Path) -> None:
    """Look whether a file can be written, before that takes long. **Raises**: `ConfigError`."""
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise ConfigError(f"{path} can't be written: {error.strerror}") from error


def remove_drafts(folder: Path) -> None:
    """Remove what was being written when a process was killed. Only for who holds the folder's lock."""
    for draft in folder.glob(f".*{DRAFT}"):
        draft.unlink()


def read_if_there(path: Path) -> bytes | None:
    """Return a file's content; None if there is none. **Raises**: `ConfigError`, when it can't be read."""
    try:
        return read_file(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}") from error
