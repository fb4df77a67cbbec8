"""The mechanism: whether the computation is the same, from the distance of a seed's runs after each update.

The *gap* of two runs is the relative distance of their parameters. Round-off has two marks: the gap shrinks with
machine epsilon, by about 2^29 from float32 to float64, and it is of the size of the ULP control's, the gap that a
one-ULP perturbation of one weight makes. Training amplifies every gap, so both are read at the first update in which
runs differ, and then followed until runs have come apart: a difference that begins later breaks them.
"""

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from reports.analysis.blocks import Contrast
from reports.analysis.conclusions import Reading
from reports.sources.runs import Distance, Observed
from reports.statistics import Array, Interval, mean_interval, median_interval

EPSILON_BITS = 29.0
"""Bits by which float64's mantissa is longer than float32's: what a gap of round-off shrinks by."""
RATIO_BITS = 3.0
"""Bits by which round-off's first ratio may be below `EPSILON_BITS`. PPO on Pendulum: 28.4 to 29.7 over 60 pairs."""
SIZE_BITS = 5.0
"""Bits by which round-off's first gap may be larger than the ULP control's. PPO on Pendulum: up to 1.1."""
FEW_ROUNDINGS = 2.0**-35
"""The largest first gap in float64 that may be round-off whatever its ratio: 2^17 epsilons. PPO: 2^-53 to 2^-52."""
LATE_BITS = 12.0
"""Bits by which a later gap must leave either mark to be *late*. Medians over ten seeds on Pendulum stay within 3."""
FEWEST_SEEDS = 3
"""From this number of seeds on, medians leave round-off's marks by chance in fewer than 5% of studies."""
APART = 0.01
"""The relative gap at which runs have come apart: the onset of outcomes that have nothing in common."""

NO_CONTROL_OF_ITS_OWN = (
    "round-off, but for seed {seeds}, apart far beyond all ULP controls: run its own, since some seeds amplify more"
)
BY_DESIGN = "the levels are number formats: their gap is rounding by design"

SINGLE, DOUBLE = "float32", "float64"
ULP = "ULP control"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gaps:
    """The gaps of runs of two arms, or of one arm and its ULP control.

    Attributes:
        a: An arm.
        b: Another; the same for the ULP control.
        precision: Of both.
        seeds: Those with both runs.
        gaps: The relative distance of the parameters, `[seeds, updates]`.
        first_tensor: In which tensors runs differ first; None where that isn't known.
    """

    a: str
    b: str
    precision: str
    seeds: list[int]
    gaps: Array
    first_tensor: str | None

    @property
    def is_control(self) -> bool:
        """Whether it is a ULP control."""
        return self.a == self.b

    @functools.cached_property
    def medians(self) -> Array:
        """The median gap over seeds, `[updates]`."""
        return np.asarray(np.median(self.gaps, axis=0))

    def of(self, seeds: Container[int]) -> Array:
        """Return the gaps of those of its seeds that are among some, `[seeds, updates]`."""
        return self.gaps[[seed in seeds for seed in self.seeds]]

    @property
    def first(self) -> float | None:
        """The median gap after the first update; None where it isn't finite."""
        middle = float(self.medians[0]) if self.gaps.size else math.nan
        return middle if math.isfinite(middle) else None

    @functools.cached_property
    def onset(self) -> Interval:
        """The median update at which the gap passes `APART`; infinite where it doesn't."""
        return median_interval(onsets(self.gaps))

    @property
    def apart(self) -> int:
        """The number of seeds whose runs have come apart."""
        return int(np.isfinite(onsets(self.gaps)).sum())

    @functools.cached_property
    def rate(self) -> Interval | None:
        """Orders of magnitude by which the gap grows an update, until the onset: a description, no constant."""
        told = rates(self.gaps)
        told = told[np.isfinite(told)]
        if not len(told):
            return None
        mean, low, high = (float(end[0]) for end in mean_interval(told[:, None]))
        return Interval(mean, low, high) if len(told) > 1 else Interval(mean, math.nan, math.nan)


