"""Reading files, and writing them so that whatever happens meanwhile, either the old or the new one is there, whole."""

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from reports.files import read_file
from study.cells import MistakeError

DRAFT = ".rl-roundoff-draft"
"""How the name of a file ends that is being written: nobody else's does."""


class UnwritableError(RuntimeError):
    """The disk is full, or it can't be written to any more. Its text is one line, that names the file."""


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """What is done to write a file. **Raises**: `UnwritableError`, when that fails."""
    try:
        yield
    except OSError as error:
        raise UnwritableError(f"{path} can't be written: {error.strerror}") from error


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file, on disk when this returns. **Raises**: `UnwritableError`, and then the old one is as it was."""
    draft = path.with_name(f".{path.name}.{os.getpid()}{DRAFT}")
    with writing(path), draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        draft.replace(path)


def require_writable(path: Path) -> None:
    """Look whether a file can be written, before that takes long. **Raises**: `MistakeError`."""
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise MistakeError(f"{path} can't be written: {error.strerror}. Choose another file with -o") from error


def remove_drafts(folder: Path) -> None:
    """Remove what was being written when a process was killed. Only for who holds the folder's lock."""
    for draft in folder.glob(f".*{DRAFT}"):
        draft.unlink()


def read_if_there(path: Path) -> bytes | None:
    """Return a file's content; None if there is none. **Raises**: `MistakeError`, when it can't be read."""
    try:
        return read_file(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise MistakeError(f"{path} can't be read: {error.strerror}") from error
