"""When and how fast two runs come apart, from the fingerprints of their parameters."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import pandas as pd

from reports.statistics import Array

EPSILON_RATIO = 2.0**29
"""Machine epsilon of float32 over that of float64: what a gap made of round-off shrinks by in double precision."""

PRECISIONS = ("float32", "float64")

Fingerprints = Callable[[str], Array]
"""A run's fingerprints by its id, `[updates, size]`."""


def relative_gap(a: Array, b: Array) -> Array:
    """Distance of two runs after each update, relative to the size of the first: `[updates, size]` to `[updates]`.

    As far as both go, should one of them be shorter; NaN where it can't be told.
    """
    updates = min(len(a), len(b))
    with np.errstate(all="ignore"):
        distance = np.linalg.norm(b[:updates] - a[:updates], axis=1)
        gap: Array = distance / np.linalg.norm(a[:updates], axis=1)
    gap[~np.isfinite(gap)] = np.nan
    return gap


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mechanism:
    """What sets two conditions apart after the first update, before training can amplify it: the sharpest test."""

    a: str
    b: str
    gap: dict[str, float | None]
    """by each of `PRECISIONS`, the median over seeds of the relative gap; None without such runs"""

    @property
    def ratio(self) -> float | None:
        """The gap in float32 over that in float64."""
        single, double = self.gap.get("float32"), self.gap.get("float64")
        return single / double if single and double else None

    @property
    def scales_with_precision(self) -> bool | None:
        """True for round-off, within two orders of 2^29; False for a real difference, within one of 1; else None."""
        if self.ratio is None:
            return None
        if EPSILON_RATIO / 100 <= self.ratio <= EPSILON_RATIO * 100:
            return True
        return False if 0.1 <= self.ratio <= 10 else None

    @property
    def reading(self) -> Literal["round-off", "real", "suspicious", "untested"]:
        """In a word."""
        if self.ratio is None:
            return "untested"
        return {True: "round-off", False: "real", None: "suspicious"}[self.scales_with_precision]  # type: ignore[return-value]


def gaps(runs: pd.DataFrame, a: dict[str, object], b: dict[str, object], fingerprints: Fingerprints) -> Array:
    """Gaps of the runs that have the values `a` from those of the same seed that have `b`: `[seeds, updates]`.

    Cut to the updates that all have.
    """
    first, second = (
        runs[np.logical_and.reduce([runs[name] == value for name, value in values.items()])].set_index("seed")["run"]
        for values in (a, b)
    )
    by_seed = [
        relative_gap(fingerprints(first[seed]), fingerprints(second[seed]))
        for seed in sorted(set(first.index) & set(second.index))
    ]
    updates = min(map(len, by_seed), default=0)
    return np.array([gap[:updates] for gap in by_seed]).reshape(len(by_seed), updates)


def mechanism(runs: pd.DataFrame, conditions: Sequence[str], fingerprints: Fingerprints) -> list[Mechanism]:
    """The first update's gap of each pair of conditions, without the nudged replicates."""
    table = []
    for a, b in itertools.combinations(conditions, 2):
        gap: dict[str, float | None] = {}
        for precision in PRECISIONS:
            same: dict[str, object] = {"precision": precision, "replicate": 0}
            by_seed = gaps(runs, {"condition": a, **same}, {"condition": b, **same}, fingerprints)
            middle = float(np.median(by_seed[:, 0])) if by_seed.size else math.nan
            gap[precision] = middle if math.isfinite(middle) else None
        table.append(Mechanism(a=a, b=b, gap=gap))
    return table
