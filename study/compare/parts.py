"""Runs of which one gives several optimizers the tensors that the other gives one.

Such optimizers are compared by parts: the tensors that an optimizer of each run has in common. A joint optimizer
counts as several, each with some of its tensors, and with the settings of their group. It is done only where all
optimizers step in turns, so that the n-th steps of the parts belong to the n-th step of the joint one.
"""

import bisect
import dataclasses
import itertools
import math
from collections import defaultdict
from collections.abc import Container, Sequence
from typing import TypeVar

from study.compare.matching import match, match_tensors
from study.compare.recordings import Optimizer, Recording, Step, Whole

T = TypeVar("T", Optimizer, Step)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """Tensors of an optimizer.

    Attributes:
        optimizer: The optimizer's number.
        tensors: Their indices, in the order of the other run's part.
    """

    optimizer: int
    tensors: Sequence[int]


class Parted(Recording):
    """A recording by parts: each counts as an optimizer, whose number is the part's index.

    Args:
        run: The recording.
        parts: Together, all tensors of all optimizers.
        counts: The steps that are kept, by their numbers among an optimizer's.
    """

    def __init__(self, run: Recording, parts: Sequence[Part], counts: Container[int]) -> None:
        vars(self).update(vars(run))
        self._run, self._parts, self._counts = run, parts, counts
        known = [(number, part) for number, part in enumerate(parts) if part.optimizer in run.optimizers]
        self.optimizers = {number: _pick(run.optimizers[part.optimizer], part, number=number) for number, part in known}
        self.steps = {
            (number, count): _pick(step, part, optimizer=number, settings=self._settings(part, step))
            for (optimizer, count), step in run.steps.items()
            for number, part in known
            if part.optimizer == optimizer and count in counts
        }

    @property
    def made(self) -> int:
        """Return the number of optimizers that the run made."""
        return len(self._run.optimizers)

    def like(self, run: Recording) -> "Parted":
        """Return another recording of the same program by the same parts."""
        return Parted(run, self._parts, self._counts)

    def whole(self, optimizer: int, count: int) -> Whole | None:
        """Return a part's weights and gradient at a step; None where they weren't kept."""
        part = self._parts[optimizer]
        found, shapes = self._run.whole(part.optimizer, count), self._run.optimizers[part.optimizer].shapes
        ends = list(itertools.accumulate((math.prod(shape) for shape in shapes), initial=0))
        places = [place for index in part.tensors for place in range(ends[index], ends[index + 1])]
        return found and Whole(**{name: values[places] for name, values in vars(found).items()})

    def _settings(self, part: Part, step: Step) -> dict[str, object]:
        """Return the settings of a part's group of parameters, under the names that those of a first group have."""
        group = _group_of(part, self._run)
        if group is None:  # the part is a whole optimizer in both runs
            return dict(step.settings)
        end = f" of group {group}"
        own = {name: value for name, value in step.settings.items() if (" of group " in name) == bool(group)}
        return {name.removesuffix(end): value for name, value in own.items() if not group or name.endswith(end)}


def align(a: Recording, b: Recording) -> tuple[Recording, Recording]:
    """Return two recordings by parts, where their optimizers can be compared only so; otherwise unchanged."""
    if match(a, b) is not None or not (parts := find_parts(a, b)) or why_apart(a, b):
        return a, b
    counts = _counts(a, b)
    return Parted(a, [own for own, _ in parts], counts), Parted(b, [other for _, other in parts], counts)


def find_parts(a: Recording, b: Recording) -> list[tuple[Part, Part]]:
    """Return the tensors that two optimizers have in common, for all pairs of them; none if one has no counterpart."""
    order = match_tensors(_join(a), _join(b)) if a.optimizers and b.optimizers else None
    places = [
        [(number, index) for number, own in run.optimizers.items() for index in range(len(own.names))] for run in (a, b)
    ]
    found = defaultdict(list)
    for index, other in enumerate(order or ()):
        (one, own), (two, their) = places[0][index], places[1][other]
        found[one, two].append((own, their))
    return [
        (
            Part(optimizer=one, tensors=[own for own, _ in tensors]),
            Part(optimizer=two, tensors=[their for _, their in tensors]),
        )
        for (one, two), tensors in sorted(found.items())
    ]


def why_apart(a: Recording, b: Recording) -> str:
    """Return the reason why two runs can't be compared by parts, where they have some; empty where they can."""
    for own, other in find_parts(a, b):
        sizes = len(a.optimizers[own.optimizer].names), len(b.optimizers[other.optimizer].names)
        if len(own.tensors) not in sizes:
            return "none of two has all tensors of the other"
        if sizes[0] != sizes[1] and (_group_of(own, a) is None or _group_of(other, b) is None):
            return "the tensors that two have in common aren't of one group of parameters"
    if not (_steps_in_turns(a) and _steps_in_turns(b)):
        return "they don't step in turns"
    return "" if _counts(a, b) else "not all of them have stepped"


def _join(run: Recording) -> Optimizer:
    """Return all optimizers as one. Names that aren't unique begin with the optimizer's number."""
    own = list(run.optimizers.values())
    names = [name for each in own for name in each.names]
    if len(set(names)) < len(names):
        names = [f"{each.number}.{name}" for each in own for name in each.names]
    are_hashed = all(each.hashes for each in own)
    return Optimizer(
        number=0,
        type="",
        names=names,
        shapes=[shape for each in own for shape in each.shapes],
        hashes=[found for each in own for found in each.hashes if are_hashed],
        sketches=[found for each in own for found in each.sketches if are_hashed],
    )


def _steps_in_turns(run: Recording) -> bool:
    """Return whether all optimizers make their n-th steps before one makes the next."""
    return all((step.step - 1) // len(run.optimizers) + 1 == count for (_, count), step in run.steps.items())


def _counts(a: Recording, b: Recording) -> set[int]:
    """Return the steps that are compared.

    Both runs are stopped after the same number of steps of all their optimizers: one makes fewer turns then, which is
    no difference. A run that ends by itself before is one.
    """
    turns = [run.steps_made // len(run.optimizers) for run in (a, b)]
    last = min((own for own, run in zip(turns, (a, b), strict=True) if run.is_stopped), default=math.inf)
    recorded = [{count for number, count in run.steps if number == own} for run in (a, b) for own in run.optimizers]
    return set.union(*recorded) if min(turns) < last else set.intersection(*recorded)


def _group_of(part: Part, run: Recording) -> int | None:
    """Return the group of parameters that has a part's tensors; None if several have them, or if it isn't known."""
    optimizer = run.optimizers[part.optimizer]
    ends = list(itertools.accumulate(optimizer.groups))
    groups = {bisect.bisect_right(ends, index) for index in part.tensors}
    return groups.pop() if len(groups) == 1 and sum(optimizer.groups) == len(optimizer.names) else None


FIELDS = {
    Optimizer: ("names", "shapes", "hashes", "sketches"),
    Step: ("gradients", "gradient_sketches", "parameters", "parameter_sketches"),
}
"""The fields that have an element for each tensor, or none."""


def _pick(whole: T, part: Part, **changes: object) -> T:
    """Return an optimizer or a step of it with a part's tensors alone."""
    values = {name: getattr(whole, name) for name in FIELDS[type(whole)]}
    picked = {name: [own[index] for index in part.tensors] if own else own for name, own in values.items()}
    return dataclasses.replace(whole, **picked, **changes)  # type: ignore[arg-type]
