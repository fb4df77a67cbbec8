"""The reading: the mechanism of two arms, from their first steps.

A difference is read as round-off if it is of the size of a control's. The controls are the first arm again, with
weights moved by one ULP: rounding alone may change as much after a step. Two of them show how much controls differ
among themselves, and ten times that is the threshold: the thread's own advice was "about ten times typical round-off".
Where both arms also run in float64, their gap there is followed: round-off is too small there to hide a real
difference, or to flip a comparison. That holds only if the first gap does shrink in float64.

The gap of two runs that part at a late step grows from there on. So the control's steps are counted from its
perturbation, and theirs from the first difference.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from study.compare.gaps import DataGap, Gaps, StepGap
from study.compare.recordings import Floats

SHRINKS = 2.0**-14
"""The ratio of a first gap in float64 to that in float32, at most: half the bits by which epsilons differ, 29."""

Name = Literal["identical", "round-off", "real", "late", "unpaired", "unseen"]
Where = Literal["initial weights", "data", "gradient", "optimizer", "update", "steps", "networks"]

NO_SMALLER = "it is no smaller in float64: a real change of this size, or something that is kept in float32"
"""The remark on a gap of round-off's size that doesn't shrink: a real difference as small looks the same."""

TYPICAL = 10.0
"""The factor by which a gap of round-off may exceed the controls', times their own spread."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Difference:
    """Something in which two runs differ.

    Attributes:
        where: The kind of difference.
        step: The optimizer step, among all optimizers', at which it shows; 0 for before the first.
        optimizer: The index of the pair of optimizers.
        count: The number of the step among this optimizer's.
        sizes: By tensor or part, the relative gap.
    """

    where: Where
    step: int
    optimizer: int = 0
    count: int = 0
    sizes: dict[str, float] = dataclasses.field(default_factory=dict)

    @property
    def size(self) -> float:
        """Return the largest gap; infinite where none is known."""
        return max(self.sizes.values(), default=math.inf)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reading:
    """The mechanism of two arms.

    Attributes:
        name: The mechanism.
        first: The first difference in any bit.
        beyond: The first difference beyond round-off.
        over_control: The largest ratio of a gap to the controls', among the steps that were followed.
        threshold: The ratio beyond which a gap isn't round-off's.
        in_double: Whether gaps were followed in float64.
        steps: The last optimizer step that was compared.
        because: The reason, where the name alone doesn't tell it.
    """

    name: Name
    first: Difference | None = None
    beyond: Difference | None = None
    over_control: float | None = None
    threshold: float | None = None
    in_double: bool = False
    steps: int = 0
    because: str = ""


def find_first(gaps: Gaps) -> Difference | None:
    """Return the first difference in any bit; None where there is none."""
    if gaps.pairs is None:
        return Difference(where="networks", step=0)
    initial = {name: gap for name, gap in gaps.initial.items() if gap}
    if initial:
        return Difference(where="initial weights", step=0, sizes=initial)
    for step in gaps.steps:
        found = _in_step(step, gaps)
        if found is not None:
            return found
    if gaps.data is not None:
        return _of_data(gaps.data, gaps.last_step + 1)
    return None if gaps.missing is None else Difference(where="steps", step=gaps.missing)


def _in_step(step: StepGap, gaps: Gaps) -> Difference | None:
    """Return the first difference in a step: in the data, the gradients, or the update computed from them."""
    if not step.same_data:
        return _of_data(gaps.data, step.step) if gaps.data else Difference(where="data", step=step.step)
    if step.gradients.any():
        return _at(step, "gradient", gaps)
    return _at(step, _of_update(step), gaps) if step.parameters.any() else None


def _at(step: StepGap, where: Where, gaps: Gaps) -> Difference:
    """Return a difference in a step: in its gradients, or else in the weights after it."""
    assert gaps.pairs is not None
    names = gaps.pairs[step.optimizer].a.names
    sizes = step.gradients if where == "gradient" else step.parameters
    return Difference(
        where=where,
        step=step.step,
        optimizer=step.optimizer,
        count=step.count,
        sizes={name: float(gap) for name, gap in zip(names, sizes, strict=True) if gap},
    )


def _of_update(step: StepGap) -> Where:
    return "optimizer" if step.settings else "update"


def _of_data(data: DataGap, step: int) -> Difference:
    return Difference(where="data", step=step, sizes=data.sizes)


