"""`watch`, for scripts whose training the probe doesn't see, such as JAX's or that of a hand-written optimizer."""

from __future__ import annotations

from typing import Any, Mapping

from . import tensors
from .environments import Data
from .recorder import Recorder

_watched: tuple[Recorder, Data, set[int]] | None = None


def begin(recorder: Recorder, data: Data) -> None:
    """Make `watch` write to a recording."""
    global _watched
    _watched = recorder, data, set()


def watch(
    parameters: Mapping[str, Any], step: int, gradients: Mapping[str, Any] | None = None, optimizer: int = 0
) -> None:
    """Record a training step, if the process is watched.

    Args:
        parameters: Arrays by name, after the step, as NumPy reads them.
        step: The step's number, from 1.
        gradients: The gradients of the step, by the same names; None for no record of them.
        optimizer: The number of the optimizer, where there are several.
    """
    if _watched is not None:
        _watched[0].safely(_write)(*_watched, parameters, step, gradients, optimizer)


def _write(
    recorder: Recorder,
    data: Data,
    described: set[int],
    parameters: Mapping[str, Any],
    step: int,
    gradients: Mapping[str, Any] | None,
    optimizer: int,
) -> None:
    values = list(parameters.values())
    if optimizer not in described:
        described.add(optimizer)
        _describe(recorder, data, parameters, optimizer)
    given = [gradients[name] for name in parameters] if gradients is not None else []
    recorder.optimizer_steps += 1
    recorder.write(
        "step",
        step=recorder.optimizer_steps,
        optimizer=optimizer,
        count=step,
        records=data.counts,
        gradients=[tensors.hash_of(value) for value in given],
        gradient_sketches=[tensors.sketch(value) for value in given],
        parameters=[tensors.hash_of(value) for value in values],
        parameter_sketches=[tensors.sketch(value) for value in values],
    )


def _describe(recorder: Recorder, data: Data, parameters: Mapping[str, Any], optimizer: int) -> None:
    import numpy

    arrays = {name: numpy.asarray(value) for name, value in parameters.items()}
    recorder.write(
        "optimizer",
        number=optimizer,
        type="watch",
        names=list(arrays),
        shapes=[list(array.shape) for array in arrays.values()],
        dtypes=sorted({str(array.dtype) for array in arrays.values()}),
        groups=[len(arrays)],
        records=data.counts,
    )