def onsets(gaps: Array) -> Array:
    """Return each seed's first update, counted from 1, with a gap beyond `APART`; infinite without one.

    Args:
        gaps: `[seeds, updates]`.

    Returns:
        `[seeds]`.
    """
    beyond = gaps > APART
    return np.where(beyond.any(axis=1), beyond.argmax(axis=1) + 1.0, np.inf)


def rates(gaps: Array) -> Array:
    """Return each seed's growth of the gap, in orders of magnitude an update.

    It is the slope of a line through the logarithms of the gaps, from the first that isn't zero to the onset.

    Args:
        gaps: `[seeds, updates]`.

    Returns:
        `[seeds]`; NaN where there are fewer than two such gaps.
    """
    found = []
    for gap, onset in zip(gaps, onsets(gaps), strict=True):
        until = len(gap) if math.isinf(onset) else int(onset)
        updates = np.flatnonzero(gap[:until] > 0)
        found.append(np.polyfit(updates, np.log10(gap[updates]), 1)[0] if len(updates) > 1 else math.nan)
    return np.array(found)


def measure_gaps(runs: pd.DataFrame, measure: Callable[[str, str], Distance]) -> list[Gaps]:
    """Return the gaps of all pairs of arms, and of each arm and its ULP control, in each precision.

    Args:
        runs: Finished runs of a design, with the columns of `reports.sources`.
        measure: Returns the distance of two runs, by their ids.
    """
    by_arm = {
        key: dict(zip(group["seed"], group["run"], strict=True))
        for key, group in runs.groupby(["condition", "precision", "replicate"])
    }
    found = []
    for a, b, precision, replicate in _wanted(runs):
        first, second = by_arm.get((a, precision, 0), {}), by_arm.get((b, precision, replicate), {})
        seeds = sorted(first.keys() & second.keys())
        if not seeds:
            continue
        distances = [measure(first[seed], second[seed]) for seed in seeds]
        updates = min(len(distance.gap) for distance in distances)
        found.append(
            Gaps(
                a=a,
                b=b,
                precision=precision,
                seeds=[int(seed) for seed in seeds],
                gaps=np.array([distance.gap[:updates] for distance in distances]),
                first_tensor=_first_tensor(distances),
            )
        )
    return found


def _wanted(runs: pd.DataFrame) -> list[tuple[str, str, str, int]]:
    """Return the comparisons to make: two arms, the precision, and the second run's replicate."""
    wanted = []
    for precision, rows in runs.groupby("precision"):
        arms = sorted(set(rows["condition"]))
        wanted += [(a, b, str(precision), 0) for a, b in itertools.combinations(arms, 2)]
        for arm in arms:
            replicates = sorted(set(rows[rows["condition"] == arm]["replicate"]) - {0})
            wanted += [(arm, arm, str(precision), replicate) for replicate in replicates[:1]]
    return wanted


def _first_tensor(distances: Sequence[Distance]) -> str | None:
    """Return in which tensors most seeds differ first; None where it isn't known of any."""
    votes = [distance.first_tensor for distance in distances if distance.first_tensor]
    return max(sorted(set(votes)), key=votes.count) if votes else None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mechanism:
    """The mechanism by which the runs of two arms differ.

    Attributes:
        reading: Whether the computation is the same.
        gap: The median first gap by precision.
        ratio: The first gap in float32 over that in float64; None without both.
        size: The first gap over the ULP control's, in the longest precision; None without a control.
        first_tensor: In which tensors runs differ first.
        onset: The first update at which runs differ beyond round-off, where the reading is *late*.
        bits: log2 of the ratio at every update, `[updates]`, up to where float32's runs have come apart.
        beyond: The number of seeds in which runs differ beyond round-off, where the medians over seeds don't show it.
        seeds: The number of seeds among which these are.
        reason: Why it is *untested*, where no run could test it.
    """

    reading: Reading
    gap: dict[str, float | None] = dataclasses.field(default_factory=dict)
    ratio: float | None = None
    size: float | None = None
    first_tensor: str | None = None
    onset: int | None = None
    bits: Array = dataclasses.field(default_factory=lambda: np.array([]))
    beyond: int = 0
    seeds: int = 0
    reason: str = ""