class Control:
    """The gaps that rounding alone makes between runs of the first arm.

    Args:
        perturbed: The gaps between its run and those with weights moved by one ULP.
        reruns: The gaps between its run and equal ones, where those aren't the same.
        epsilon: The relative size of a rounding: no gap is expected to be smaller.
        compared: The gaps that are read. Steps count from their first difference on.
    """

    def __init__(self, perturbed: Sequence[Gaps], reruns: Sequence[Gaps], epsilon: float, compared: Gaps) -> None:
        self._perturbed = [_Running(own) for own in perturbed]
        self._all = [*self._perturbed, *(_Running(own) for own in reruns)]
        self.epsilon = epsilon
        first = next((step.step for step in compared.steps if not step.is_same), 0)
        self._before = {step.optimizer: step.count for step in compared.steps if step.step < first}

    def _until(self, run: "_Running", step: StepGap) -> tuple[Floats, Floats]:
        """Return a control's largest gaps until the next step, whose gradients show a perturbation after this one."""
        return run.until(step.optimizer, step.count - self._before.get(step.optimizer, 0) + 1, step)

    def gap(self, step: StepGap) -> tuple[Floats, Floats]:
        """Return the largest gap of each tensor's gradient and weights until the next step, `[tensors]` each."""
        until = [self._until(run, step) for run in self._all]
        gradients = np.max([self.epsilon + 0 * step.gradients, *(own[0] for own in until)], axis=0)
        return gradients, np.max([self.epsilon + 0 * step.parameters, *(own[1] for own in until)], axis=0)

    def spread(self, step: StepGap) -> float:
        """Return by how much the controls differ among themselves, until the next step: a ratio of at least 1."""
        until = [self._until(run, step) for run in self._perturbed]
        if len(until) < 2:
            return 1.0
        both = np.array([np.maximum(np.concatenate(own), self.epsilon) for own in until])
        ratios = both.max(axis=0) / both.min(axis=0)
        return float(ratios.max(initial=1.0))

    def threshold(self, step: StepGap) -> float:
        """Return the factor by which a gap of round-off may exceed the controls'."""
        return TYPICAL * self.spread(step)


class _Running:
    """The largest gaps of a control up to each step."""

    def __init__(self, gaps: Gaps) -> None:
        self._largest: dict[int, list[tuple[int, Floats, Floats]]] = {}
        for step in gaps.steps:
            own = self._largest.setdefault(step.optimizer, [])
            gradients, parameters = _finite(step.gradients), _finite(step.parameters)
            if own:
                gradients, parameters = np.maximum(own[-1][1], gradients), np.maximum(own[-1][2], parameters)
            own.append((step.count, gradients, parameters))

    def until(self, optimizer: int, count: int, like: StepGap) -> tuple[Floats, Floats]:
        """Return the largest gaps up to a step; 0 where the control made none."""
        found = [own for own in self._largest.get(optimizer, []) if own[0] <= count]
        return found[-1][1:] if found else (0 * _finite(like.gradients), 0 * _finite(like.parameters))


def _finite(gaps: Floats) -> Floats:
    """Return gaps with 0 for infinite ones, which are those from tensors of zeros."""
    return np.where(np.isfinite(gaps), gaps, 0.0)


def read(
    gaps: Gaps,
    perturbed: Sequence[Gaps],
    double: Gaps | None = None,
    reruns: Sequence[Gaps] = (),
    unseeded: frozenset[str] = frozenset(),
) -> Reading:
    """Return the mechanism of two arms.

    Args:
        gaps: The gaps between their runs.
        perturbed: Those between the first arm's run and runs of it with weights moved by one ULP.
        double: Those between both arms' runs in float64; None where these failed.
        reruns: Those between the first arm's run and equal ones, where these aren't the same.
        unseeded: Random generators whose states differ between two equal runs, and so are ignored.
    """
    if not gaps.is_seen:
        return Reading(name="unseen", because="no optimizer step was seen in one of the arms")
    first = find_first(gaps)
    if first is None:
        return Reading(name="identical", steps=gaps.last_step)
    if first.where == "networks":
        return Reading(name="unpaired", first=first, beyond=first, because=gaps.unmatched)
    control = Control(perturbed, reruns, gaps.epsilon, gaps)
    if any(read(own, perturbed).name in ("real", "late", "unpaired") for own in reruns):
        because = "two equal runs of the first arm differ by more than round-off"
        return Reading(name="unpaired", first=first, beyond=first, because=because)
    shrinks = double is not None and _shrinks(gaps, double)
    followed = double if double is not None and shrinks else gaps
    seen = Reading(name="round-off", first=first, steps=gaps.last_step, in_double=followed is double)
    early = _before_the_first_step(first, gaps, control, unseeded)
    if early is not None:
        return dataclasses.replace(seen, name=early[0], beyond=first, because=early[1])
    beyond, size = _follow(followed, Control(perturbed, reruns, gaps.epsilon, followed))
    at_first = next((step for step in gaps.steps if not step.is_same), None)
    if beyond is None and at_first is not None and _is_beyond(at_first, control):
        beyond, size = _largest(at_first, gaps, control), _size(at_first, control)
        seen = dataclasses.replace(seen, because="it shrinks in float64: one arm computes in a lower precision")
    if beyond is None and gaps.missing is not None:
        beyond = Difference(where="steps", step=gaps.missing)
    seen = dataclasses.replace(seen, over_control=size[0], threshold=size[1], beyond=beyond)
    if beyond is None:
        because = "" if double is None or shrinks else NO_SMALLER
        return dataclasses.replace(seen, because=because)
    drawn = _first_other_draw(gaps, unseeded)
    if drawn is not None and drawn <= beyond.step:
        return dataclasses.replace(seen, name="unpaired", because=OTHER_DRAWS.format(drawn))
    return dataclasses.replace(seen, name="real" if beyond.count <= 1 and beyond.where != "steps" else "late")


