"""How far two runs are apart, tensor by tensor and step by step."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from study.compare.matching import Pair, match
from study.compare.parts import find_parts, why_apart
from study.compare.recordings import PARTS, Floats, Recording, Step

LEAST = 1e-18
"""The gap of tensors whose bits differ and whose sketches don't."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepGap:
    """How far two runs are apart at a step that both made.

    Attributes:
        step: Its number among the steps of all of the first run's optimizers.
        optimizer: The index of the pair of optimizers.
        count: Its number among the steps of this optimizer.
        gradients: The relative gap of each tensor's gradient, `[tensors]`; 0 for the same bits. It is relative to the
            gradient's norm, or to its median over all steps where that is larger: a gradient that nearly cancels in
            one step is all rounding there.
        parameters: The relative gap of each tensor after the step, `[tensors]`.
        settings: The optimizer's settings in which both differ by mathematics, with both values.
        other_random: The global random generators whose states differed.
        same_data: Whether the environments had been given the same actions and had answered the same, bit for bit.
        records: Number of records of the first run's environments.
    """

    step: int
    optimizer: int
    count: int
    gradients: Floats
    parameters: Floats
    settings: dict[str, tuple[Any, Any]]
    same_data: bool
    records: int
    other_random: frozenset[str] = frozenset()

    @property
    def is_same(self) -> bool:
        """Return whether nothing differs."""
        return not (self.gradients.any() or self.parameters.any()) and self.same_data


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataGap:
    """The first record of an environment that differs.

    Attributes:
        environment: The number of the first run's environment.
        index: The record's index, from 0: resets count.
        parts: What differs: observations, actions, rewards or episode ends.
        sizes: By part, the difference over the root mean square of that part's numbers; infinite for episode ends, and
            where the numbers weren't kept.
    """

    environment: int
    index: int
    parts: Sequence[str]
    sizes: dict[str, float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gaps:
    """How far two runs are apart.

    Attributes:
        pairs: Their optimizers; None where their tensors differ in shape.
        initial: By name, the relative gap of a tensor's initial values.
        other_random: The global random generators whose states differed at the environments' first step.
        data: The first record that differs.
        steps: In the order in which the first run made them.
        missing: The first step that only one of them made.
        is_seen: Whether both made a step that was seen.
        epsilon: The relative size of a rounding in the precision of the first run's weights.
        unmatched: Why there are no pairs; empty where there are.
    """

    pairs: Sequence[Pair] | None
    initial: dict[str, float]
    other_random: frozenset[str]
    data: DataGap | None
    steps: Sequence[StepGap]
    missing: int | None
    is_seen: bool = True
    epsilon: float = float(np.finfo(np.float32).eps)
    unmatched: str = ""

    @property
    def is_identical(self) -> bool:
        """Return whether all bits that were compared are the same."""
        return (
            self.pairs is not None
            and not any(self.initial.values())
            and self.data is None
            and self.missing is None
            and all(step.is_same for step in self.steps)
        )

    @property
    def unseeded(self) -> frozenset[str]:
        """Return the random generators that weren't seeded, if the two runs are equal ones."""
        return self.other_random.union(*(step.other_random for step in self.steps))

    @property
    def last_step(self) -> int:
        """Return the number of the last step that was compared."""
        return max((step.step for step in self.steps), default=0)


def measure_gaps(a: Recording, b: Recording) -> Gaps:
    """Return how far two runs are apart."""
    pairs = match(a, b)
    environments = match_environments(a, b)
    common = [] if pairs is None else _common(a, b, pairs)
    typical = [] if pairs is None else [_typical_norms(a, pair.a.number) for pair in pairs]
    return Gaps(
        pairs=pairs,
        initial={} if pairs is None else _initial_gaps(pairs),
        other_random=_other_random(a.random, b.random),
        data=first_difference(a, b, environments),
        steps=[
            _step_gap(index, pairs[index], one, other, environments, typical[index])
            for index, one, other in common
            if pairs
        ],
        missing=None if pairs is None else _missing(a, b, pairs),
        is_seen=bool(a.steps) and bool(b.steps),
        epsilon=max(
            (_epsilon(dtype) for own in a.optimizers.values() for dtype in own.dtypes), default=EPSILON["float32"]
        ),
        unmatched="" if pairs is not None else _why_unmatched(a, b),
    )


def _why_unmatched(a: Recording, b: Recording) -> str:
    counts = len(a.optimizers), len(b.optimizers)
    if find_parts(a, b):
        return (
            f"optimizers: {counts[1]} here against {counts[0]} of the first arm, with the same tensors in all; "
            f"{why_apart(a, b)}, so that they can't be paired: make the same optimizers in both arms"
        )
    if counts[0] == counts[1]:
        return "the networks have other tensors"
    return f"{counts[1]} optimizers were made, and {counts[0]} by the first arm: they can't be paired"


def _other_random(one: Mapping[str, str], other: Mapping[str, str]) -> frozenset[str]:
    return frozenset(name for name in one.keys() & other.keys() if one[name] != other[name])


EPSILON = {
    "float64": float(np.finfo(np.float64).eps),
    "float32": float(np.finfo(np.float32).eps),
    "float16": float(np.finfo(np.float16).eps),
    "bfloat16": 2.0**-7,
}
"""The relative size of a rounding, by precision."""


def _epsilon(dtype: str) -> float:
    """Return the relative size of a rounding; float32's for another precision, or where it isn't known."""
    return EPSILON.get(dtype.rpartition(".")[2], EPSILON["float32"])


def relative_gap(one: Sequence[float] | Floats, other: Sequence[float] | Floats, typical: float = 0.0) -> float:
    """Return the distance of two vectors, relative to the first's norm, or to a typical norm if that is larger.

    From a vector of zeros to any other it is infinite.
    """
    first, second = np.asarray(one, float), np.asarray(other, float)
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        return 0.0 if np.array_equal(first, second, equal_nan=True) else math.inf
    distance, size = float(np.linalg.norm(first - second)), max(float(np.linalg.norm(first)), typical)
    if distance == 0:
        return 0.0
    return distance / size if size else math.inf


def _gap(hashes: tuple[str, str], sketches: tuple[Sequence[float], Sequence[float]], typical: float = 0.0) -> float:
    """Return the relative gap of two tensors, by hash and sketch; exactly 0 for the same bits."""
    return 0.0 if hashes[0] == hashes[1] else max(relative_gap(*sketches, typical), LEAST)


def _typical_norms(run: Recording, optimizer: int) -> Floats:
    """Return the median norm of each tensor's gradient over the steps that were recorded, `[tensors]`."""
    steps = [step.gradient_sketches for (number, _), step in run.steps.items() if number == optimizer]
    norms = [[float(np.linalg.norm(sketch)) for sketch in sketches] for sketches in steps]
    return np.median(np.nan_to_num(np.array(norms)), axis=0) if norms and norms[0] else np.zeros(0)


def _initial_gaps(pairs: Sequence[Pair]) -> dict[str, float]:
    found: dict[str, float] = {}
    for pair in pairs:
        if pair.a.hashes and pair.b.hashes:
            own, their = (pair.a.hashes, pair.a.sketches), (pair.b.hashes, pair.b.sketches)
            for name, gap in zip(pair.a.names, _tensor_gaps(pair, own, their, np.zeros(len(pair.order))), strict=True):
                found[name] = max(found.get(name, 0.0), float(gap))  # two optimizers may have tensors of one name
    return found


def _common(a: Recording, b: Recording, pairs: Sequence[Pair]) -> list[tuple[int, Step, Step]]:
    """Return the steps that both recorded, with the index of their pair of optimizers."""
    found = []
    for index, pair in enumerate(pairs):
        for (number, count), one in a.steps.items():
            other = b.steps.get((pair.b.number, count))
            if number == pair.a.number and other is not None:
                found.append((index, one, other))
    return sorted(found, key=lambda common: common[1].step)


def _step_gap(
    index: int,
    pair: Pair,
    one: Step,
    other: Step,
    environments: Sequence["EnvironmentPair"],
    typical: Floats,
) -> StepGap:
    own, their = (one.gradients, one.gradient_sketches), (other.gradients, other.gradient_sketches)
    weights = (one.parameters, one.parameter_sketches), (other.parameters, other.parameter_sketches)
    return StepGap(
        step=one.step,
        optimizer=index,
        count=one.count,
        gradients=_tensor_gaps(pair, own, their, typical) if one.gradients and other.gradients else np.zeros(0),
        parameters=_tensor_gaps(pair, *weights, np.zeros(len(pair.order))),
        settings=_different_settings(pair, one, other),
        same_data=all(environment.is_same_until(one, other) for environment in environments),
        records=sum(one.records),
        other_random=_other_random(one.random, other.random),
    )


IMPLEMENTATION = {"foreach", "fused", "capturable", "differentiable", "initial_lr"}
"""Settings of an optimizer that choose how the same mathematics is computed, or that it doesn't use."""

Sketched = tuple[Sequence[str], Sequence[Sequence[float]]]
"""Hashes and sketches of tensors."""


def _tensor_gaps(pair: Pair, own: Sketched, their: Sketched, typical: Floats) -> Floats:
    """Return the relative gap of each tensor, `[tensors]`."""
    return np.array(
        [_gap((own[0][i], their[0][j]), (own[1][i], their[1][j]), float(typical[i])) for i, j in enumerate(pair.order)]
    )


def _different_settings(pair: Pair, one: Step, other: Step) -> dict[str, tuple[Any, Any]]:
    """Return settings that both optimizers have and whose mathematics differs, and the classes if they differ."""
    common = (one.settings.keys() & other.settings.keys()) - IMPLEMENTATION
    found = {
        name: (one.settings[name], other.settings[name])
        for name in sorted(common)
        if not _is_same_setting(one.settings[name], other.settings[name])
    }
    classes = pair.a.type, pair.b.type
    if set(classes) <= {"Adam", "AdamW"} and not (_decays(one) or _decays(other)):  # they differ in the decay alone
        return {name: values for name, values in found.items() if not name.startswith("decoupled_weight_decay")}
    return found if classes[0] == classes[1] else {"class": classes, **found}


def _is_same_setting(one: Any, other: Any) -> bool:
    """Return whether two values of a setting are the same up to rounding."""
    if isinstance(one, (tuple, list)) and isinstance(other, (tuple, list)):
        return len(one) == len(other) and all(map(_is_same_setting, one, other))
    if isinstance(one, float) and isinstance(other, (int, float)):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=0.0)
    return bool(one == other)