UNTESTED = Mechanism(reading="untested")


def read_mechanism(pair: Sequence[Gaps], controls: Sequence[Gaps]) -> Mechanism:
    """Return the mechanism by which two arms differ.

    Args:
        pair: Their gaps, one for each precision.
        controls: The gaps of both arms' ULP controls.
    """
    by_precision = {gaps.precision: gaps for gaps in pair}
    if not by_precision:
        return UNTESTED
    seen = Mechanism(
        reading="untested",
        gap={name: by_precision[name].first if name in by_precision else None for name in (SINGLE, DOUBLE)},
        first_tensor=next((gaps.first_tensor for gaps in pair if gaps.first_tensor), None),
    )
    if all((gaps.gaps == 0).all() for gaps in pair):
        return dataclasses.replace(seen, reading="identical")
    medians = {name: gaps.medians for name, gaps in by_precision.items()}
    longest = DOUBLE if DOUBLE in medians else next(iter(medians))
    start = _first_difference(list(medians.values()))
    if not all(start < len(gap) and math.isfinite(gap[start]) for gap in medians.values()):
        return seen
    sizes = {name: _over(gap, _control(controls, name), start) for name, gap in medians.items()}
    seen = dataclasses.replace(seen, size=sizes[longest])
    if SINGLE not in medians or DOUBLE not in medians:
        return dataclasses.replace(seen, reading="real" if _is_far_larger(seen.size) else "untested")
    bits = _bits(medians[SINGLE], medians[DOUBLE])
    seen = dataclasses.replace(seen, ratio=_power(bits, start), bits=bits[: _until_apart(medians[SINGLE])])
    if not _is_round_off(bits[start] if start < len(bits) else math.nan, medians[DOUBLE][start], sizes):
        return dataclasses.replace(seen, reading="late" if start else "real", onset=start + 1 if start else None)
    enough = min(len(gaps.seeds) for gaps in pair) >= FEWEST_SEEDS
    late = _late(medians, bits, _over_own_controls(by_precision[DOUBLE], controls), start) if enough else None
    if late is not None:
        return dataclasses.replace(seen, reading="late", onset=late)
    return _with_a_minority(seen, by_precision[DOUBLE], controls)


def _with_a_minority(seen: Mechanism, double: Gaps, controls: Sequence[Gaps]) -> Mechanism:
    """Return the mechanism, *round-off* unless some seeds' gaps in float64 show a difference that medians don't.

    A seed is beyond round-off where its gap is 2^`LATE_BITS` times the largest of all the ULP control's seeds, its own
    among them: some seeds amplify every difference far more than others. A seed without a control of its own is named.
    """
    own = _together(controls, DOUBLE)
    if own is None:
        return dataclasses.replace(seen, reading="round-off")
    updates = min(own.shape[1], double.gaps.shape[1])
    largest = own[:, :updates].max(axis=0)
    beyond = (double.gaps[:, :updates] > 2.0**LATE_BITS * largest) & (largest > 0)
    if not beyond.any():
        return dataclasses.replace(seen, reading="round-off")
    shown = beyond & np.isin(double.seeds, list(_controlled(controls)))[:, None]
    if not shown.any():
        seeds = ", ".join(str(seed) for seed in np.array(double.seeds)[beyond.any(axis=1)])
        return dataclasses.replace(seen, reading="untested", reason=NO_CONTROL_OF_ITS_OWN.format(seeds=seeds))
    onset = int(np.flatnonzero(shown.any(axis=0))[0])
    return dataclasses.replace(
        seen,
        reading="late" if onset else "real",
        onset=onset + 1 if onset else None,
        beyond=int(shown.any(axis=1).sum()),
        seeds=len(beyond),
    )


