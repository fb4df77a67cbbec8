"""Writing files so that whatever happens meanwhile, either the old or the new one is there, whole."""

import os
from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file, on disk when this returns."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def remove_drafts(folder: Path) -> None:
    """Remove what was being written when a process was killed. Only for who holds the folder's lock."""
    for draft in folder.glob(".*"):
        draft.unlink()
