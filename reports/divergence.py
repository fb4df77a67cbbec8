"""When and how fast runs of a seed come apart, from the fingerprints of their parameters."""

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import numpy as np
import pandas as pd

from reports.layout import Kind, Place, kind_of
from reports.statistics import Array, Interval, mean_interval, median_interval

EPSILON_RATIO = 2.0**29
"""Machine epsilon of float32 over that of float64: what a gap made of round-off shrinks by in double precision."""
THRESHOLD = 0.01
"""The relative gap of parameters at which runs have come apart: a hundredth."""

PRECISIONS = ("float32", "float64")

Fingerprints = Callable[[str], Array]
"""A run's fingerprints by its id, `[updates, size]`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """Runs of the same seeds, that are set apart by one thing."""

    a: str
    b: str
    """conditions; the same for the control"""
    kind: Kind | Literal["one ulp"]
    precision: str
    seeds: list[int]
    gaps: Array
    """relative, `[seeds, updates]`"""
    first_tensor: str | None
    """where the first gap is largest, relative to the tensor; None where no layout says what there is"""

    @property
    def name(self) -> str:
        """In words."""
        return f"one ulp: {self.a}" if self.kind == "one ulp" else f"{self.kind}: {self.a}, {self.b}"

    @property
    def first(self) -> float | None:
        """The median gap after the first update; None where it can't be told."""
        middle = float(np.median(self.gaps[:, 0])) if self.gaps.size else math.nan
        return middle if math.isfinite(middle) else None

    @functools.cached_property
    def onset(self) -> Interval:
        """The median update at which the gap passes `THRESHOLD`; infinite where it doesn't."""
        return median_interval(onsets(self.gaps))

    @property
    def apart(self) -> int:
        """Seeds whose runs have come apart."""
        return int(np.isfinite(onsets(self.gaps)).sum())

    @functools.cached_property
    def rate(self) -> Interval | None:
        """Orders of magnitude an update by which the gap grows; the mean over seeds, of those that tell."""
        return _mean(rates(self.gaps))

    @functools.cached_property
    def horizon(self) -> Interval | None:
        """In float32: the onset to be expected in float64, the mean over seeds."""
        return _mean(horizons(self.gaps)) if self.precision == "float32" else None


def onsets(gaps: Array) -> Array:
    """Each seed's first update, counted from 1, with a gap beyond `THRESHOLD`; infinite without one."""
    beyond = gaps > THRESHOLD
    return np.where(beyond.any(axis=1), beyond.argmax(axis=1) + 1.0, np.inf)


def rates(gaps: Array) -> Array:
    """Each seed's growth, in orders of magnitude an update.

    The slope of a line through the logarithms of its gaps, from the first that isn't zero to the onset. NaN where that
    is no line, since the runs are apart from the first update on, or never.
    """
    found = []
    for gap, onset in zip(gaps, onsets(gaps), strict=True):
        until = len(gap) if math.isinf(onset) else int(onset)
        updates = np.flatnonzero(gap[:until] > 0)
        found.append(np.polyfit(updates, np.log10(gap[updates]), 1)[0] if len(updates) > 1 else math.nan)
    return np.array(found)


def horizons(gaps: Array) -> Array:
    """The onset that each seed's growth in float32 predicts for float64: the same growth, from a first gap that is
    `EPSILON_RATIO` times smaller. NaN where there is no growth.
    """
    rate, first = rates(gaps), gaps[:, 0]
    with np.errstate(all="ignore"):
        updates = 1 + (np.log10(THRESHOLD) - np.log10(first) + np.log10(EPSILON_RATIO)) / rate
    return np.where((rate > 0) & np.isfinite(updates), updates, np.nan)


def _mean(values: Array) -> Interval | None:
    told = values[np.isfinite(values)]
    if not len(told):
        return None
    mean, low, high = (float(end[0]) for end in mean_interval(told[:, None]))
    return Interval(mean, low, high) if len(told) > 1 else Interval(mean, math.nan, math.nan)


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