def _is_far_larger(size: float | None) -> bool:
    """Return whether a gap in one precision shows a real difference: a small one may be round-off."""
    return size is not None and math.log2(size) > LATE_BITS


def _control(controls: Sequence[Gaps], precision: str) -> Array | None:
    """Return the controls' median gap at each update, `[updates]`; None without one in this precision."""
    own = _together(controls, precision)
    return None if own is None else np.asarray(np.median(own, axis=0))


def _controlled(controls: Sequence[Gaps]) -> set[int]:
    """Return the seeds that have a control in float64."""
    return {seed for gaps in controls if gaps.precision == DOUBLE for seed in gaps.seeds}


def _together(controls: Sequence[Gaps], precision: str) -> Array | None:
    """Return the gaps of all controls' seeds in a precision, `[seeds, updates]`; None without any."""
    own = [gaps.gaps for gaps in controls if gaps.precision == precision]
    return _stacked(own) if own else None


def _stacked(gaps: Sequence[Array]) -> Array:
    """Return several arms' gaps as one array, `[seeds, updates]`, up to the last update that all have."""
    updates = min(each.shape[1] for each in gaps)
    return np.concatenate([each[:, :updates] for each in gaps])


def _first_difference(medians: Sequence[Array]) -> int:
    """Return the first update, counted from 0, at which the median gap in some precision isn't zero."""
    updates = [np.flatnonzero(gap > 0) for gap in medians]
    return min((int(found[0]) for found in updates if len(found)), default=0)


def _over(gap: Array, control: Array | None, start: int) -> float | None:
    """Return the first gap over the control's own first gap; None where one is missing."""
    if control is None or start >= len(gap):
        return None
    first = control[control > 0]
    return float(gap[start] / first[0]) if len(first) and gap[start] > 0 else None


def _bits(single: Array, double: Array) -> Array:
    """Return log2 of the ratio of both gaps, `[updates]`; infinite or NaN where one is zero."""
    updates = min(len(single), len(double))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.log2(single[:updates]) - np.log2(double[:updates]))


def _until_apart(gap: Array) -> int:
    """Return the number of updates until the gap passes `APART`."""
    beyond = np.flatnonzero(gap > APART)
    return int(beyond[0]) if len(beyond) else len(gap)


def _power(bits: Array, start: int) -> float | None:
    return float(2.0 ** bits[start]) if start < len(bits) and np.isfinite(bits[start]) else None


def _is_round_off(bits: float, double: float, sizes: Mapping[str, float | None]) -> bool:
    """Return whether first gaps are round-off: of the ULP control's size in both precisions, shrinking with epsilon.

    A gap in float64 of a few roundings that is no larger than the ULP control's is round-off however much larger the
    one in float32 is: after few gradient steps, both are made of a few roundings, and their ratio varies. The control's
    own may be far more than that, where the environment amplifies it before the first update: its size shows nothing.

    Args:
        bits: log2 of the ratio of both gaps.
        double: The gap in float64.
        sizes: Both gaps over the ULP control's, by precision.
    """
    if any(size is not None and math.log2(size) > SIZE_BITS for size in sizes.values()):
        return False
    size = sizes[DOUBLE]
    is_within_one_ulp = size is not None and size <= 1.0 and double <= FEW_ROUNDINGS
    return bits >= EPSILON_BITS - RATIO_BITS or is_within_one_ulp


def _over_own_controls(double: Gaps, controls: Sequence[Gaps]) -> Array:
    """Return log2 of the median gap over the ULP control's, of the seeds that have a control, `[updates]`.

    Other seeds may amplify more, or less.

    Returns:
        Nothing where fewer than `FEWEST_SEEDS` have one.
    """
    seeds = {*double.seeds} & _controlled(controls)
    if len(seeds) < FEWEST_SEEDS:
        return np.array([])
    own = _stacked([gaps.of(seeds) for gaps in controls if gaps.precision == DOUBLE])
    return _bits(np.median(double.of(seeds), axis=0), np.median(own, axis=0))