def _decays(step: Step) -> bool:
    return any(value for name, value in step.settings.items() if name.startswith("weight_decay"))


def _missing(a: Recording, b: Recording, pairs: Sequence[Pair]) -> int | None:
    """Return the number of the first step that one run made and the other didn't; None if both made the same."""
    missing = []
    for pair in pairs:
        counts = [
            {count: step.step for (number, count), step in run.steps.items() if number == optimizer.number}
            for run, optimizer in ((a, pair.a), (b, pair.b))
        ]
        if len(counts[0]) != len(counts[1]) and max(counts[0], default=0) != max(counts[1], default=0):
            shorter, longer = sorted(counts, key=lambda own: max(own, default=0))
            missing.append(longer[min(count for count in longer if count > max(shorter, default=0))])
    return min(missing, default=None)


@dataclasses.dataclass(frozen=True, kw_only=True)
class EnvironmentPair:
    """An environment of each of two runs.

    Attributes:
        a: The number of the first run's.
        b: The number of the second run's.
        differs_at: The index of the first record that differs; None where none does.
    """

    a: int
    b: int
    differs_at: int | None

    def is_same_until(self, one: Step, other: Step) -> bool:
        """Return whether both had the same records when a step was made."""
        counts = [own.records[n] if n < len(own.records) else 0 for own, n in ((one, self.a), (other, self.b))]
        return counts[0] == counts[1] and (self.differs_at is None or self.differs_at >= counts[0])