OTHER_DRAWS = "other random numbers were drawn before optimizer step {}"


def _first_other_draw(gaps: Gaps, unseeded: frozenset[str]) -> int | None:
    """Return the first step before which other random numbers were drawn from a generator that was seeded."""
    return next((step.step for step in gaps.steps if step.other_random - unseeded), None)


def _before_the_first_step(
    first: Difference, gaps: Gaps, control: Control, unseeded: frozenset[str]
) -> tuple[Name, str] | None:
    """Return what is read if weights or data differ beyond round-off before the first step; None if they don't."""
    threshold = control.threshold(gaps.steps[0])
    if first.where == "initial weights" and first.size > threshold * control.epsilon:
        return "unpaired", "the initial weights are others"
    if first.where == "data" and first.size > threshold * control.epsilon:
        drawn = _first_other_draw(gaps, unseeded)
        if first.step > 1 and drawn is not None and drawn <= first.step:
            return "unpaired", OTHER_DRAWS.format(drawn)
        if first.step > 1:
            return "late", ""
        if gaps.other_random - unseeded:
            return "unpaired", "the random generators were in another state when the environments were first stepped"
        if gaps.data is not None and gaps.data.index == 0:
            return "unpaired", "the environments began in another state"
        return "real", ""
    return None


Size = tuple[float, float]
"""The ratio of a gap to the controls', and the largest such ratio that is read as round-off."""


def _follow(gaps: Gaps, control: Control) -> tuple[Difference | None, Size]:
    """Return the first difference beyond round-off and its size; None and the size nearest to that, without one."""
    largest = 0.0, TYPICAL
    for step in gaps.steps:
        largest = max(largest, _size(step, control), key=lambda size: size[0] / size[1])
        if _has_another_optimizer(step):
            return _at(step, "optimizer", gaps), _size(step, control)
        if _is_beyond(step, control):
            return _largest(step, gaps, control), _size(step, control)
    return None, largest


def _size(step: StepGap, control: Control) -> Size:
    return _ratio(step, control), control.threshold(step)


def _is_beyond(step: StepGap, control: Control) -> bool:
    ratio, threshold = _size(step, control)
    return ratio > threshold


def _shrinks(single: Gaps, double: Gaps) -> bool:
    """Return whether the first gap shrinks in float64 as round-off does.

    It doesn't where both runs keep something in float32, such as a replay buffer. Then float64 tells nothing new.
    """
    first = [next((_size_of(step) for step in gaps.steps if not step.is_same), 0.0) for gaps in (single, double)]
    return first[1] <= SHRINKS * first[0]


def _size_of(step: StepGap) -> float:
    return float(np.concatenate([_finite(step.gradients), _finite(step.parameters)]).max(initial=0.0))


def _has_another_optimizer(step: StepGap) -> bool:
    """Return whether something differs in a step, and the optimizers' settings differ by mathematics."""
    differs = step.parameters.any() or step.gradients.any()
    return bool(differs) and bool(step.settings)


def _ratio(step: StepGap, control: Control) -> float:
    """Return the largest ratio of a tensor's gap to the controls'."""
    gradients, parameters = control.gap(step)
    ratios = np.concatenate([step.gradients / gradients, step.parameters / parameters])
    return float(ratios.max(initial=0.0))


def _largest(step: StepGap, gaps: Gaps, control: Control) -> Difference:
    """Return the difference in a step that is beyond round-off: in the gradients, or else in the update."""
    gradients, _ = control.gap(step)
    is_beyond = (step.gradients > control.threshold(step) * gradients).any()
    return _at(step, "gradient" if is_beyond else _of_update(step), gaps)