def _late(medians: dict[str, Array], bits: Array, over_own_controls: Array, start: int) -> int | None:
    """Return the first update, counted from 1, at which a gap that began as round-off lacks its marks, or None."""
    together = _until_apart(medians[SINGLE])
    breaks = np.concatenate(
        [
            np.flatnonzero(bits[start:together] < EPSILON_BITS - LATE_BITS) + start,
            np.flatnonzero(over_own_controls > LATE_BITS),
        ]
    )
    return int(breaks.min()) + 1 if len(breaks) else None


ORDER: tuple[Reading, ...] = ("real", "late", "untested", "round-off", "identical")
"""Readings, the worst first: a factor's is the worst of its pairs' of arms."""


def read_contrast(gaps: Sequence[Gaps], contrast: Contrast, names: Sequence[str]) -> Mechanism:
    """Return a factor's mechanism: the worst of those pairs of arms that differ in it alone.

    Args:
        gaps: Of a design, controls among them.
        contrast: The factor's.
        names: The arms' names, by their number.
    """
    read = []
    for stratum in contrast.strata:
        for a, b in itertools.product(stratum.reference, stratum.level):
            both = {names[a], names[b]}
            pair = [found for found in gaps if {found.a, found.b} == both]
            read.append(read_mechanism(pair, [found for found in gaps if found.is_control and found.a in both]))
    return _worst(read, contrast)


def observe_contrast(
    observed: Mapping[frozenset[str], Observed], contrast: Contrast, names: Sequence[str]
) -> Mechanism:
    """Return a factor's mechanism as it was seen without histories: the worst of its pairs of arms.

    Args:
        observed: By pair of arms; a pair that isn't there, or couldn't be paired or seen, is untested.
        contrast: The factor's.
        names: The arms' names, by their number.
    """
    pairs = [
        observed.get(frozenset((names[a], names[b])))
        for stratum in contrast.strata
        for a, b in itertools.product(stratum.reference, stratum.level)
    ]
    seen = [UNTESTED if pair is None else _as_mechanism(pair) for pair in pairs]
    return _worst(seen, contrast)


def _worst(read: Sequence[Mechanism], contrast: Contrast) -> Mechanism:
    """Return the worst of the mechanisms of a contrast's pairs of arms."""
    worst = min(read, key=lambda found: (ORDER.index(found.reading), found.onset or 0), default=UNTESTED)
    if worst.reading == "identical" or not contrast.factor.has_number_formats:
        return worst
    return dataclasses.replace(worst, reading="untested", onset=None, beyond=0, reason=BY_DESIGN)


def _as_mechanism(seen: Observed) -> Mechanism:
    reading: Reading = next((name for name in ORDER if name == seen.reading), "untested")
    both = seen.gap and seen.double_gap
    return Mechanism(
        reading=reading,
        gap={SINGLE: seen.gap, DOUBLE: seen.double_gap},
        ratio=seen.gap / seen.double_gap if both and seen.gap and seen.double_gap else None,
        size=seen.over_control,
        first_tensor=seen.tensor,
        onset=seen.onset if reading == "late" else None,
    )


def plain_mechanism(mechanism: Mechanism) -> dict[str, Any]:
    """Return a mechanism as `verdict.json` has it."""
    return {
        "reading": mechanism.reading,
        "gap": {name: mechanism.gap.get(name) for name in (SINGLE, DOUBLE)},
        "ratio": mechanism.ratio,
        "over_ulp_control": mechanism.size,
        "first_tensor": mechanism.first_tensor,
        "onset": mechanism.onset,
        "seeds_beyond_round_off": mechanism.beyond or None,
        "untested_because": mechanism.reason or None,
    }