def match_environments(a: Recording, b: Recording) -> list[EnvironmentPair]:
    """Return pairs of environments of two runs: those with most first records in common, and otherwise in order."""
    shared = {
        (number, other): _shared(records, b.records[other])
        for number, records in a.records.items()
        for other in b.records
        if records
    }
    matched: dict[int, int] = {}
    for number, other in sorted(shared, key=lambda pair: (-shared[pair], *pair)):
        if number not in matched and other not in matched.values():
            matched[number] = other
    return [
        EnvironmentPair(a=number, b=other, differs_at=_differs_at(a.records[number], b.records[other]))
        for number, other in sorted(matched.items())
    ]


def _shared(one: Sequence[bytes], other: Sequence[bytes]) -> int:
    """Return the number of first records that are the same."""
    differs_at = _differs_at(one, other)
    return min(len(one), len(other)) if differs_at is None else differs_at


def _differs_at(one: Sequence[bytes], other: Sequence[bytes]) -> int | None:
    return next((index for index, (own, their) in enumerate(zip(one, other, strict=False)) if own != their), None)


def first_difference(a: Recording, b: Recording, environments: Sequence[EnvironmentPair]) -> DataGap | None:
    """Return the first record in which two runs differ; None where none does."""
    differing = [(pair.differs_at, pair) for pair in environments if pair.differs_at is not None]
    if not differing:
        return None
    index, pair = min(differing, key=lambda found: (found[0], found[1].a))
    hashes = a.records[pair.a][index], b.records[pair.b][index]
    parts = [part for i, part in enumerate(PARTS) if hashes[0][4 * i : 4 * i + 4] != hashes[1][4 * i : 4 * i + 4]]
    sizes = {part: _size(part, a, b, pair.a, pair.b, index) for part in parts}
    return DataGap(environment=pair.a, index=index, parts=parts, sizes=sizes)


def _size(part: str, a: Recording, b: Recording, number: int, other: int, index: int) -> float:
    """Return the size of a difference, relative to the root mean square of all that was kept of that part."""
    own, their = a.numbers.get((number, index)), b.numbers.get((other, index))
    if part == "episode ends" or own is None or their is None:
        return math.inf
    key = part.removesuffix("s")
    one, two = np.atleast_1d(own[key]).astype(float), np.atleast_1d(their[key]).astype(float)
    if one.shape != two.shape:
        return math.inf
    kept = [np.atleast_1d(row[key]).astype(float) for (n, _), row in a.numbers.items() if n == number]
    everything = np.concatenate(kept)
    size = float(np.sqrt(np.mean(everything**2)))
    return float(np.abs(one - two).max()) / size if size else math.inf
