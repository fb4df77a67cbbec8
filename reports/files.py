"""Reading of files, which may be pipes or devices, and the type of what JSON files hold."""

import errno
import stat
from pathlib import Path
from typing import Any

Json = dict[str, Any]
"""A JSON object."""


def read_file(path: Path) -> bytes:
    """Return a file's content.

    Raises:
        OSError: It can't be read, or is a pipe or a device, on which a reader would wait.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise OSError(errno.EINVAL, "it isn't a regular file", str(path))
    return path.read_bytes()
