"""What is recorded of a run's parameters: whether two runs have the same, where they differ, and how far.

A hash of all bytes tells whether. In the first updates, a hash of each tensor tells where. A sketch tells how far.

It is a count sketch (Charikar, Chen and Farach-Colton 2002): a random projection to `SKETCH_SIZE` sums. Each parameter
enters one of them with a sign. Both are drawn once for all runs, by the parameter's index alone, so the layout is the
same for any model. The projection is linear: the difference of two runs' sketches is the sketch of their difference.
Over random layouts, its squared length is right on average for the squared distance, with a relative standard deviation
of at most sqrt(2 / 64) = 18%. A distance is so known to within about 9%, and one in a single parameter exactly.
"""

import functools
import hashlib
from collections.abc import Sequence
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

SKETCH_SIZE = 64
"""Numbers in a sketch: a power of two."""

LAYOUT_SEED = 20020708
"""Seed of the sketches' layout: runs can only be compared where it is the same."""

HASHED_UPDATES = 3
"""Updates, from the first, whose records have a hash of each tensor: runs that differ mostly do so from the first."""

TENSORS = (
    *(f"{tower} layer {depth} {part}"
      for tower in ("actor", "critic") for depth in (1, 2, 3) for part in ("weight", "bias")),
    "raw scale",
)  # fmt: skip
"""The parameters' names, in the order in which they are hashed and sketched. Matrices are `[in, out]`."""


class Fingerprint(TypedDict):
    """What a record has of the parameters after an update: see `agents.records.Record`."""

    params_sha256: str
    params_norm: float
    fingerprint: list[float]
    tensor_sha256: dict[str, str] | None


def fingerprint(tensors: Sequence[Floats], origin: Floats, update: int) -> Fingerprint:
    """Return what `Record` has of a run's parameters.

    Args:
        tensors: The parameters, in the order of `TENSORS`.
        origin: The run's, from `make_origin`.
        update: Number of updates so far.
    """
    parameters = flat(tensors)
    return {
        "params_sha256": hashlib.sha256(parameters.tobytes()).hexdigest(),
        "params_norm": float(np.sqrt(np.square(parameters, dtype=np.float64).sum())),
        "fingerprint": sketch(parameters, origin),
        "tensor_sha256": hash_tensors(tensors) if update <= HASHED_UPDATES else None,
    }


def flat(tensors: Sequence[Floats]) -> Floats:
    """Return all numbers of all tensors, one after the other."""
    return np.concatenate([tensor.ravel() for tensor in tensors])


def hash_tensors(tensors: Sequence[Floats]) -> dict[str, str]:
    """Return the first eight characters of the SHA-256 of each tensor's bytes, by its name.

    The first hashes are of what the first update has made of the initial parameters, after all of its gradient steps.
    A single weight that was perturbed before training has changed most tensors by then.
    """
    return {
        name: hashlib.sha256(tensor.tobytes()).hexdigest()[:8] for name, tensor in zip(TENSORS, tensors, strict=True)
    }


def make_origin(tensors: Sequence[Floats]) -> NDArray[np.float32]:
    """Return the origin from which a run's parameters are measured: its seed's initial ones, rounded to float32.

    All runs of a seed whose networks have the same shape have the same origin, whatever their condition, their
    precision or the scale that they start from: the raw scale's part is zero. Where the shapes differ, so do the
    initial weights, and a distance is between what the runs have learned.

    Args:
        tensors: The initial parameters, before any perturbation.

    Returns:
        All parameters, `[size]`.
    """
    *networks, raw_scale = tensors
    return flat([*networks, np.zeros_like(raw_scale)]).astype(np.float32)


def sketch(parameters: Floats, origin: Floats) -> list[float]:
    """Return the sketch of how far parameters are from the origin, in float64.

    The origin cancels in the difference of two sketches. It is there for their rounding: each sum is rounded once, and
    a sum of small numbers keeps smaller differences. Before training, one ULP of one weight in float64 is seen to
    within 1%, unless the weight shares its sum with a raw scale that isn't zero. For PPO on Pendulum in float64, the
    ULP control's distance after the first update is 1e-16 of the parameters' norm. Rounding changes it by up to 1.3%,
    and without the origin by up to 92%. Then the sums grow from 0.4 to 1 over four updates, and the distance by far
    more, so later rounding doesn't show. Where sums grow and the distance stays at 1e-16, it is lost: only hashes tell.

    Args:
        parameters: All of a run's, `[size]`, finite.
        origin: The run's, of the same shape.

    Returns:
        `SKETCH_SIZE` numbers.
    """
    buckets, signs = _layout(len(parameters))
    moved = signs * (parameters - origin.astype(np.float64))
    # Sums of multiples of 2^-40 are exact, and what is left is too small to be rounded noticeably.
    coarse = np.round(moved * 2.0**40) / 2.0**40
    sums = [np.bincount(buckets, weights=part, minlength=SKETCH_SIZE) for part in (coarse, moved - coarse)]
    values: list[float] = (sums[0] + sums[1]).tolist()
    return values


@functools.cache
def _layout(size: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the sum that each parameter enters, and its sign.

    One word of random bits is drawn a parameter. NumPy promises that a bit generator's words stay the same for ever.
    """
    words = np.random.PCG64(LAYOUT_SEED).random_raw(size)
    buckets = (words % SKETCH_SIZE).astype(np.intp)
    is_negative = words // SKETCH_SIZE % 2 == 1
    return buckets, np.where(is_negative, -1.0, 1.0)
