"""Writing files so that whatever happens meanwhile, either the old or the new one is there, whole."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


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
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with writing(path), draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        draft.replace(path)


def remove_drafts(folder: Path) -> None:
    """Remove what was being written when a process was killed. Only for who holds the folder's lock."""
    for draft in folder.glob(".*"):
        draft.unlink()
