"""Checkpoints: what an interrupted run continues from, to the same bits as without the interruption.

A file is a line with the SHA-256 of all that follows, and what follows is `torch.save`'s. So a file that is damaged or
cut short is detected, and one from a stranger can hold nothing but numbers and text.
"""

import hashlib
import io
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch

from agents.cohort import Cohort, use_one_thread
from agents.cohort.state import RunState
from agents.records import Run
from study.config.run_config import RunConfig
from study.errors import ConfigError
from study.store.files import read_if_there, write_atomically

VERSION = 6
"""Of what a state consists of: to be raised whenever that changes."""


def write(path: Path, state: RunState) -> None:
    """Write a run's state, whole or not at all.

    Args:
        path: The file.
        state: From `Cohort.state`.

    Raises:
        UnwritableError: The file can't be written.
    """
    file = io.BytesIO()
    torch.save({"version": VERSION, "state": _map_arrays(state, np.ndarray, torch.from_numpy)}, file)
    content = file.getvalue()
    write_atomically(path, hashlib.sha256(content).hexdigest().encode() + b"\n" + content)


def read(path: Path) -> RunState | None:
    """Return a run's state; None where there is no file.

    Args:
        path: The file.

    Raises:
        ConfigError: The file isn't what was written.
    """
    written = read_if_there(path)
    return None if written is None else parse(written, path)


def parse(written: bytes, path: Path) -> RunState:
    """Return a run's state from a file's content.

    Args:
        written: The content.
        path: The file, for errors.

    Raises:
        ConfigError: It isn't what was written.
    """
    digest, _, content = written.partition(b"\n")
    if digest != hashlib.sha256(content).hexdigest().encode():
        raise _damaged(path)
    try:
        checkpoint = torch.load(io.BytesIO(content), weights_only=True)
        is_of_this_version = bool(checkpoint["version"] == VERSION)
        state: RunState = _map_arrays(checkpoint["state"], torch.Tensor, torch.Tensor.numpy)
        is_whole = state.keys() == RunState.__annotations__.keys() and type(state["update"]) is int
    except Exception as error:  # whatever another content makes of it
        raise _damaged(path) from error
    if not is_of_this_version:
        raise ConfigError(f"{path} is of another version of this program: delete it, and its run starts over")
    if not is_whole:
        raise _damaged(path)
    return state


def require_fit(path: Path, state: RunState, config: RunConfig) -> None:
    """Check that a run can continue from a state: arrays of another shape would crash the kernels of its optimizer.

    Args:
        path: The state's file, for errors.
        state: The state.
        config: The run.

    Raises:
        ConfigError: The state isn't of this run.
    """
    if config.engine == "reference" or config.precision == "bfloat16":  # they leave no checkpoints
        raise _damaged(path)
    use_one_thread()
    run = Run(condition=config.condition, seed=config.seed, replicate=config.replicate)
    with closing(Cohort([run], config.hyperparameters, config.precision)) as cohort:
        fresh = cohort.state(0)
        try:
            assert fresh is not None
            _require_form(state, fresh)
            cohort.restore([state])
        except Exception as error:  # whatever another content makes of it
            raise _damaged(path) from error


def _require_form(state: RunState, fresh: RunState) -> None:
    """Refuse a state whose arrays aren't like those of a run that begins. What an environment has may change."""
    if not fresh["learner"]["optimizer"]:  # some optimizers begin with nothing
        fresh["learner"]["optimizer"] = state["learner"]["optimizer"]
    for name in ("learner", "behaviour", "actor"):
        found, expected = _form(state[name]), _form(fresh[name])
        if name == "actor":
            del found["environments"], expected["environments"]
        if found != expected:
            raise ValueError(f"{name} isn't of this run")
    if [returns.ndim for returns in state["episodic_returns"]] != [1] * state["update"]:
        raise ValueError("episodic_returns isn't of this update")


def _form(state: Any) -> Any:
    """Return the same nested dictionaries and lists, with each array's shape and type, and the type of all else."""
    if isinstance(state, dict):
        return {name: _form(value) for name, value in state.items()}
    if isinstance(state, list):
        return [_form(value) for value in state]
    return (state.shape, state.dtype) if isinstance(state, np.ndarray) else type(state)


def _damaged(path: Path) -> ConfigError:
    return ConfigError(f"{path} is damaged: delete it, and its run starts over")


def _map_arrays(state: Any, kind: type, function: Callable[[Any], Any]) -> Any:
    """Return the same nested lists and dictionaries, with another kind of array: safe loading knows no NumPy."""
    if isinstance(state, kind):
        return function(state)
    if isinstance(state, dict):
        return {name: _map_arrays(value, kind, function) for name, value in state.items()}
    if isinstance(state, list):
        return [_map_arrays(value, kind, function) for value in state]
    return state