def compare(runs: pd.DataFrame, fingerprints: Fingerprints, tensors: Sequence[str] = ()) -> list[Comparison]:
    """All pairs of conditions without the nudge, and each with its first nudged replicate, in each precision.

    **Arguments**: `runs`, finished ones of a design; `tensors`, the name of each number in a fingerprint.
    """
    by_place = {
        key: dict(zip(group["seed"], group["run"], strict=True))
        for key, group in runs.groupby(["condition", "precision", "replicate"])
    }
    found = []
    for a, b, kind, precision, replicate in _wanted(runs):
        first, second = by_place.get((a, precision, 0), {}), by_place.get((b, precision, replicate), {})
        seeds = sorted(first.keys() & second.keys())
        if not seeds:
            continue
        couples = [(fingerprints(first[seed]), fingerprints(second[seed])) for seed in seeds]
        gaps = [relative_gap(*couple) for couple in couples]
        updates = min(map(len, gaps))
        found.append(
            Comparison(
                a=a,
                b=b,
                kind=kind,
                precision=precision,
                seeds=[int(seed) for seed in seeds],
                gaps=np.array([gap[:updates] for gap in gaps]),
                first_tensor=_first_tensor(couples, tensors),
            )
        )
    return found


def _wanted(runs: pd.DataFrame) -> Iterator[tuple[str, str, Kind | Literal["one ulp"], str, int]]:
    """Conditions, kind, precision, and the second run's replicate."""
    places = [Place(*row) for row in runs[list(Place._fields)].to_numpy().tolist()]
    conditions = {place.condition: place for place in places}
    for precision in sorted(set(runs["precision"])):
        for a, b in itertools.combinations(sorted(conditions), 2):
            yield a, b, kind_of(conditions[a], conditions[b]), precision, 0
        for condition in sorted(conditions):
            own = runs[(runs["condition"] == condition) & (runs["precision"] == precision)]
            for replicate in sorted(set(own["replicate"]) - {0})[:1]:
                yield condition, condition, "one ulp", precision, replicate


def tensor_names(size: int, observation: int, action: int, hidden: int, state_dependent_scale: bool) -> list[str]:
    """The tensor that each number of a fingerprint is from, as `agents.records` documents.

    **Arguments**: `size`, how many numbers there are: evenly spaced ones of the weights and biases of the actor's
    layers and the critic's, and then all of phi.
    """
    actor = 2 * action if state_dependent_scale else action
    layers = [
        (f"{tower} layer {number} {part}", count)
        for tower, outputs in (("actor", actor), ("critic", 1))
        for number, (inputs, width) in enumerate(itertools.pairwise((observation, hidden, hidden, outputs)), 1)
        for part, count in (("weight", inputs * width), ("bias", width))
    ]
    ends = np.cumsum([count for _, count in layers])
    places = np.linspace(0, ends[-1] - 1, size - action).round().astype(int)
    return [*(layers[index][0] for index in np.searchsorted(ends, places, side="right")), *["phi"] * action]


def _first_tensor(couples: Sequence[tuple[Array, Array]], tensors: Sequence[str]) -> str | None:
    """The tensor whose relative gap is largest at each seed's first update with any, where most seeds say so."""
    votes: list[str] = []
    for a, b in couples:
        updates = np.flatnonzero((a[: len(b)] != b[: len(a)]).any(axis=1))
        if len(tensors) != a.shape[1] or not len(updates):
            continue
        first = a[updates[0]], b[updates[0]]
        gap = {}
        for name in dict.fromkeys(tensors):
            own = np.array([tensor == name for tensor in tensors])
            with np.errstate(all="ignore"):
                gap[name] = float(np.linalg.norm((first[1] - first[0])[own]) / np.linalg.norm(first[0][own]))
        votes.append(max(gap, key=lambda name: gap[name] if math.isfinite(gap[name]) else 0.0))
    return max(sorted(set(votes)), key=votes.count) if votes else None


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


def mechanism(comparisons: Sequence[Comparison]) -> list[Mechanism]:
    """The first update's gap of each pair of conditions."""
    gaps: dict[tuple[str, str], dict[str, float | None]] = {}
    for comparison in comparisons:
        if comparison.kind != "one ulp":
            gap = gaps.setdefault((comparison.a, comparison.b), dict.fromkeys(PRECISIONS))
            gap[comparison.precision] = comparison.first
    return [Mechanism(a=a, b=b, gap={name: gap[name] for name in PRECISIONS}) for (a, b), gap in sorted(gaps.items())]
