"""The distance of two runs' parameters, and the tensors that differ first, from the runs' histories."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from reports.errors import UnreadableSourceError
from reports.sources.runs import HASH, Distance, Runs
from reports.statistics import Array

VALUES, NORM = "fingerprint", "params_norm"
TENSOR_HASHES = "tensor_sha256"


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Fingerprints:
    """A history's record of a run's parameters after each update.

    Attributes:
        values: A random projection of all parameters, `[updates, size]`: the distance of two estimates that of the
            parameters. Older runs have some of the parameters themselves.
        norms: Of all parameters, or in older runs of `values`, `[updates]`.
        is_projection: Whether `values` are a projection.
        hashes: Of all parameters; None where there is none.
        by_tensor: A hash for each tensor, by its name; None after the first updates, and in older runs.
    """

    values: Array
    norms: Array
    is_projection: bool
    hashes: list[str | None]
    by_tensor: list[dict[str, str] | None]

    @classmethod
    def of(cls, history: Mapping[str, NDArray[Any]]) -> Self:
        """Return the fingerprints in a history, which has the column `VALUES`, and may have the others."""
        values = history[VALUES]
        norms, nothing = history.get(NORM, np.full(len(values), np.nan)), [None] * len(values)
        is_projection = not np.isnan(norms).all()
        return cls(
            values=values,
            norms=norms if is_projection else np.linalg.norm(values, axis=1),
            is_projection=is_projection,
            hashes=[one if isinstance(one, str) else None for one in history.get(HASH, nothing)],
            by_tensor=[one if isinstance(one, dict) else None for one in history.get(TENSOR_HASHES, nothing)],
        )


def measure(runs: Runs, fingerprints: Callable[[str], Fingerprints], a: str, b: str) -> Distance:
    """Return the distance of two runs, and keep it in `runs.distances`.

    Args:
        runs: All runs. Those of a report's table have the distances that the report needs, and no fingerprints.
        fingerprints: Of a run, by its id.
        a: A run.
        b: Another.

    Raises:
        UnreadableSourceError: The table doesn't have this distance.
    """
    if (a, b) not in runs.distances:
        if runs.published is not None:
            raise UnreadableSourceError(
                f"the table has no gaps of runs {a} and {b}, which its report didn't need: make this one from the run "
                "store"
            )
        runs.distances[a, b] = compare(fingerprints(a), fingerprints(b))
    return runs.distances[a, b]


def compare(a: Fingerprints, b: Fingerprints) -> Distance:
    """Return the distance of two runs."""
    return Distance(relative_gap(a, b), first_tensors(a, b))


def relative_gap(a: Fingerprints, b: Fingerprints) -> Array:
    """Return the distance of two runs after each update, relative to the size of the first: `[updates]`.

    Where both have hashes, the gap is zero if these are equal, and only then. If the hashes differ and the projections
    are equal, the difference is below the projection's rounding: one ULP of its largest number is taken.

    Returns:
        Up to the last update of the shorter run; NaN where the distance isn't known.
    """
    updates = min(len(a.values), len(b.values))
    if a.is_projection != b.is_projection or a.values.shape[1:] != b.values.shape[1:]:
        return np.full(updates, np.nan)
    first, second = a.values[:updates], b.values[:updates]
    hashes = list(zip(a.hashes[:updates], b.hashes[:updates], strict=True))
    is_known = np.array([None not in pair for pair in hashes], dtype=bool)
    is_same = np.array([one == other for one, other in hashes], dtype=bool)
    with np.errstate(all="ignore"):
        distance = np.linalg.norm(second - first, axis=1)
        rounding = np.spacing(np.abs(first).max(axis=1)) if a.is_projection else np.nan
        distance = np.where(is_known & ~is_same & (distance == 0), rounding, distance)
        gap: Array = np.where(is_known & is_same, 0.0, distance) / a.norms[:updates]
    gap[~np.isfinite(gap)] = np.nan
    return gap


def first_tensors(a: Fingerprints, b: Fingerprints) -> str | None:
    """Return which tensors differ after the first update after which any does, in short.

    Returns:
        The name of the only one, "all but" one, or their number; None where none differs in the updates with hashes.
    """
    for own, other in zip(a.by_tensor, b.by_tensor, strict=False):
        if own is None or other is None:
            return None
        differing = [name for name in own if own[name] != other.get(name)]
        if differing:
            return _in_short(differing, [name for name in own if name not in differing])
    return None


def _in_short(differing: Sequence[str], others: Sequence[str]) -> str:
    if len(differing) == 1:
        return differing[0]
    if len(others) <= 1:
        return f"all but {others[0]}" if others else "all tensors"
    return f"{len(differing)} of {len(differing) + len(others)} tensors"
