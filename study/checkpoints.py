"""Checkpoints: what a run that was cut off goes on from, with the same bits as if it never had been.

A file is a line with the SHA-256 of all that follows, and what follows is `torch.save`'s. So a file that is damaged or
cut short is seen, and one from a stranger can hold nothing but numbers and text.
"""

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from agents.cohort.state import RunState
from study.cells import MistakeError
from study.files import write_atomically

VERSION = 4
"""Of what a state consists of: to be raised whenever that changes."""


def write(path: Path, state: RunState) -> None:
    """Write a run's state, whole or not at all. **Arguments**: `state`, from `Cohort.state`."""
    file = io.BytesIO()
    torch.save({"version": VERSION, "state": _map_arrays(state, np.ndarray, torch.from_numpy)}, file)
    content = file.getvalue()
    write_atomically(path, hashlib.sha256(content).hexdigest().encode() + b"\n" + content)


def read(path: Path) -> RunState | None:
    """A run's state; None where there is no file. **Raises**: `MistakeError`, when the file isn't what was written."""
    try:
        digest, _, content = path.read_bytes().partition(b"\n")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise MistakeError(f"{path} can't be read: {error.strerror}") from error
    if digest != hashlib.sha256(content).hexdigest().encode():
        raise MistakeError(f"{path} is damaged: delete it, and its cell starts over")
    checkpoint = torch.load(io.BytesIO(content), weights_only=True)
    if checkpoint["version"] != VERSION:
        raise MistakeError(f"{path} is of another version of this program: delete it, and its cell starts over")
    state: RunState = _map_arrays(checkpoint["state"], torch.Tensor, torch.Tensor.numpy)
    return state


def _map_arrays(state: Any, kind: type, function: Callable[[Any], Any]) -> Any:
    """The same nested lists and dictionaries, with another kind of array: safe loading knows no NumPy."""
    if isinstance(state, kind):
        return function(state)
    if isinstance(state, dict):
        return {name: _map_arrays(value, kind, function) for name, value in state.items()}
    if isinstance(state, list):
        return [_map_arrays(value, kind, function) for value in state]
    return state
