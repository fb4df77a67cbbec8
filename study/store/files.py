"""Reads files, and writes them so that at any moment either the old or the new one is there, whole."""

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from reports.files import read_file
from study.errors import ConfigError, UnwritableError

DRAFT = ".rl-roundoff-draft"
"""The end of the name of a file that is being written: no other program's files have it."""


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an `OSError` of what is done to write a file into an `UnwritableError`.

    Args:
        path: The file, which the error names.

    Raises:
        UnwritableError: Writing failed.
    """
    try:
        yield
    except OSError as error:
        raise UnwritableError(f"{path} can't be written: {error.strerror}") from error


@contextlib.contextmanager
def drafts(folder: Path, files: Mapping[str, bytes]) -> Iterator[dict[Path, Path]]:
    """Write files to disk under other names. Those that aren't moved meanwhile are removed at the end.

    Args:
        folder: The directory of the files.
        files: Contents, by name.

    Yields:
        For each file, its path and that of its draft.

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
    """Write a file, which is on disk when this returns.

    Args:
        path: The file.
        content: Its content.

    Raises:
        UnwritableError: It can't be written. The old one is unchanged.
    """
    with drafts(path.parent, {path.name: content}) as written, writing(path):
        written[path].replace(path)


def require_writable(path: Path) -> None:
    """Check that a file can be written, before the work that takes long.

    Args:
        path: The file.

    Raises:
        ConfigError: It can't.
    """
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise ConfigError(f"{path} can't be written: {error.strerror}") from error


def remove_drafts(folder: Path) -> None:
    """Remove what was being written when a process was killed. The caller holds the folder's lock."""
    for draft in folder.glob(f".*{DRAFT}"):
        draft.unlink()


def read_if_there(path: Path) -> bytes | None:
    """Return a file's content; None if there is none.

    Args:
        path: The file.

    Raises:
        ConfigError: It can't be read.
    """
    try:
        return read_file(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}") from error
